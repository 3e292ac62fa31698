import type { Config } from '../job/config.ts'
import { readSecret, type Secret } from '../job/secret.ts'
import { smtpServer } from '../job/smtp_server.ts'
import { domainOf, mailFor } from './email.ts'
import type { Batch } from './event.ts'
import { pagerdutyEvent, sendToPagerduty } from './pagerduty.ts'
import { isSafeAddress, type Verdict } from './post.ts'
import { type ChannelName, routesOf } from './routing.ts'
import { sendToSlack } from './slack.ts'
import { handIn } from './smtp.ts'

/** What is sent in one go, and the events that have then been told. */
export type Parcel = { events: number[]; send: (signal: AbortSignal) => Promise<Verdict> }

type Packing = (batch: Batch) => Parcel[]

export type Channel = {
  name: ChannelName
  /** What has to be done to have it, where it is not configured: `set CANDLEKEEP_SLACK_WEBHOOK_URL`. */
  lacks?: string
  /** Why it cannot be used as it is configured. */
  fault?: string
  parcels: Packing
}

/** The three channels as this process finds them configured. */
export function channelsOf(config: Config): Channel[] {
  return [slack(config), email(config), pagerduty(config)]
}

function slack({ alerts }: Config): Channel {
  return withSecret('slack', alerts.slack.webhook_env, url => {
    if (!isSafeAddress(url.reveal())) return 'it is not an https:// address'
    return batch => [inOne(batch, signal => sendToSlack(url.reveal(), batch, signal))]
  })
}

function email({ alerts }: Config): Channel {
  const { smtp_env, to, from } = alerts.email
  const [first] = to
  if (first === undefined) return notConfigured('email', `set alerts.email.to and ${smtp_env}`)
  const sender = from ?? first
  return withSecret('email', smtp_env, address => {
    const server = smtpServer(address.reveal())
    if (server === undefined)
      return 'it is neither smtps://USER:PASSWORD@HOST:465 nor smtp://USER:PASSWORD@HOST:587'
    return batch => {
      const mail = mailFor(batch, domainOf(sender))
      return [inOne(batch, signal => handIn(server, { from: sender, to, mail }, signal))]
    }
  })
}

function pagerduty(config: Config): Channel {
  const { routing_key_env, url } = config.alerts.pagerduty
  const routes = routesOf(config)
  return withSecret('pagerduty', routing_key_env, routingKey => {
    if (!isSafeAddress(url)) return 'alerts.pagerduty.url is not an https:// address'
    const send = (body: ReturnType<typeof pagerdutyEvent>) => (signal: AbortSignal) =>
      sendToPagerduty({ url, routingKey: routingKey.reveal() }, body, signal)
    return ({ events, place, now }) =>
      events.flatMap(event => {
        const actions = event.kind === 'test' ? testActions : [actionFor(routes[event.level])]
        const bodies = actions.map(action => pagerdutyEvent(event, action, place, now))
        return bodies.map(body => ({ events: [event.id], send: send(body) }))
      })
  })
}

const testActions = ['trigger', 'resolve'] as const

function actionFor(channels: ChannelName[]): 'trigger' | 'resolve' {
  return channels.includes('pagerduty') ? 'trigger' : 'resolve'
}

/** A channel that takes a secret; `use` makes of it the way to send, or says why it is not one that can be used. */
function withSecret(name: ChannelName, variable: string, use: (secret: Secret) => Packing | string): Channel {
  const { secret, problem } = readSecret(variable)
  if (problem !== undefined) return faulty(name, problem)
  if (secret === undefined) return notConfigured(name, `set ${variable}`)
  const packing = use(secret)
  return typeof packing === 'string'
    ? faulty(name, packing.replace(/^it /, `${variable} `))
    : { name, parcels: packing }
}

function notConfigured(name: ChannelName, lacks: string): Channel {
  return { name, lacks, parcels: () => [] }
}

/** As a channel that is down: what it should have said is said once its configuration is mended. */
function faulty(name: ChannelName, fault: string): Channel {
  const refuse = () => Promise.resolve({ sent: false, why: fault, again: false } as const)
  return { name, fault, parcels: batch => [inOne(batch, refuse)] }
}

function inOne({ events }: Batch, send: Parcel['send']): Parcel {
  return { events: events.map(({ id }) => id), send }
}

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { channelEnvironment } from '../alerts/here.ts'
import { type MailServer, startMailServer } from '../alerts/mail_server.ts'
import { type LegacySlackMessage, type Services, startServices } from '../alerts/services.ts'
import { MessageReader, type Rule } from './messages.ts'

/** `DailySyncFailed firing slack` */
type Heard = string

export type People = {
  services: Services
  mail: MailServer
  /** What leads to all of them, by the names of the cheat sheet. */
  secrets: Record<string, string>
  /** How often the heartbeat came. */
  heartbeats: () => number
  /** From here on, what comes is read, with these rules. */
  know: (rules: Rule[]) => void
  /** What they were told of a host, without repetitions, in alphabetical order. */
  heardOf: (instance: string) => Heard[]
  /** The hosts that they were told anything of. */
  instances: () => string[]
  /** When they were first told that, by `performance.now()`. */
  heardAt: (instance: string, heard: Heard) => number
  /** Waits until all of this was told of a host. */
  hear: (instance: string, wanted: Heard[]) => Promise<void>
}

const patienceMs = 60_000

/** Slack, PagerDuty, a mailbox, and a service that waits for a heartbeat. */
export async function startPeople(test: Test): Promise<People> {
  const services = await startServices(test)
  const mail = await startMailServer(test, { secure: false })
  const heartbeat = await startHeartbeat(test)
  let reader = new MessageReader([])
  const read = { slack: 0, pagerduty: 0, email: 0 }
  const heard = new Map<string, Map<Heard, number>>()

  const listen = () => {
    const { slack, pagerduty } = services
    const told = {
      slack: (slack.slice(read.slack) as unknown as LegacySlackMessage[]).map(each => reader.slack(each)),
      pagerduty: pagerduty.slice(read.pagerduty).map(each => reader.pagerduty(each)),
      email: mail.mails.slice(read.email).map(each => reader.mail(each)),
    }
    Object.assign(read, { slack: slack.length, pagerduty: pagerduty.length, email: mail.mails.length })
    for (const [channel, messages] of Object.entries(told))
      for (const { alert, instance, state } of messages.flat()) {
        const known = heard.get(instance) ?? new Map<Heard, number>()
        heard.set(instance, known)
        const what = `${alert} ${state} ${channel}`
        if (!known.has(what)) known.set(what, performance.now())
      }
  }
  const heardOf = (instance: string) => {
    listen()
    return [...(heard.get(instance)?.keys() ?? [])].toSorted()
  }
  return {
    services,
    mail,
    secrets: {
      ...channelEnvironment(services),
      CANDLEKEEP_SMTP_URL: mail.url,
      CANDLEKEEP_WATCHDOG_URL: heartbeat.url,
    },
    heartbeats: () => heartbeat.count,
    know(rules) {
      reader = new MessageReader(rules)
      const listening = setInterval(() => {
        try {
          listen()
        } catch {
          // who asks next is told
        }
      }, 100)
      test.teardown(() => clearInterval(listening))
    },
    heardOf,
    instances: () => [...heard.keys()],
    heardAt: (instance, what) => heard.get(instance)?.get(what) ?? Number.NaN,
    async hear(instance, wanted) {
      const end = Date.now() + patienceMs
      for (;;) {
        const so = heardOf(instance)
        const lacking = wanted.filter(each => !so.includes(each))
        if (lacking.length === 0) return
        if (Date.now() > end)
          throw new Error(
            `of ${instance} nobody heard: ${lacking.join(', ')}; but ${so.join(', ') || 'nothing'}`,
          )
        await delay(100)
      }
    },
  }
}

/** Takes what Alertmanager posts to a webhook. */
async function startHeartbeat(test: Test): Promise<{ url: string; count: number }> {
  const heartbeat = { url: '', count: 0 }
  const server = createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
    request.resume()
    request.on('end', () => {
      heartbeat.count++
      response.end()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  test.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  heartbeat.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ping/heartbeat-marker-4d2a`
  return heartbeat
}

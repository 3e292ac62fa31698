import type { Clock } from '../job/clock.ts'
import type { Config } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { type Channel, channelsOf } from './channels.ts'
import { openBudget, placeOf, sendPatiently } from './delivery.ts'
import type { AlertEvent } from './event.ts'
import type { ChannelName } from './routing.ts'

/** How a channel took its test message. */
type Trial = {
  channel: ChannelName
  result: 'sent' | 'failed' | 'not configured'
  line: string
  why?: string | undefined
}

const names: Record<ChannelName, string> = { slack: 'Slack', email: 'e-mail', pagerduty: 'PagerDuty' }

/** Sends a message that is marked as a test through each configured channel. Nothing of it goes into the history. */
export async function sendTestAlerts(config: Config, clock: Clock): Promise<Outcome> {
  const trials = await Promise.all(channelsOf(config).map(channel => tryOut(channel, config, clock)))
  const [sent, failed] = ['sent', 'failed'].map(
    result => trials.filter(trial => trial.result === result).length,
  )
  const outcome = sent === 0 ? 'failed' : failed === 0 ? 'done' : 'partly'
  const summary =
    sent === 0 && failed === 0
      ? 'no channel is configured: nobody would hear of an alert'
      : `test alerts: ${sent} sent, ${failed} failed`
  return {
    outcome,
    report: [...trials.map(({ line }) => line), ...(failed === 0 && sent === 0 ? [`❌ ${summary}`] : [])],
    summary,
    figures: {
      channels: Object.fromEntries(trials.map(({ channel, result, why }) => [channel, { result, why }])),
    },
  }
}

async function tryOut({ name, lacks, parcels }: Channel, config: Config, clock: Clock): Promise<Trial> {
  const label = names[name].padEnd(9)
  if (lacks !== undefined)
    return { channel: name, result: 'not configured', line: `–  ${label} not configured: ${lacks}` }
  const budget = openBudget()
  const now = clock.now()
  const notes: string[] = []
  for (const { send } of parcels({ events: [testEvent(now)], place: placeOf(config), now })) {
    const verdict = await sendPatiently(send, clock, budget)
    if (!verdict.sent) {
      const { why } = verdict
      return {
        channel: name,
        result: 'failed',
        line: `❌ ${label} ${why}${adviceFor(why, name, config)}`,
        why,
      }
    }
    if (verdict.but !== undefined) notes.push(`; but ${verdict.but}`)
  }
  return { channel: name, result: 'sent', line: `✅ ${label} sent${notes.join('')}` }
}

function testEvent(now: number): AlertEvent {
  return {
    id: 0,
    key: `test:${now}`,
    kind: 'test',
    level: 'info',
    previous: 'ok',
    title: 'somebody tries whether alerts of candlekeep arrive here',
    details: ['Nothing is wrong, and nothing has to be done.'],
    alert: null,
    since: now,
    at: now,
  }
}

/** Where to look when it does not work, unless that has been said. */
function adviceFor(why: string, name: ChannelName, { alerts }: Config): string {
  const place = {
    slack: alerts.slack.webhook_env,
    email: alerts.email.smtp_env,
    pagerduty: alerts.pagerduty.routing_key_env,
  }[name]
  return why.includes(place) ? '' : `; check ${place}`
}

/** What is configured, a line each: for a look at the configuration. */
export function describeChannels(config: Config): Record<'configured' | 'faulty', ChannelName[]> & {
  lines: string[]
} {
  const channels = channelsOf(config)
  const configured = channels.filter(({ lacks, fault }) => lacks === undefined && fault === undefined)
  const faulty = channels.filter(({ fault }) => fault !== undefined)
  return {
    lines: channels.map(({ name, lacks, fault }) => {
      const label = names[name].padEnd(9)
      if (fault !== undefined) return `❌ ${label} ${fault}`
      return lacks === undefined ? `✅ ${label} configured` : `–  ${label} not configured: ${lacks}`
    }),
    configured: configured.map(({ name }) => name),
    faulty: faulty.map(({ name }) => name),
  }
}

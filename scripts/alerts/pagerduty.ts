import { createHash } from 'node:crypto'
import { type AlertEvent, circumstances, headline, type Place } from './event.ts'
import { post, type Verdict } from './post.ts'
import { linesOf, oneLine, within } from './text.ts'

// PagerDuty, Events API v2, "Send an Alert Event": dedup_key 255 characters, summary 1024
const limits = { key: 255, summary: 1024, detail: 1000, lines: 50 }

export type Action = 'trigger' | 'resolve'

/** An event for PagerDuty without its routing key (Events API v2, "Send an Alert Event"). */
export function pagerdutyEvent(event: AlertEvent, action: Action, place: Place, now: number) {
  const dedup_key = dedupKey(event.key, place)
  if (action === 'resolve') return { event_action: action, dedup_key }
  const [kind = event.key, component = event.key] = event.key.split(/:(.*)/s)
  const lines = [...circumstances(event, now), ...linesOf(event.details, limits.lines)]
  return {
    event_action: action,
    dedup_key,
    client: 'candlekeep',
    payload: {
      summary: within(limits.summary, oneLine(`${headline(event)} (${place.host})`)),
      source: place.host,
      severity: event.level === 'ok' ? 'info' : event.level,
      timestamp: new Date(event.at).toISOString(),
      component,
      group: place.workspace,
      class: kind,
      custom_details: { condition: event.key, details: lines.map(line => within(limits.detail, line)) },
    },
  }
}

/** One incident a condition, server and workspace: it names them, or is a digest where that would be too long. */
function dedupKey(key: string, { host, workspace }: Place): string {
  const plain = `candlekeep/${host}/${workspace}/${key}`
  if (plain.length <= limits.key) return plain
  return `candlekeep/${createHash('sha256').update(plain).digest('hex')}`
}

export async function sendToPagerduty(
  { url, routingKey }: { url: string; routingKey: string },
  event: ReturnType<typeof pagerdutyEvent>,
  signal: AbortSignal,
): Promise<Verdict> {
  return post(url, { routing_key: routingKey, ...event }, signal, status => {
    if (status === 202) return { sent: true }
    const hint = status === 400 ? ' (is the routing key that of an Events API v2 integration?)' : ''
    return { sent: false, why: `it answered ${status}${hint}` }
  })
}

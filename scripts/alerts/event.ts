import { formatDuration, formatTime, minute } from '../job/time.ts'
import type { Level } from './levels.ts'
import type { EventKind } from './states.ts'

/** Something that people have to be told, as it is kept in the history. */
export type AlertEvent = {
  id: number
  key: string
  /** `test`: nothing is wrong, somebody tries the channel. */
  kind: EventKind | 'test'
  level: Level
  previous: Level
  title: string
  details: string[]
  /** What was wrong before, for a recovery. */
  alert: string | null
  /** Since when it is bad, or was. */
  since: number
  at: number
}

/** Where it happened. */
export type Place = { host: string; workspace: string }

/** What one channel is told at a time: the newest event of each condition, oldest first. */
export type Batch = { events: AlertEvent[]; place: Place; now: number }

export const badges: Record<Level, string> = { critical: '🔴', warning: '🟠', info: '🔵', ok: '✅' }

/** `CRITICAL: daily_sync has failed`. */
export function headline({ kind, level, title, previous }: AlertEvent): string {
  const name = level.toUpperCase()
  switch (kind) {
    case 'test':
      return `TEST: ${title}`
    case 'recovered':
      return `RECOVERED: ${title}`
    case 'eased':
      return `${name}, no longer ${previous}: ${title}`
    case 'repeated':
      return `STILL ${name}: ${title}`
    case 'triggered':
    case 'worsened':
      return `${name}: ${title}`
    default:
      return kind satisfies never
  }
}

/** What the headline leaves open: since when, what it was before, and that the news is late. */
export function circumstances({ kind, previous, alert, since, at }: AlertEvent, now: number): string[] {
  const was = alert === null ? '' : `: ${alert}`
  const lines: string[] = []
  if (kind === 'recovered' || kind === 'eased')
    lines.push(`It was ${previous}, bad since ${formatTime(since)}${was}`)
  if (kind === 'repeated') lines.push(`Since ${formatTime(since)}, ${formatDuration(at - since)} by now.`)
  if (now - at > 10 * minute) lines.push(`This is of ${formatTime(at)}; it could not be delivered before.`)
  return lines
}

/** One line for all of it: the headline of a single event, else how many of what. */
export function summary(events: AlertEvent[]): string {
  const [first] = events
  if (first !== undefined && events.length === 1) return headline(first)
  const recoveries = events.filter(({ level }) => level === 'ok').length
  const counts = [
    count(events.length - recoveries, 'alert', 'alerts'),
    count(recoveries, 'recovery', 'recoveries'),
  ]
  return counts.filter(text => text !== '').join(', ')
}

function count(number: number, one: string, many: string): string {
  return number === 0 ? '' : `${number} ${number === 1 ? one : many}`
}

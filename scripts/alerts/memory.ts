import type Database from 'better-sqlite3'
import type { Condition } from '../job/alerting.ts'
import type { Level } from './levels.ts'
import { type ChannelName, type Routes, route } from './routing.ts'
import { type Pace, type State, type Step, see, settle, wellSince } from './states.ts'
import { linesOf, oneLine, within } from './text.ts'

type Db = Database.Database

/** How fast things are said, and to whom. */
export type Manner = { pace: Pace; routes: Routes }

/** A condition as it is remembered in the history. */
type Remembered = {
  state: State
  title: string
  details: string[]
  /** What was wrong when people were last told of something bad. */
  alert: string | null
  told: ChannelName[]
  seenAt: number
}

const most = { title: 500, lines: 100, line: 2000 }

/** Takes note of what was just seen, and puts down what people have to be told of it. */
export function remember(database: Db, conditions: Condition[], now: number, manner: Manner): void {
  for (const { key, severity, title, details } of conditions) {
    const before = recall(database, key)
    const seen = {
      title: within(most.title, oneLine(title)),
      details: linesOf(details, most.lines).map(line => within(most.line, line)),
      seenAt: now,
    }
    const { state, alert, told } = before ?? { state: wellSince(now), alert: null, told: [] }
    // what has settled in the meantime is told as it was, before what is seen now
    const settled = keep(database, key, settle(state, now, manner.pace), {
      ...(before ?? seen),
      alert,
      told,
      manner,
      now,
    })
    keep(database, key, see(settled.state, severity, now, manner.pace), { ...seen, ...settled, manner, now })
  }
}

/** Puts down recoveries that have settled while nobody looked. */
export function rememberSettled(database: Db, now: number, manner: Manner): void {
  const keys = database.prepare('SELECT key FROM alert_states WHERE lower_since IS NOT NULL').pluck().all()
  for (const key of keys as string[]) {
    const { state, ...before } = recall(database, key) as Remembered
    keep(database, key, settle(state, now, manner.pace), { ...before, manner, now })
  }
}

/** Stores a step of a condition: its state, what has to be said, and to which channels. */
function keep(
  database: Db,
  key: string,
  { state, announcements }: Step,
  given: Omit<Remembered, 'state'> & { manner: Manner; now: number },
): { state: State; alert: string | null; told: ChannelName[] } {
  const { title, details, seenAt, manner, now } = given
  let { alert, told } = given
  for (const announcement of announcements) {
    const { kind, level, previous, since } = announcement
    const bad = kind !== 'recovered' && kind !== 'eased'
    if (bad) alert = title
    const { lastInsertRowid: event } = database
      .prepare(
        `INSERT INTO alert_events (key, kind, level, previous, title, details, alert, since, at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(key, kind, level, previous, title, JSON.stringify(details), alert, since, now)
    const routed = route(announcement, told, manner.routes)
    for (const channel of routed.to) {
      database
        .prepare("INSERT INTO alert_deliveries (event, channel, outcome, created_at) VALUES (?, ?, 'due', ?)")
        .run(event, channel, now)
    }
    told = routed.told
  }
  database
    .prepare(
      `INSERT OR REPLACE INTO alert_states
         (key, current, announced, announced_at, since, lower_since, title, details, alert, channels, seen_at)
       VALUES (@key, @current, @announced, @announcedAt, @since, @lowerSince, @title, @details, @alert, @told, @seenAt)`,
    )
    .run({
      ...state,
      key,
      title,
      details: JSON.stringify(details),
      alert,
      told: JSON.stringify(told),
      seenAt,
    })
  return { state, alert, told }
}

type Row = {
  current: Level
  announced: Level
  announced_at: number
  since: number
  lower_since: number | null
  title: string
  details: string
  alert: string | null
  channels: string
  seen_at: number
}

function recall(database: Db, key: string): Remembered | undefined {
  const row = database.prepare('SELECT * FROM alert_states WHERE key = ?').get(key) as Row | undefined
  if (row === undefined) return undefined
  const { current, announced, since, title, alert } = row
  return {
    state: { current, announced, announcedAt: row.announced_at, since, lowerSince: row.lower_since },
    title,
    details: JSON.parse(row.details) as string[],
    alert,
    told: JSON.parse(row.channels) as ChannelName[],
    seenAt: row.seen_at,
  }
}

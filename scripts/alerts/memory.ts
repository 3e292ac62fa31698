import type Database from 'better-sqlite3'
import type { Condition } from '../job/alerting.ts'
import { isWorse, type Level } from './levels.ts'
import { type ChannelName, type Routes, route } from './routing.ts'
import { doubt, type Pace, type State, type Step, see, settle, wellSince } from './states.ts'
import { linesOf, oneLine, within } from './text.ts'

type Db = Database.Database

/** How fast things are said, and to whom. */
export type Manner = { pace: Pace; routes: Routes }

type Words = Pick<Condition, 'title' | 'details'>

/** A condition as it is remembered in the history. */
type Remembered = Words & {
  state: State
  /** What was wrong when people were last told of something bad. */
  alert: string | null
  told: ChannelName[]
  seenAt: number
}

const most = { title: 500, lines: 100, line: 2000 }

/** Takes note of what was just seen, and puts down what people have to be told of it. */
export function remember(database: Db, conditions: Condition[], now: number, manner: Manner): void {
  for (const condition of conditions) {
    const { key, severity, unsure = false } = condition
    const before = recall(database, key)
    const seen = { ...wordsOf(condition), seenAt: now }
    const { state, alert, told } = before ?? { state: wellSince(now), alert: null, told: [] }
    if (unsure) {
      const words = before !== undefined && isWorse(state.announced, severity) ? inDoubt(before, seen) : seen
      const step = doubt(state, severity, now, manner.pace)
      keep(database, key, step, { ...words, seenAt: now, alert, told, manner, now })
      continue
    }
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

/** What is said of a condition, and no more of it than anybody would read. */
function wordsOf({ title, details }: Words): Words {
  return {
    title: within(most.title, oneLine(title)),
    details: linesOf(details, most.lines).map(line => within(most.line, line)),
  }
}

/** What is said of a condition that was bad before and of which nobody knows any more: what was wrong with it. */
function inDoubt({ state, alert, title, details }: Remembered, seen: Words): Words {
  if (state.current === state.announced) return { title, details }
  // it has been better since, and what was said then would be no alert
  return wordsOf({ title: alert ?? title, details: [seen.title, ...seen.details] })
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

import { randomUUID } from 'node:crypto'
import type Database from 'better-sqlite3'
import { day, hour, minute } from '../job/time.ts'
import type { AlertEvent } from './event.ts'
import type { ChannelName, Routes } from './routing.ts'

type Db = Database.Database

/** Longer than a run takes to deliver: who holds a claim for longer is dead. */
const claimMs = 2 * minute
const firstWaitMs = minute
const longestWaitMs = hour
const giveUpAfterMs = 7 * day
/** So many waits in a row, of 1, 2, 4, 8, 16, 32 minutes and then an hour each, add up to a week. */
const giveUpAfterFailures = 174
const skipAfterMs = day
const forgetAfterMs = 400 * day

/** What one process tells one channel; until that is over no other process sends anything there. */
export type Claim = { channel: ChannelName; token: string; events: AlertEvent[] }

/**
 * Takes what a channel has to be told: the newest event of each condition, so that an outage ends in one message.
 * Undefined where there is nothing, where it is too early to try again, or where another process is at it.
 */
export function claim(database: Db, channel: ChannelName, now: number, routes: Routes): Claim | undefined {
  const due = dueFor(database, channel)
  if (due.length === 0 || !mayTry(database, channel, due, now)) return undefined
  const newest = new Map(due.map(one => [one.event.key, one]))
  const [tell, needless]: [Due[], Due[]] = [[], []]
  for (const one of newest.values())
    (isNeedless(database, one.event, channel, routes) ? needless : tell).push(one)
  const superseded = due.filter(one => newest.get(one.event.key) !== one)
  endDeliveries(database, channel, ids(superseded), 'superseded', now)
  endDeliveries(database, channel, ids(needless), 'needless', now)
  if (tell.length === 0) return undefined

  const tried = database.prepare(
    'UPDATE alert_deliveries SET tries = tries + 1 WHERE event = ? AND channel = ?',
  )
  for (const id of ids(tell)) tried.run(id, channel)
  const token = randomUUID()
  database
    .prepare(
      `INSERT INTO alert_channels (name, claim, claimed_until) VALUES (?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET claim = excluded.claim, claimed_until = excluded.claimed_until`,
    )
    .run(channel, token, now + claimMs)
  return { channel, token, events: tell.map(({ event }) => event) }
}

/** Records that events have arrived. */
export function recordSent(database: Db, channel: ChannelName, events: number[], now: number): void {
  endDeliveries(database, channel, events, 'sent', now)
}

/**
 * Gives the channel back. After a failure what has not arrived stays due: the channel is tried again after a minute,
 * two, four … an hour. Returns how many were given up, which is what is a week old once the channel has failed for a
 * week. That is counted in tries and not by the clock: a host that was off has tried nothing meanwhile.
 */
export function release(
  database: Db,
  { channel, token, events }: Claim,
  failed: boolean,
  now: number,
): number {
  const { failures: before = 0, retry_at = null } = channelRow(database, channel) ?? {}
  // news that was tried before its time is no further wait
  const isEarly = liesAhead(retry_at, now, longestWaitMs)
  const failures = failed ? before + (isEarly ? 0 : 1) : 0
  const retryAt = isEarly ? retry_at : now + waitAfter(failures)
  database
    .prepare(
      `UPDATE alert_channels SET claim = NULL, claimed_until = NULL, failures = ?, retry_at = ?
       WHERE name = ? AND claim = ?`,
    )
    .run(failures, failed ? retryAt : null, channel, token)
  if (!failed || failures < giveUpAfterFailures) return 0
  const old = events.filter(({ at }) => now - at >= giveUpAfterMs).map(({ id }) => id)
  return endDeliveries(database, channel, old, 'given up', now)
}

/** How long to leave a channel alone that has failed so many times in a row. */
function waitAfter(failures: number): number {
  return Math.min(firstWaitMs * 2 ** (failures - 1), longestWaitMs)
}

/**
 * Alerts for a channel that is not configured wait a day for a process that has its secret: what a run by hand found
 * is told by cron's next one. After that nobody wants them.
 */
export function skipOld(database: Db, channel: ChannelName, now: number): void {
  database
    .prepare(
      `UPDATE alert_deliveries SET outcome = 'skipped', ended_at = ?
       WHERE channel = ? AND outcome = 'due' AND created_at < ?`,
    )
    .run(now, channel, now - skipAfterMs)
}

/** Forgets what is over and more than 400 days old. What is due or bad stays: the clock may be wrong. */
export function forgetOld(database: Db, now: number): void {
  const before = now - forgetAfterMs
  database.prepare("DELETE FROM alert_deliveries WHERE created_at < ? AND outcome <> 'due'").run(before)
  database
    .prepare('DELETE FROM alert_events WHERE at < ? AND id NOT IN (SELECT event FROM alert_deliveries)')
    .run(before)
  database
    .prepare("DELETE FROM alert_states WHERE seen_at < ? AND announced = 'ok' AND current = 'ok'")
    .run(before)
}

type Due = { event: AlertEvent; tries: number }

function dueFor(database: Db, channel: ChannelName): Due[] {
  const rows = database
    .prepare(
      `SELECT alert_events.*, tries FROM alert_deliveries JOIN alert_events ON id = event
       WHERE channel = ? AND outcome = 'due' ORDER BY id`,
    )
    .all(channel) as (Omit<AlertEvent, 'details'> & { details: string; tries: number })[]
  return rows.map(({ tries, ...event }) => {
    return { tries, event: { ...event, details: JSON.parse(event.details) as string[] } }
  })
}

type ChannelRow = { claimed_until: number | null; failures: number; retry_at: number | null }

function channelRow(database: Db, channel: ChannelName): ChannelRow | undefined {
  return database.prepare('SELECT * FROM alert_channels WHERE name = ?').get(channel) as
    | ChannelRow
    | undefined
}

function mayTry(database: Db, channel: ChannelName, due: Due[], now: number): boolean {
  const { claimed_until, retry_at } = channelRow(database, channel) ?? {}
  // news is worth a try at once
  const isNews = due.some(({ tries }) => tries === 0)
  return !liesAhead(claimed_until, now, claimMs) && (isNews || !liesAhead(retry_at, now, longestWaitMs))
}

/**
 * Whether a time that is at most `reach` away when it is set has yet to come. One that is much further ahead is from
 * before the clock was put back, and does not count; an hour more is let pass, since a claim that is overlooked
 * because a clock was corrected by a second would be a message sent twice.
 */
function liesAhead(time: number | null | undefined, now: number, reach: number): boolean {
  return time != null && time > now && time <= now + reach + hour
}

/** Whether this would tell PagerDuty of the end of something that it has certainly never heard of. */
function isNeedless(database: Db, event: AlertEvent, channel: ChannelName, routes: Routes): boolean {
  if (channel !== 'pagerduty' || routes[event.level].includes(channel)) return false
  const { known, told } = database
    .prepare(
      `SELECT count(*) AS known, count(*) FILTER (WHERE outcome = 'sent' OR tries > 0) AS told
       FROM alert_deliveries JOIN alert_events ON id = event WHERE key = ? AND channel = ? AND id < ?`,
    )
    .get(event.key, channel, event.id) as { known: number; told: number }
  return known > 0 && told === 0
}

function endDeliveries(
  database: Db,
  channel: ChannelName,
  events: number[],
  outcome: 'sent' | 'superseded' | 'needless' | 'given up',
  now: number,
): number {
  const end = database.prepare(
    "UPDATE alert_deliveries SET outcome = ?, ended_at = ? WHERE event = ? AND channel = ? AND outcome = 'due'",
  )
  return events.reduce((sum, event) => sum + end.run(outcome, now, event, channel).changes, 0)
}

function ids(due: Due[]): number[] {
  return due.map(({ event }) => event.id)
}

import type Database from 'better-sqlite3'
import type { Clock } from './clock.ts'
import { messageOf } from './errors.ts'
import type { History } from './history.ts'
import { keepingTotals } from './history_totals.ts'
import type { Log } from './log.ts'
import { day } from './time.ts'

export const keptDays = 400
const longestGap = 31 * day

/** Keeps the history small, and is never in the way: what goes wrong is a line in the log. */
export function tidyHistory({ history, clock, log }: { history: History; clock: Clock; log: Log }): void {
  try {
    const pruned = history.transact(database => pruneHistory(database, clock.now()))
    if (pruned === 'nothing') return
    if (pruned === 'doubtful')
      log.info('the clock is far ahead of what the history has lived through: all of it is kept')
    else log.info(`what is older than ${keptDays} days has been removed from the history`, pruned)
  } catch (error) {
    log.warn(`the history could not be tidied: ${messageOf(error)}`)
  }
}

/** What a look for old entries came to. `doubtful`: there are some by the calendar, but the clock may be wrong. */
export type Pruned = 'nothing' | 'doubtful' | { runs: number; others: number }

/**
 * Removes what is older than 400 days: runs, checks, drills, quarantined rows, old values of candles. A run that is going on
 * and the newest of each job stay, with its checks, and so do the totals. It sets in when something is a day over,
 * so all but one run a day only look at an index. In a transaction of the caller's.
 */
export function pruneHistory(database: Database.Database, now: number): Pruned {
  if (oldRuns(database, 'EXISTS', now - (keptDays + 1) * day) === 0) return 'nothing'
  const starts = database.prepare('SELECT started_at FROM runs ORDER BY started_at DESC').pluck()
  const edge = retentionEdge(starts.all() as number[], now)
  if (edge === undefined) return 'doubtful'
  const pruned = { runs: 0, others: 0 }
  keepingTotals(database, () => {
    pruned.runs = oldRuns(database, 'DELETE', edge)
    for (const statement of othersBefore) pruned.others += database.prepare(statement).run(edge).changes
  })
  return pruned
}

/**
 * The time before which things are too old, given the starts of all runs, newest first; undefined: nothing is. Age is
 * counted in time that candlekeep has lived through: a gap between two runs counts for 31 days at most, so neither a
 * clock that jumped ahead by years nor a host that was off for as long makes the whole history old at once.
 */
export function retentionEdge(starts: readonly number[], now: number): number | undefined {
  let age = 0
  let later = now
  for (const start of starts) {
    // the clock was ahead when that run began
    if (start > now) continue
    age += Math.min(later - start, longestGap)
    later = start
    if (age > keptDays * day) return start + 1
  }
  return undefined
}

// the plus keeps SQLite from searching by id, which nearly all runs fulfil
const isOld = `
  started_at < ? AND outcome <> 'running'
  AND started_at < (SELECT max(started_at) FROM runs AS later WHERE later.job = runs.job)
  AND +id < (SELECT max(id) FROM runs)`

/** Removes old runs, or only looks whether there are any; how many. */
function oldRuns(database: Database.Database, what: 'EXISTS' | 'DELETE', before: number): number {
  if (what === 'DELETE') return database.prepare(`DELETE FROM runs WHERE ${isOld}`).run(before).changes
  return database.prepare(`SELECT EXISTS (SELECT 1 FROM runs WHERE ${isOld})`).pluck().get(before) as number
}

const othersBefore = [
  'DELETE FROM checks WHERE checked_at < ? AND run NOT IN (SELECT id FROM runs)',
  'DELETE FROM quarantined_rows WHERE recorded_at < ?',
  'DELETE FROM candle_revisions WHERE recorded_at < ?',
  'DELETE FROM backups WHERE removed_at < ?',
  'DELETE FROM drills WHERE finished_at < ?',
]

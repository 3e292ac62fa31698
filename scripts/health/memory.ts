import type Database from 'better-sqlite3'
import { countingSync } from '../job/counting_sync.ts'
import type { History } from '../job/history.ts'
import { type Holder, holderOf } from '../job/lock.ts'
import { isAlive } from '../job/process.ts'
import { day, hour } from '../job/time.ts'
import type { BackupFacts } from './backup_status.ts'
import type { CheckResult } from './check.ts'
import type { LastSync } from './data_freshness.ts'
import type { EarlierSize } from './database_size.ts'
import type { RunFacts } from './recent_activity.ts'

/** What the history tells the health check. */
export type Memory = {
  lastSync: LastSync | undefined
  /** Symbols that the last sync found not to trade. */
  untradable: string[]
  backups: BackupFacts[]
  sizes: EarlierSize[]
  newestRuns: RunFacts[]
  endedRuns: RunFacts[]
  holder: Holder | undefined
}

/**
 * Reads what the history tells. `own` is the run that asks, `began` when it did, before it looked at the candles: what
 * came later is not in what it saw. What is dated after `now` is of a clock that was ahead, and must not pass for
 * news. Syncs of some symbols only, or of another interval, do not stand for the daily one.
 */
export function recall(history: History, state: string, own: number, began: number, now: number): Memory {
  const holder = holderOf(state, 'candles')
  return history.transact(database => ({
    lastSync: lastSync(database, began),
    untradable: untradableSymbols(database, began),
    backups: newestBackups(database, now),
    sizes: earlierSizes(database, now),
    newestRuns: newestRuns(database, own, now, holder, 'TRUE'),
    endedRuns: newestRuns(database, own, now, holder, "outcome <> 'running'"),
    holder: holder === 'nobody' ? undefined : holder,
  }))
}

const wholeSync = "job = 'daily_sync' AND coalesce(figures ->> 'everything', 1) = 1"

function lastSync(database: Database.Database, now: number): LastSync | undefined {
  const row = database
    .prepare(
      `SELECT finished_at AS endedAt, figures ->> 'last_closed' AS lastClosed FROM runs
       WHERE ${countingSync} AND finished_at <= ? ORDER BY started_at DESC LIMIT 1`,
    )
    .get(now) as { endedAt: number; lastClosed: string } | undefined
  return row === undefined ? undefined : { endedAt: row.endedAt, lastClosed: Date.parse(row.lastClosed) }
}

/** The symbols that the last sync up to `now` found not to trade. */
export function untradableSymbols(database: Database.Database, now: number): string[] {
  const found = database
    .prepare(
      `SELECT figures -> 'untradable' FROM runs
       WHERE ${wholeSync} AND figures -> 'untradable' IS NOT NULL AND finished_at <= ? ORDER BY started_at DESC LIMIT 1`,
    )
    .pluck()
    .get(now) as string | undefined
  return found === undefined ? [] : (JSON.parse(found) as { symbol: string }[]).map(({ symbol }) => symbol)
}

/** What a clock that was ahead has noted as covered says nothing: then only when it was taken is known. */
function newestBackups(database: Database.Database, now: number): BackupFacts[] {
  return database
    .prepare(
      `SELECT tier, taken_at AS takenAt, max(iif(covers_until <= ?, covers_until, taken_at)) AS coversUntil, bytes FROM backups
       WHERE proven_at IS NOT NULL AND failed_at IS NULL AND removed_at IS NULL AND taken_at <= ? GROUP BY tier ORDER BY tier`,
    )
    .all(now, now) as BackupFacts[]
}

/** Two weeks back, one an hour: enough for a trend, however often monitoring asks. */
function earlierSizes(database: Database.Database, now: number): EarlierSize[] {
  return database
    .prepare(
      `SELECT max(checked_at) AS at, figures ->> 'used_bytes' AS used, figures ->> 'disk_free_bytes' AS diskFree
       FROM checks WHERE name = 'database_size' AND used IS NOT NULL AND diskFree IS NOT NULL
         AND run >= (SELECT min(id) FROM runs WHERE started_at >= ?)
       GROUP BY checked_at / ${hour} ORDER BY at`,
    )
    .all(now - 14 * day) as EarlierSize[]
}

function newestRuns(
  database: Database.Database,
  own: number,
  now: number,
  holder: Holder | 'nobody' | undefined,
  which: string,
): RunFacts[] {
  const rows = database
    .prepare(
      `SELECT job, pid, max(started_at) AS startedAt, finished_at AS finishedAt, outcome, summary, log_file AS logFile
       FROM runs
       WHERE id <> ? AND started_at <= ? AND job NOT IN ('health_check', 'recovery') AND ${which}
         AND (job <> 'daily_sync' OR ${wholeSync})
         AND (job <> 'backup' OR coalesce(figures ->> 'task', 'backup') = 'backup')
       GROUP BY job ORDER BY job`,
    )
    .all(own, now) as Omit<RunFacts, 'alive'>[]
  return rows.map(row => {
    const locked = row.job === 'daily_sync' && holder !== undefined
    const alive = locked ? holder !== 'nobody' && holder.pid === row.pid : isAlive(row.pid)
    return { ...row, alive }
  })
}

/** Keeps what was found. */
export function remember(history: History, run: number, now: number, results: CheckResult[]): void {
  history.transact(database => {
    const insert = database.prepare(
      'INSERT INTO checks (run, name, status, line, figures, checked_at) VALUES (?, ?, ?, ?, ?, ?)',
    )
    for (const { name, status, line, figures } of results)
      insert.run(run, name, status, line, JSON.stringify(figures), now)
  })
}

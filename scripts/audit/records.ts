import type Database from 'better-sqlite3'
import { type Interval, intervals } from '../candles/intervals.ts'
import { countingSync } from '../job/counting_sync.ts'
import type { History } from '../job/history.ts'
import type {
  BackupFact,
  BackupRunFact,
  DrillFact,
  Facts,
  RecoveryFact,
  SoundnessFact,
  SyncFact,
} from './facts.ts'

/** Reads all that an audit needs; `interval`: of the candles that are synced. */
export function readFacts(history: History, interval: Interval): Facts {
  return history.transact(database => {
    const runs = readRuns(database)
    const syncs = readSyncs(database, interval)
    return {
      runs,
      syncs,
      newestCandles: [
        ...syncs.flatMap(({ finishedAt, newestClosed }) =>
          finishedAt === null || newestClosed === null ? [] : [{ at: finishedAt, closedAt: newestClosed }],
        ),
        ...readSeenCandles(database),
      ],
      soundness: readSoundness(database),
      backups: readBackups(database, runs),
      backupRuns: readBackupRuns(database),
      recoveries: readRecoveries(database),
      drills: database
        .prepare(
          `SELECT run, tier, backup, started_at AS startedAt, finished_at AS finishedAt, failure FROM drills
           ORDER BY id`,
        )
        .all() as DrillFact[],
    }
  })
}

function readRuns(database: Database.Database): Facts['runs'] {
  return database
    .prepare('SELECT job, started_at AS startedAt, finished_at AS finishedAt FROM runs ORDER BY id')
    .all() as Facts['runs']
}

/** Figures of a run that say nothing count as none. */
const figure = (path: string) => `CASE WHEN json_valid(figures) THEN figures ->> '${path}' END`

type SyncRow = Omit<SyncFact, 'whole' | 'counts' | 'newestClosed'> & {
  whole: number
  counts: number
  complete: number | null
  interval: string | null
  lastClosed: string | null
}

function readSyncs(database: Database.Database, interval: Interval): SyncFact[] {
  const rows = database
    .prepare(
      `SELECT started_at AS startedAt, finished_at AS finishedAt, outcome, coalesce(summary, '') AS summary,
         coalesce(${figure('everything')}, 1) AS whole, CASE WHEN json_valid(figures) THEN coalesce(${countingSync}, 0) ELSE 0 END AS counts,
         ${figure('complete')} AS complete, ${figure('interval')} AS interval, ${figure('last_closed')} AS lastClosed
       FROM runs WHERE job = 'daily_sync' ORDER BY id`,
    )
    .all() as SyncRow[]
  return rows.map(({ whole, counts, complete, interval: of, lastClosed, ...row }) => {
    const opened = Date.parse(lastClosed ?? '')
    const brought = (complete ?? 0) > 0 && of === interval && !Number.isNaN(opened)
    return {
      ...row,
      whole: whole === 1,
      counts: counts !== 0,
      newestClosed: brought ? opened + intervals[interval].step : null,
    }
  })
}

/** What health checks saw to be the newest candle. */
function readSeenCandles(database: Database.Database): Facts['newestCandles'] {
  const rows = database
    .prepare(
      `SELECT checked_at AS at, ${figure('newest_candle_closed')} AS closed FROM checks
       WHERE name = 'data_freshness' ORDER BY run`,
    )
    .all() as { at: number; closed: string | null }[]
  return rows
    .map(({ at, closed }) => ({ at, closedAt: Date.parse(closed ?? '') }))
    .filter(({ closedAt }) => !Number.isNaN(closedAt))
}

/**
 * Health checks; and what else sees damage: a backup that was refused, a recovery that begins. That one ends is the only
 * other thing that makes the database sound again.
 */
function readSoundness(database: Database.Database): SoundnessFact[] {
  const rows = database
    .prepare(
      `SELECT checked_at AS at, status = 'critical' AS damaged, line FROM checks WHERE name = 'database_integrity'
       UNION ALL
       SELECT finished_at, 1, summary FROM runs
       WHERE job = 'backup' AND finished_at IS NOT NULL AND ${figure('damaged')} = 1
       UNION ALL
       SELECT started_at, 1, 'a recovery found: ' || damage FROM recoveries WHERE damage <> 'none'
       UNION ALL
       SELECT serving_at, 0, 'recovered' FROM recoveries WHERE serving_at IS NOT NULL
       ORDER BY at`,
    )
    .all() as (Omit<SoundnessFact, 'damaged'> & { damaged: number })[]
  return rows.map(row => ({ ...row, damaged: row.damaged === 1 }))
}

type StoredRow = { id: string; tier: string; storedAt: number }

/**
 * `proven_at` is when a backup was last proven. It was proven first before it got its name: by the end of the run that
 * stored it, or during which it was taken.
 */
function readBackups(database: Database.Database, runs: Facts['runs']): BackupFact[] {
  const stored = database
    .prepare(
      `SELECT backup.value ->> 'id' AS id, tier.value ->> 'tier' AS tier, min(finished_at) AS storedAt
       FROM runs, json_each(iif(json_valid(figures), figures, '{}'), '$.tiers') AS tier,
         json_each(tier.value, '$.stored') AS backup
       WHERE job = 'backup' AND finished_at IS NOT NULL GROUP BY 1, 2`,
    )
    .all() as StoredRow[]
  const storedAt = new Map(stored.map(row => [`${row.tier} ${row.id}`, row.storedAt]))
  const ended = runs.filter(({ finishedAt, startedAt }) => finishedAt !== null && finishedAt >= startedAt)
  const rows = database
    .prepare(
      `SELECT id, tier, taken_at AS takenAt, covers_until AS coversUntil, proven_at AS provenAt,
         failed_at AS failedAt, removed_at AS removedAt
       FROM backups WHERE proven_at IS NOT NULL ORDER BY taken_at`,
    )
    .all() as BackupFact[]
  return rows.map(row => {
    const latest = storedAt.get(`${row.tier} ${row.id}`) ?? endOfRunAt(ended, row.takenAt) ?? row.provenAt
    return { ...row, provenAt: Math.max(row.takenAt, Math.min(row.provenAt, latest)) }
  })
}

/** When the run ended during which something happened. */
function endOfRunAt(runs: Facts['runs'], moment: number): number | undefined {
  const during = runs.filter(({ job, startedAt, finishedAt }) => {
    return ['backup', 'recovery'].includes(job) && startedAt <= moment && (finishedAt ?? 0) >= moment
  })
  return during[0]?.finishedAt ?? undefined
}

type BackupRunRow = Omit<BackupRunFact, 'tiers'> & { tiers: string | null }

function readBackupRuns(database: Database.Database): BackupRunFact[] {
  const rows = database
    .prepare(
      `SELECT started_at AS startedAt, outcome, coalesce(summary, '') AS summary,
         CASE WHEN json_valid(figures) THEN figures -> 'tiers' END AS tiers
       FROM runs WHERE job = 'backup' AND coalesce(${figure('task')}, 'backup') = 'backup' ORDER BY id`,
    )
    .all() as BackupRunRow[]
  return rows.map(({ tiers, ...row }) => {
    const results = tiers === null ? undefined : (JSON.parse(tiers) as { tier: string; error: unknown }[])
    return {
      ...row,
      tiers: results?.map(({ tier, error }) => {
        return { tier: tier as BackupFact['tier'], failed: error !== null }
      }),
    }
  })
}

function readRecoveries(database: Database.Database): RecoveryFact[] {
  return database
    .prepare(
      `SELECT id, started_at AS startedAt, serving_at AS servingAt, damage, base, known_lost AS knownLost,
         rpo_ms AS rpoMs
       FROM recoveries ORDER BY started_at`,
    )
    .all() as RecoveryFact[]
}

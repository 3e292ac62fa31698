import { join } from 'node:path'
import Database from 'better-sqlite3'
import { History } from '../../../scripts/job/history.ts'
import { minute } from '../../../scripts/job/time.ts'
import { keptLog } from '../kept_log.ts'

/** Writes rows of a history as the jobs do, at any time. Times in milliseconds since the epoch. */
export type HistoryWriter = {
  run(row: {
    job: string
    from: number
    to: number | null
    outcome?: string
    summary?: string
    figures?: object
  }): number
  /** A daily sync of everything; `counts` and `complete` as its outcome has it where they are not given. */
  sync(
    from: number,
    to: number | null,
    given?: { outcome?: string; counts?: boolean; summary?: string },
  ): void
  /** A health check that looked at the database. */
  check(at: number, status: string, given?: { line?: string; newestClosed?: number }): void
  /** A backup run that brought one to these tiers; to the `failed` ones it could not. */
  backup(
    at: number,
    tiers: string[],
    given?: {
      failed?: string[]
      coversUntil?: number
      removedAt?: number
      failedAt?: number
      verifiedAt?: number
    },
  ): void
  recovery(row: {
    id: string
    from: number
    served: number | null
    damage?: string
    lost?: number
    rpoMs?: number
  }): void
  drill(run: number, tier: string, from: number, to: number, failure?: string): void
  close(): void
}

const candle = 240 * minute

/** Opens the history in the folder `state`; it is made where it is not there. */
export function writeHistory(state: string): HistoryWriter {
  const clock = { now: () => Date.now(), sleep: () => Promise.resolve() }
  History.open(state, keptLog().log, clock).close()
  const database = new Database(join(state, 'ops.db'))
  database.pragma('synchronous = OFF')
  const insertRun = database.prepare(
    `INSERT INTO runs (job, pid, started_at, finished_at, outcome, exit_status, summary, figures)
     VALUES (@job, 1, @from, @to, @outcome, 0, @summary, @figures)`,
  )
  const writer: HistoryWriter = {
    run({ outcome = 'done', summary = '', figures = {}, ...row }) {
      const { lastInsertRowid } = insertRun.run({
        ...row,
        outcome,
        summary,
        figures: JSON.stringify(figures),
      })
      return Number(lastInsertRowid)
    },
    sync(
      from,
      to,
      { outcome = 'done', counts = outcome === 'done', summary = `a sync that is ${outcome}` } = {},
    ) {
      const lastClosed = Math.floor(from / candle) * candle - candle
      const figures = {
        everything: true,
        counts,
        interval: '4h',
        complete: outcome === 'done' ? 3 : counts ? 2 : 0,
        last_closed: new Date(lastClosed).toISOString(),
      }
      writer.run({ job: 'daily_sync', from, to, outcome, summary, figures })
    },
    check(at, status, { line = `it is ${status}`, newestClosed } = {}) {
      const run = writer.run({ job: 'health_check', from: at, to: at })
      const insert = database.prepare(
        'INSERT INTO checks (run, name, status, line, figures, checked_at) VALUES (?, ?, ?, ?, ?, ?)',
      )
      insert.run(run, 'database_integrity', status, line, '{}', at)
      const seen =
        newestClosed === undefined ? {} : { newest_candle_closed: new Date(newestClosed).toISOString() }
      insert.run(run, 'data_freshness', 'ok', '', JSON.stringify(seen), at)
    },
    backup(at, tiers, { failed = [], coversUntil = at, removedAt, failedAt, verifiedAt } = {}) {
      const id = `agent_backup_${new Date(at).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-')}`
      const figures = {
        task: 'backup',
        id,
        tiers: [...tiers, ...failed].map(tier => ({
          tier,
          stored: tiers.includes(tier) ? [{ id, bytes: 1 }] : [],
          error: tiers.includes(tier) ? null : 'the disk is full',
        })),
      }
      const outcome = failed.length === 0 ? 'done' : tiers.length === 0 ? 'failed' : 'partly'
      writer.run({ job: 'backup', from: at, to: at + minute, outcome, figures })
      const insert = database.prepare(
        `INSERT INTO backups (id, tier, taken_at, covers_until, proven_at, bytes, failed_at, removed_at)
         VALUES (?, ?, ?, ?, ?, 1, ?, ?)`,
      )
      for (const tier of tiers)
        insert.run(id, tier, at, coversUntil, verifiedAt ?? at + minute, failedAt ?? null, removedAt ?? null)
    },
    recovery({ id, from, served, damage = 'pages', lost = 0, rpoMs = 0 }) {
      const run = writer.run({ job: 'recovery', from, to: served ?? from + minute })
      database
        .prepare(
          `INSERT INTO recoveries (id, run, started_at, serving_at, finished_at, damage, base, tier, known_lost, rpo_ms,
             rto_ms, quarantine)
           VALUES (?, ?, ?, ?, ?, ?, 'agent_backup', 'hot', ?, ?, ?, '')`,
        )
        .run(id, run, from, served, served, damage, lost, rpoMs, served === null ? null : served - from)
    },
    drill(run, tier, from, to, failure) {
      database
        .prepare('INSERT INTO drills (run, tier, started_at, finished_at, failure) VALUES (?, ?, ?, ?, ?)')
        .run(run, tier, from, to, failure ?? null)
    },
    close: () => void database.close(),
  }
  return writer
}

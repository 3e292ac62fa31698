import type { Condition } from '../job/alerting.ts'
import type { History } from '../job/history.ts'
import { day } from '../job/time.ts'
import type { Case } from './case_file.ts'
import { lossOf } from './loss.ts'

/** Recoveries as the history has them. */
export class RecoveryRecords {
  #history: History
  #run: number

  constructor(history: History, run: number) {
    this.#history = history
    this.#run = run
  }

  /** Notes how far a recovery has come; it can be noted again, also by a run that takes it up. */
  note(found: Case, quarantine: string): void {
    const { id, started_at, serving_at, finished_at, diagnosis, base } = found
    const { salvaged, conflicts, knownLost, rpoMs } = lossOf(found)
    const startedAt = Date.parse(started_at)
    this.#history.transact(database =>
      database
        .prepare(
          `INSERT OR REPLACE INTO recoveries (id, run, started_at, serving_at, finished_at, damage, base, tier,
             salvaged, conflicts, known_lost, rpo_ms, rto_ms, quarantine)
           VALUES (@id, @run, @startedAt, @servingAt, @finishedAt, @damage, @base, @tier,
             @salvaged, @conflicts, @knownLost, @rpoMs, @rtoMs, @quarantine)`,
        )
        .run({
          id,
          run: this.#run,
          startedAt,
          servingAt: timeOrNull(serving_at),
          finishedAt: timeOrNull(finished_at),
          damage: diagnosis.damage,
          base: base === undefined ? null : base.kind === 'backup' ? base.id : base.kind,
          tier: base?.kind === 'backup' ? base.tier : null,
          salvaged,
          conflicts,
          knownLost,
          rpoMs,
          rtoMs: serving_at === undefined ? null : Date.parse(serving_at) - startedAt,
          quarantine,
        }),
    )
  }
}

function timeOrNull(text: string | undefined): number | null {
  return text === undefined ? null : Date.parse(text)
}

/** When a database was last brought back; undefined: never. */
export function lastRecovery(history: History, now: number): { id: string; at: number } | undefined {
  return history.transact(database =>
    database
      .prepare(
        `SELECT id, serving_at AS at FROM recoveries WHERE serving_at IS NOT NULL AND serving_at <= ?
         ORDER BY serving_at DESC LIMIT 1`,
      )
      .get(now),
  ) as { id: string; at: number } | undefined
}

/** Whoever was told of a recovery is told a day later that it is over, unless there has been another. */
export function afterRecovery(history: History, now: number): Condition {
  const last = lastRecovery(history, now)
  const over = last === undefined || now - last.at >= day
  return {
    key: 'recovery',
    severity: over ? 'ok' : 'warning',
    title: over ? 'no recovery within the last day' : `the database has been recovered (${last.id})`,
    details: [],
  }
}

import type { History } from '../job/history.ts'
import type { Drill } from './drill.ts'

/** Drills as the history has them. */
export class DrillRecords {
  #history: History
  #run: number

  /** `run`: the one that makes them. */
  constructor(history: History, run: number) {
    this.#history = history
    this.#run = run
  }

  /** Notes what restoring a backup came to. What was not tried is no drill. */
  note({ tier, id, result, why, startedAt, finishedAt, bytes, ageMs, comparison }: Drill): void {
    if (result === 'archived') return
    this.#history.transact(database =>
      database
        .prepare(
          `INSERT INTO drills (run, tier, backup, started_at, finished_at, bytes, behind_rows, behind_ms, failure)
           VALUES (@run, @tier, @id, @startedAt, @finishedAt, @bytes, @behindRows, @ageMs, @failure)`,
        )
        .run({
          run: this.#run,
          tier,
          id,
          startedAt,
          finishedAt,
          bytes,
          ageMs,
          behindRows: comparison?.behindRows ?? null,
          failure: result === 'proven' ? null : why,
        }),
    )
  }
}

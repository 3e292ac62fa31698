import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Clock } from './clock.ts'
import { codeOf, messageOf } from './errors.ts'
import { migrate } from './history_schema.ts'
import type { Log } from './log.ts'
import { fileStamp } from './time.ts'

/** How a run ended. `killed` is found out by the next run: the process died without saying so. */
export type RunOutcome = 'done' | 'partly' | 'failed' | 'deadline' | 'interrupted' | 'killed'

export type FinishedRun = { outcome: RunOutcome; exitStatus: number; summary: string; figures: object }

/**
 * What candlekeep remembers: `STATE/ops.db`, SQLite in WAL mode, separate from the agent's database so that
 * restoring that one does not rewind this one.
 *
 * It is never in the way of a job. A damaged history is set aside and begun anew; one that cannot be written (full
 * disk, no permission) is kept in memory for this run. Both are said in the log.
 */
export class History {
  #database: Database.Database
  #log: Log
  #clock: Clock

  private constructor(database: Database.Database, log: Log, clock: Clock) {
    this.#database = database
    this.#log = log
    this.#clock = clock
  }

  static open(state: string, log: Log, clock: Clock): History {
    const file = join(state, 'ops.db')
    try {
      mkdirSync(state, { recursive: true })
      return new History(connect(file), log, clock)
    } catch (error) {
      if (!isDamage(error)) return new History(inMemory(error, log), log, clock)
      const aside = `${file}.damaged-${fileStamp(clock.now())}`
      for (const suffix of ['', '-wal', '-shm']) moveIfThere(file + suffix, aside + suffix)
      log.warn(`the history was damaged (${codeOf(error)}): it is set aside as ${aside} and begun anew`)
      return new History(connect(file), log, clock)
    }
  }

  /**
   * Runs `action` on the history in one transaction. Where the history cannot be written, it runs on one in memory
   * instead, so the caller need not care.
   */
  transact<T>(action: (database: Database.Database) => T): T {
    try {
      return this.#database.transaction(() => action(this.#database)).immediate()
    } catch (error) {
      if (!codeOf(error).startsWith('SQLITE_') || this.#database.memory) throw error
      this.#database.close()
      this.#database = inMemory(error, this.#log)
      return this.#database.transaction(() => action(this.#database)).immediate()
    }
  }

  /**
   * Records that a run of `job` has begun and gives its id. The caller holds the job's lock, so an earlier run that
   * still counts as running was killed: it is recorded as such.
   */
  begin(job: string, logFile: string | undefined): number {
    const now = this.#clock.now()
    return this.transact(database => {
      database
        .prepare(
          `UPDATE runs SET outcome = 'killed', finished_at = ?, summary = 'the process died' WHERE job = ? AND outcome = 'running'`,
        )
        .run(now, job)
      return Number(
        database
          .prepare(
            `INSERT INTO runs (job, pid, started_at, outcome, log_file) VALUES (?, ?, ?, 'running', ?)`,
          )
          .run(job, process.pid, now, logFile ?? null).lastInsertRowid,
      )
    })
  }

  finish(run: number, { outcome, exitStatus, summary, figures }: FinishedRun): void {
    const finishedAt = this.#clock.now()
    this.transact(database =>
      database
        .prepare(
          'UPDATE runs SET outcome = ?, exit_status = ?, summary = ?, figures = ?, finished_at = ? WHERE id = ?',
        )
        .run(outcome, exitStatus, summary, JSON.stringify(figures), finishedAt, run),
    )
  }

  /** Whether a run of `job` has ever stored something. */
  hasStored(job: string): boolean {
    return (
      this.transact(database =>
        database
          .prepare("SELECT 1 FROM runs WHERE job = ? AND outcome IN ('done', 'partly') LIMIT 1")
          .get(job),
      ) !== undefined
    )
  }

  close(): void {
    this.#database.close()
  }
}

function connect(file: string): Database.Database {
  const database = new Database(file, { timeout: 5000 })
  try {
    if (file !== ':memory:') database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    migrate(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function inMemory(error: unknown, log: Log): Database.Database {
  log.warn(
    `the history cannot be written (${codeOf(error) || messageOf(error)}): this run is kept in its log only`,
  )
  return connect(':memory:')
}

function isDamage(error: unknown): boolean {
  return ['SQLITE_NOTADB', 'SQLITE_CORRUPT'].some(code => codeOf(error).startsWith(code))
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

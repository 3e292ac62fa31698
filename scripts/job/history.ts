import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import type { Clock } from './clock.ts'
import { isForeign } from './database_header.ts'
import { codeOf, messageOf } from './errors.ts'
import { migrate } from './history_schema.ts'
import type { Log } from './log.ts'
import { isAlive } from './process.ts'
import { fileStamp } from './time.ts'

/** How a run ended. `killed` is found out by the next run: the process died without saying so. */
export type RunOutcome = 'done' | 'partly' | 'failed' | 'deadline' | 'interrupted' | 'killed'

type BegunRun = { job: string; pid: number; startedAt: number; logFile: string | null }

/** A run that has begun, and earlier ones that turn out to have been killed. */
export type Begun = { id: number; killed: { startedAt: number; pid: number }[] }

export type FinishedRun = { outcome: RunOutcome; exitStatus: number; summary: string; figures: object }

/**
 * What candlekeep remembers: `STATE/ops.db`, SQLite in WAL mode, separate from the agent's database so that
 * restoring that one does not rewind this one.
 *
 * It is never in the way of a job. A damaged history is set aside and begun anew; one that cannot be written (full
 * disk, no permission) is kept in memory for this run. Both are said in the log.
 */
export class History {
  #file: string
  #log: Log
  #clock: Clock
  #database: Database.Database
  #readOnly: boolean
  #begunAnew = false
  /** What `begin` recorded, so that `finish` can record it again in a history that was begun anew in between. */
  #begun: BegunRun | undefined

  private constructor(file: string, log: Log, clock: Clock, readOnly: boolean) {
    this.#file = file
    this.#log = log
    this.#clock = clock
    this.#readOnly = readOnly
    try {
      if (!readOnly) mkdirSync(dirname(file), { recursive: true })
      this.#database = readOnly ? connectForReading(file) : connect(file)
    } catch (error) {
      this.#database = this.#substitute(error)
    }
  }

  /** `readOnly`: for a look at things; nothing is made, changed or set aside. */
  static open(state: string, log: Log, clock: Clock, { readOnly = false } = {}): History {
    return new History(join(state, 'ops.db'), log, clock, readOnly)
  }

  /**
   * Runs `action` on the history in one transaction. Where the history is damaged or cannot be written, it runs on
   * a new one or on one in memory instead, so the caller need not care.
   */
  transact<T>(action: (database: Database.Database) => T): T {
    try {
      const transaction = this.#database.transaction(() => action(this.#database))
      return this.#database.readonly ? transaction() : transaction.immediate()
    } catch (error) {
      if (!isUnusable(error) || this.#database.memory) throw error
      this.#database.close()
      this.#database = this.#substitute(error)
      return this.transact(action)
    }
  }

  /** What takes the place of a history that failed with `error`. */
  #substitute(error: unknown): Database.Database {
    if (this.#readOnly) return inMemory(error, this.#log, 'read')
    if (!isDamage(error) || this.#begunAnew) return inMemory(error, this.#log)
    this.#begunAnew = true
    const aside = `${this.#file}.damaged-${fileStamp(this.#clock.now())}`
    try {
      for (const suffix of ['', '-wal', '-shm', '-journal']) moveIfThere(this.#file + suffix, aside + suffix)
      this.#log.warn(`the history was damaged (${codeOf(error)}): it is set aside as ${aside} and begun anew`)
      return connect(this.#file)
    } catch (again) {
      return inMemory(again, this.#log)
    }
  }

  /**
   * Records that a run of `job` has begun. An earlier run that still counts as running though it cannot be, since
   * this one has its lock (`exclusive`) or its process is gone, was killed: it is recorded as such,
   * or as one that passed its deadline where that is why it was killed (`atDeadline`).
   */
  begin(job: string, logFile: string | undefined, { exclusive = true, atDeadline = false } = {}): Begun {
    const now = this.#clock.now()
    const begun = { job, pid: process.pid, startedAt: now, logFile: logFile ?? null }
    this.#begun = begun
    return this.transact(database => {
      const running = database
        .prepare(
          "SELECT id, pid, started_at AS startedAt FROM runs WHERE job = ? AND outcome = 'running' ORDER BY id",
        )
        .all(job) as { id: number; pid: number; startedAt: number }[]
      const killed = running.filter(({ pid }) => exclusive || !isAlive(pid))
      const bury = database.prepare('UPDATE runs SET outcome = ?, finished_at = ?, summary = ? WHERE id = ?')
      const [outcome, summary] = atDeadline
        ? ['deadline', 'killed at the deadline']
        : ['killed', 'the process died']
      for (const { id } of killed) bury.run(outcome, now, summary, id)
      const { lastInsertRowid } = database
        .prepare(
          `INSERT INTO runs (job, pid, started_at, outcome, log_file)
           VALUES (@job, @pid, @startedAt, 'running', @logFile)`,
        )
        .run(begun)
      return { id: Number(lastInsertRowid), killed }
    })
  }

  finish(run: number, { figures, ...ended }: FinishedRun): void {
    const finished = { run, finishedAt: this.#clock.now(), figures: JSON.stringify(figures), ...ended }
    this.transact(database =>
      database
        .prepare(
          `INSERT INTO runs (id, job, pid, started_at, log_file, finished_at, outcome, exit_status, summary, figures)
           VALUES (@run, @job, @pid, @startedAt, @logFile, @finishedAt, @outcome, @exitStatus, @summary, @figures)
           ON CONFLICT (id) DO UPDATE SET finished_at = excluded.finished_at, outcome = excluded.outcome,
             exit_status = excluded.exit_status, summary = excluded.summary, figures = excluded.figures`,
        )
        .run({ ...this.#begun, ...finished }),
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

  /** Whether what was remembered could not be read or written: this run has a history of its own, in memory. */
  get lost(): boolean {
    return this.#database.memory
  }

  close(): void {
    this.#database.close()
  }
}

function connect(file: string): Database.Database {
  refuseForeign(file)
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

function refuseForeign(file: string): void {
  if (isForeign(file)) throw new Database.SqliteError('file is not a database', 'SQLITE_NOTADB')
}

/** A history that is not there yet is an empty one. */
function connectForReading(file: string): Database.Database {
  refuseForeign(file)
  return existsSync(file) ? new Database(file, { readonly: true, timeout: 5000 }) : connect(':memory:')
}

function inMemory(error: unknown, log: Log, what: 'read' | 'written' = 'written'): Database.Database {
  const why = codeOf(error) || messageOf(error)
  log.warn(`the history cannot be ${what} (${why}): this run is kept in its log only`)
  return connect(':memory:')
}

/** Whether the file cannot be used as it is; a value that does not fit is a mistake of who wanted it kept. */
function isUnusable(error: unknown): boolean {
  const mistakes = ['SQLITE_CONSTRAINT', 'SQLITE_MISMATCH', 'SQLITE_RANGE', 'SQLITE_TOOBIG', 'SQLITE_MISUSE']
  const code = codeOf(error)
  return code.startsWith('SQLITE_') && !mistakes.some(mistake => code.startsWith(mistake))
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

import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import type { Clock } from '../job/clock.ts'
import { UserError } from '../job/errors.ts'
import { type Candle, sameCandle } from './candle.ts'
import { type Interval, intervals } from './intervals.ts'
import type { Stored } from './plan.ts'
import type { Range } from './range.ts'
import { asStoreError, isBusy } from './store_errors.ts'

/** What is to be stored of a symbol: candles in ascending order, and the ranges that they were asked for. */
export type Batch = { symbol: string; candles: Candle[] }

/** A stored candle that the exchange now gives otherwise. */
export type Revision = { symbol: string; old: Candle; new: Candle }

export type StoredBatch = { symbol: string; inserted: Candle[]; unchanged: number; revisions: Revision[] }

/** What the store knows of a symbol; candles after the last closed one do not count. */
export type Survey = Stored & {
  count: number
  /** Rows whose open time is off the grid of the interval: somebody else's mistake, left alone and reported. */
  offGrid: number
}

type Row = [number, number, number, number, number, number, number, number]

/** Tries of SQLite's own busy handler; between them the event loop runs, so that a waiting run can be stopped. */
const busyStepMs = 200

/** Rows of an INSERT: fewer calls from JavaScript into SQLite, and the fastest of 1, 10, 50 and 200. */
const rowsAnInsert = 10

const columns = 'timestamp, symbol, open, high, low, close, volume, quote_volume, trades_count'

/**
 * The candles in the trading agent's database. The agent writes its own tables there at any time: only the candle
 * tables are touched, every change is one transaction, the journal mode stays as it is.
 */
export class CandleStore {
  #database: Database.Database
  #file: string
  #table: string
  #step: number
  #clock: Clock
  #signal: AbortSignal

  private constructor(database: Database.Database, options: StoreOptions) {
    this.#database = database
    this.#file = options.file
    this.#table = intervals[options.interval].table
    this.#step = intervals[options.interval].step
    this.#clock = options.clock
    this.#signal = options.signal
  }

  /**
   * Opens the database and makes the candle table where there is none. A database that is missing is made too,
   * unless `expected` says that it has been there before: then its loss must not be papered over.
   */
  static async open(options: StoreOptions): Promise<CandleStore> {
    const { file, expected, readOnly = false } = options
    if (!existsSync(file) && expected) {
      throw new UserError(`the database ${file} is missing, though it has been synced before`, {
        hint: 'Bring it back from a backup, or mount the disk that it is on. To begin a new one: create an empty file there.',
      })
    }
    let database: Database.Database | undefined
    try {
      if (!readOnly) mkdirSync(dirname(file), { recursive: true })
      const missing = readOnly && !existsSync(file)
      database = new Database(missing ? ':memory:' : file, {
        timeout: busyStepMs,
        readonly: readOnly && !missing,
      })
      const store = new CandleStore(database, options)
      if (!readOnly) await store.#prepare(options.busyMs)
      return store
    } catch (error) {
      database?.close()
      throw asStoreError(error, file)
    }
  }

  async #prepare(busyMs: number): Promise<void> {
    // in WAL mode better-sqlite3 defaults to NORMAL: a power cut could take back what was reported as stored
    this.#database.pragma('synchronous = FULL')
    // the survey reads all of the table once: caching that would only take memory
    this.#database.pragma('cache_size = -4000')
    // a transaction that outgrows the cache would otherwise lock readers out before it commits
    this.#database.pragma('cache_spill = OFF')
    if (this.#hasTable()) return this.#checkTable()
    await this.#transaction(busyMs, () => {
      this.#database.exec(`
        CREATE TABLE IF NOT EXISTS ${this.#table} (
          timestamp INTEGER NOT NULL, symbol TEXT NOT NULL, open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL,
          close REAL NOT NULL, volume REAL NOT NULL, quote_volume REAL NOT NULL, trades_count INTEGER NOT NULL,
          PRIMARY KEY (timestamp, symbol)
        );
        CREATE INDEX IF NOT EXISTS idx_${this.#table}_symbol ON ${this.#table} (symbol);
      `)
    })
  }

  /** The table is the agent's: it is taken as it stands, but what we rely on has to be there. */
  #checkTable(): void {
    const there = new Set(
      this.#database.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(this.#table),
    )
    const lacking = columns.split(', ').filter(column => !there.has(column))
    if (lacking.length > 0) {
      throw new UserError(`table ${this.#table} of ${this.#file} has no column ${lacking.join(', ')}`, {
        hint: 'It is not the candle table of the trading agent: check paths.database.',
      })
    }
    try {
      this.#database.prepare(this.#upsertSql(1))
    } catch (error) {
      throw new UserError(
        `table ${this.#table} of ${this.#file} cannot take candles: ${(error as Error).message}`,
        {
          hint: 'It needs a unique key on (timestamp, symbol), or the same candle could be stored twice.',
          cause: error,
        },
      )
    }
  }

  #hasTable(): boolean {
    const table = this.#database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?")
    return table.get(this.#table) !== undefined
  }

  /** What is stored of each symbol up to `lastClosed`, by symbol. */
  survey(lastClosed: number): Map<string, Survey> {
    return this.#reading(() => {
      if (!this.#hasTable()) return new Map<string, Survey>()
      const rows = this.#database
        .prepare(
          `SELECT symbol, count(*) AS count, sum(timestamp % ? <> 0) AS offGrid,
             min(timestamp) AS first, max(timestamp) AS last
           FROM ${this.#table} WHERE timestamp <= ? GROUP BY symbol`,
        )
        .all(this.#step, lastClosed) as (Omit<Survey, 'gaps'> & { symbol: string })[]
      const surveys = rows.map(
        ({ symbol, ...row }) => [symbol, this.#withGaps(symbol, row, lastClosed)] as const,
      )
      return new Map(surveys.filter(([, { count }]) => count > 0))
    })
  }

  /** Only where the count does not fit is each open time looked at. */
  #withGaps(
    symbol: string,
    { count, offGrid, first, last }: Omit<Survey, 'gaps'>,
    lastClosed: number,
  ): Survey {
    const step = this.#step
    if (offGrid === 0 && count === (last - first) / step + 1) return { count, offGrid, first, last, gaps: [] }
    const times = this.#database
      .prepare(
        `SELECT timestamp FROM ${this.#table} WHERE symbol = ? AND timestamp <= ? AND timestamp % ? = 0
         ORDER BY timestamp`,
      )
      .pluck()
      .all(symbol, lastClosed, step) as number[]
    const gaps: Range[] = []
    for (let i = 1; i < times.length; i++) {
      const [before, after] = [times[i - 1] as number, times[i] as number]
      if (after > before + step) gaps.push({ from: before + step, to: after - step })
    }
    const onGrid = { first: times[0] ?? Number.NaN, last: times.at(-1) ?? Number.NaN }
    return { count: times.length, offGrid, ...onGrid, gaps }
  }

  /** Stored candles of a symbol within a range, ascending. */
  candles(symbol: string, { from, to }: Range): Candle[] {
    return this.#reading(() => {
      if (!this.#hasTable()) return []
      // a short range is found by its times, a long one by the symbol's index: the unary plus rules that index out
      const short = (to - from) / this.#step < 1000
      const rows = this.#database
        .prepare(
          `SELECT timestamp, open, high, low, close, volume, quote_volume, trades_count FROM ${this.#table}
           WHERE ${short ? '+symbol' : 'symbol'} = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp`,
        )
        .raw()
        .all(symbol, from, to) as Row[]
      return rows.map(([openTime, open, high, low, close, volume, quoteVolume, trades]) => {
        return { openTime, open, high, low, close, volume, quoteVolume, trades }
      })
    })
  }

  /**
   * Stores batches, each whole, in one transaction. `beforeCommit` sees what has changed while it can still be taken
   * back: whatever has to be on disk before the change is written there. Waits up to `busyMs` for other writers.
   */
  async save(
    batches: Batch[],
    busyMs: number,
    beforeCommit: (stored: StoredBatch[]) => void = () => undefined,
  ): Promise<StoredBatch[]> {
    try {
      return await this.#transaction(busyMs, () => {
        const stored = batches.map(batch => this.#saveBatch(batch))
        beforeCommit(stored)
        return stored
      })
    } catch (error) {
      throw asStoreError(error, this.#file)
    }
  }

  #saveBatch({ symbol, candles }: Batch): StoredBatch {
    const [first, last] = [candles[0], candles.at(-1)]
    if (first === undefined || last === undefined)
      return { symbol, inserted: [], unchanged: 0, revisions: [] }
    const present = new Map(
      this.candles(symbol, { from: first.openTime, to: last.openTime }).map(candle => [
        candle.openTime,
        candle,
      ]),
    )
    const revisions: Revision[] = []
    const inserted: Candle[] = []
    for (const candle of candles) {
      const old = present.get(candle.openTime)
      if (old === undefined) inserted.push(candle)
      else if (!sameCandle(old, candle)) revisions.push({ symbol, old, new: candle })
    }
    this.#upsert(symbol, [...inserted, ...revisions.map(revision => revision.new)])
    return { symbol, inserted, unchanged: candles.length - inserted.length - revisions.length, revisions }
  }

  #upsert(symbol: string, candles: Candle[]): void {
    const whole = this.#database.prepare(this.#upsertSql(rowsAnInsert))
    const values: (number | string)[] = []
    const one = this.#database.prepare(this.#upsertSql(1))
    const remainder = candles.length % rowsAnInsert
    for (const [i, candle] of candles.entries()) {
      const { openTime, open, high, low, close, volume, quoteVolume, trades } = candle
      values.push(openTime, symbol, open, high, low, close, volume, quoteVolume, trades)
      if (i < candles.length - remainder && (i + 1) % rowsAnInsert !== 0) continue
      const statement = i < candles.length - remainder ? whole : one
      statement.run(values)
      values.length = 0
    }
  }

  #upsertSql(rows: number): string {
    const set = columns
      .split(', ')
      .slice(2)
      .map(column => `${column} = excluded.${column}`)
    return `INSERT INTO ${this.#table} (${columns}) VALUES ${Array(rows).fill('(?,?,?,?,?,?,?,?,?)').join(',')}
      ON CONFLICT (timestamp, symbol) DO UPDATE SET ${set.join(', ')}`
  }

  /** Runs `action` in a write transaction; while another process is in the way it waits, without blocking the run. */
  async #transaction<T>(busyMs: number, action: () => T): Promise<T> {
    const until = performance.now() + busyMs
    await this.#whileBusy(until, () => this.#database.exec('BEGIN IMMEDIATE'))
    try {
      const result = action()
      await this.#whileBusy(until, () => this.#database.exec('COMMIT'))
      return result
    } catch (error) {
      // some errors (disk full) have rolled back already
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  async #whileBusy(until: number, action: () => void): Promise<void> {
    for (;;) {
      try {
        return action()
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) throw error
        await this.#clock.sleep(busyStepMs / 4, this.#signal)
      }
    }
  }

  #reading<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      throw asStoreError(error, this.#file)
    }
  }

  close(): void {
    this.#database.close()
  }
}

export type StoreOptions = {
  file: string
  interval: Interval
  /** The database has been there before. */
  expected: boolean
  /** For a look at a plan: nothing is made, nothing can be changed. */
  readOnly?: boolean
  /** How long opening waits for other writers, in milliseconds. */
  busyMs: number
  clock: Clock
  signal: AbortSignal
}

import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { UserError } from '../job/errors.ts'
import { command } from '../job/words.ts'
import { type Candle, sameCandle } from './candle.ts'
import { checkTable, createTable, hasTable, insertSql, updateSql } from './candle_table.ts'
import { type CandleTable, type Interval, intervals } from './intervals.ts'
import type { Range } from './range.ts'
import { asStoreError } from './store_errors.ts'
import { readCandles, type Survey, surveyCandles } from './stored.ts'
import { busyStepMs, inTransaction, type Patience, whenFree } from './transaction.ts'

/** What is to be stored of a symbol: candles in ascending order, each once. */
export type Batch = { symbol: string; candles: Candle[] }

/** A stored candle that the exchange now gives otherwise. */
export type Revision = { symbol: string; old: Candle; new: Candle }

export type StoredBatch = { symbol: string; inserted: Candle[]; unchanged: number; revisions: Revision[] }

/** Rows of an INSERT: fewer calls from JavaScript into SQLite, and the fastest of 1, 10, 50 and 200. */
const rowsAnInsert = 10

/** SQLite's page cache: the daily survey reads all of the table once, and keeping that would only take memory … */
const smallCacheKb = 4_000
/** … but a backfill comes back to the same pages of the index with every symbol. */
const largeCacheKb = 128_000
const manyCandles = 5_000

export type StoreOptions = Patience & {
  file: string
  interval: Interval
  /** The database has been there before. */
  expected: boolean
  /** For a look at a plan: nothing is made, nothing can be changed. */
  readOnly: boolean
}

/**
 * The candles in the trading agent's database. The agent writes its own tables there at any time: only the candle
 * tables are touched, every change is one transaction, the journal mode stays as it is.
 */
export class CandleStore {
  #database: Database.Database
  #table: CandleTable
  #patience: Patience

  private constructor(database: Database.Database, options: StoreOptions) {
    this.#database = database
    this.#table = intervals[options.interval]
    this.#patience = options
  }

  /**
   * Opens the database and makes the candle table where there is none. A database that is missing is made too,
   * unless it is `expected`: then its loss must not be papered over.
   */
  static async open(options: StoreOptions): Promise<CandleStore> {
    const { file, expected, readOnly } = options
    const missing = !existsSync(file)
    if (missing && expected) {
      throw new UserError(`the database ${file} is missing, though it has been synced before`, {
        hint: `Mount the disk that it is on, or bring it back: ${command('db_recovery')}. To begin a new one: touch ${file}`,
      })
    }
    let database: Database.Database | undefined
    try {
      if (!readOnly) mkdirSync(dirname(file), { recursive: true })
      const name = missing && readOnly ? ':memory:' : file
      database = new Database(name, { timeout: busyStepMs, readonly: readOnly && !missing })
      const store = new CandleStore(database, options)
      await store.#prepare(readOnly)
      return store
    } catch (error) {
      database?.close()
      throw asStoreError(error, file)
    }
  }

  async #prepare(readOnly: boolean): Promise<void> {
    const database = this.#database
    const there = await whenFree(this.#patience, () => {
      // in WAL mode better-sqlite3 defaults to NORMAL: a power cut could take back what was reported as stored
      database.pragma('synchronous = FULL')
      database.pragma(`cache_size = ${-smallCacheKb}`)
      // a transaction that outgrows the cache would otherwise lock readers out before it commits
      database.pragma('cache_spill = OFF')
      if (!hasTable(database, this.#table.table)) return false
      checkTable(database, this.#table.table)
      return true
    })
    if (!there && !readOnly)
      await inTransaction(database, this.#patience, () => createTable(database, this.#table.table))
  }

  /** Runs `action`, which reads from this store, and again while another process is in the way. */
  async whenFree<T>(action: () => T): Promise<T> {
    try {
      return await whenFree(this.#patience, action)
    } catch (error) {
      throw asStoreError(error, this.#database.name)
    }
  }

  /** What is stored of each symbol up to `lastClosed`, by symbol. */
  survey(lastClosed: number): Map<string, Survey> {
    return surveyCandles(this.#database, this.#table, lastClosed)
  }

  /** Stored candles of a symbol within a range, ascending. */
  candles(symbol: string, range: Range): Candle[] {
    return readCandles(this.#database, this.#table, symbol, range)
  }

  /**
   * Stores batches, each whole, in one transaction. `beforeCommit` sees what has changed while it can still be taken
   * back: whatever has to be on disk before the change is written there. Waits for other writers as patience allows.
   */
  async save(
    batches: Batch[],
    beforeCommit: (stored: StoredBatch[]) => void = () => undefined,
  ): Promise<StoredBatch[]> {
    try {
      const candles = batches.reduce((sum, batch) => sum + batch.candles.length, 0)
      if (candles > manyCandles) this.#database.pragma(`cache_size = ${-largeCacheKb}`)
      return await inTransaction(this.#database, this.#patience, () => {
        const stored = batches.map(batch => this.#saveBatch(batch))
        beforeCommit(stored)
        return stored
      })
    } catch (error) {
      throw asStoreError(error, this.#database.name)
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
    this.#insert(symbol, inserted)
    this.#update(symbol, revisions)
    return { symbol, inserted, unchanged: candles.length - inserted.length - revisions.length, revisions }
  }

  #insert(symbol: string, candles: Candle[]): void {
    const many = this.#database.prepare(insertSql(this.#table.table, rowsAnInsert))
    const one = this.#database.prepare(insertSql(this.#table.table, 1))
    const whole = candles.length - (candles.length % rowsAnInsert)
    for (let i = 0; i < whole; i += rowsAnInsert) many.run(valuesOf(symbol, candles, i, i + rowsAnInsert))
    for (let i = whole; i < candles.length; i++) one.run(valuesOf(symbol, candles, i, i + 1))
  }

  #update(symbol: string, revisions: Revision[]): void {
    const update = this.#database.prepare(updateSql(this.#table.table))
    for (const { new: candle } of revisions) {
      const [time, , ...values] = valuesOf(symbol, [candle], 0, 1)
      update.run(...values, time, symbol)
    }
  }

  close(): void {
    this.#database.close()
  }
}

/** The rows of `candles` from `start` to before `end`, one after the other, in the order of the table's columns. */
function valuesOf(symbol: string, candles: Candle[], start: number, end: number): (number | string)[] {
  const values: (number | string)[] = []
  for (let i = start; i < end; i++) {
    const { openTime, open, high, low, close, volume, quoteVolume, trades } = candles[i] as Candle
    values.push(openTime, symbol, open, high, low, close, volume, quoteVolume, trades)
  }
  return values
}

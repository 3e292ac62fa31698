import type Database from 'better-sqlite3'
import type { Candle } from './candle.ts'
import { hasTable } from './candle_table.ts'
import type { CandleTable } from './intervals.ts'
import { type KeptSeal, matchesSeal, monthRange } from './seals.ts'
import { readCandles, surveyCandles } from './stored.ts'

/** What a candle table holds of a symbol. Times are open times in milliseconds. */
type SymbolFacts = {
  symbol: string
  /** Candles on the grid that have closed. */
  count: number
  first: number
  last: number
  /** Candles that lack between the first and the last. */
  missing: number
  offGrid: number
}

export type CandleFacts = {
  /** Whether there is a candle table at all. */
  table: boolean
  symbols: SymbolFacts[]
  /** Rows of candles that cannot have closed yet. */
  unclosed: { symbol: string; count: number /** null: its time is no number. */; latest: number | null }[]
}

/** Looks at a candle table as it stands; reads all of it once. Throws what SQLite throws. */
export function inspectCandles(
  database: Database.Database,
  table: CandleTable,
  lastClosed: number,
): CandleFacts {
  if (!hasTable(database, table.table)) return { table: false, symbols: [], unclosed: [] }
  const surveys = surveyCandles(database, table, lastClosed)
  const symbols = [...surveys].map(([symbol, { count, offGrid, first, last, gaps }]) => {
    const missing = gaps.reduce((sum, { from, to }) => sum + (to - from) / table.step + 1, 0)
    return { symbol, count, first, last, missing, offGrid }
  })
  const unclosed = database
    .prepare(
      `SELECT CAST(symbol AS TEXT) AS symbol, count(*) AS count,
         max(iif(typeof(timestamp) = 'integer', timestamp, NULL)) AS latest
       FROM ${table.table} WHERE timestamp > ? GROUP BY symbol ORDER BY latest DESC`,
    )
    .all(lastClosed) as CandleFacts['unclosed']
  return { table: true, symbols, unclosed }
}

/** The seals of a symbol, by month. */
export type SealsOfSymbol = { symbol: string; months: [month: string, kept: KeptSeal][] }

/** Months of stored candles that are not what their seal says. */
export type BrokenSeal = { symbol: string; month: string }

/**
 * Compares stored candles with their seals, each month up to the candle that its seal goes to. A table that is gone
 * breaks every seal. Throws what SQLite throws.
 */
export function inspectSeals(
  database: Database.Database,
  table: CandleTable,
  seals: SealsOfSymbol[],
): BrokenSeal[] {
  return seals.flatMap(({ symbol, months }) => {
    const ranges = months.map(([month]) => monthRange(month, table.step))
    const from = Math.min(...ranges.map(range => range.from))
    const to = Math.max(...ranges.map(range => range.to))
    // one pass over a symbol's rows: they lie together, those of a month do not
    const candles = readCandles(database, table, symbol, { from, to })
    const within = (month: string) => {
      const range = monthRange(month, table.step)
      return candles.slice(indexFrom(candles, range.from), indexFrom(candles, range.to + 1))
    }
    const broken = months.filter(([month, kept]) => !matchesSeal(kept, within(month)))
    return broken.map(([month]) => ({ symbol, month }))
  })
}

/** Index of the first candle, in ascending order, that opens at `time` or later. */
function indexFrom(candles: Candle[], time: number): number {
  let [low, high] = [0, candles.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((candles[middle] as Candle).openTime < time) low = middle + 1
    else high = middle
  }
  return low
}

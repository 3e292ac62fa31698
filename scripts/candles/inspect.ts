import type Database from 'better-sqlite3'
import type { Candle } from './candle.ts'
import { hasTable } from './candle_table.ts'
import { type CandleTable, type Interval, intervals } from './intervals.ts'
import { type KeptSeal, matchesSeal, monthRange } from './seals.ts'
import { readCandles, surveyCandles } from './stored.ts'

/** What a candle table holds of a symbol: closed candles on the grid. Times are open times in milliseconds. */
type SymbolFacts = {
  symbol: string
  count: number
  first: number
  last: number
  /** Candles that lack between the first and the last. */
  missing: number
}

export type CandleFacts = {
  /** Whether there is a candle table at all. */
  table: boolean
  symbols: SymbolFacts[]
  /** Rows that no exchange would give: off the grid of the interval, or with a time or a name that is none. */
  misplaced: { symbol: string; count: number }[]
  /** Rows of candles that cannot have closed yet. `latest` is null where the time is no number. */
  unclosed: { symbol: string; count: number; latest: number | null }[]
}

/** Looks at a candle table as it stands; reads all of it once. Throws what SQLite throws. */
export function inspectCandles(
  database: Database.Database,
  table: CandleTable,
  lastClosed: number,
): CandleFacts {
  if (!hasTable(database, table.table)) return { table: false, symbols: [], misplaced: [], unclosed: [] }
  const symbols = [...surveyCandles(database, table, lastClosed)].map(
    ([symbol, { count, first, last, gaps }]) => {
      const missing = gaps.reduce((sum, { from, to }) => sum + (to - from) / table.step + 1, 0)
      return { symbol, count, first, last, missing }
    },
  )
  const name = "iif(typeof(symbol) = 'text', symbol, '(no name)')"
  const misplaced = database
    .prepare(
      `SELECT ${name} AS symbol, count(*) AS count FROM ${table.table}
       WHERE timestamp <= ?
         AND (timestamp % ? <> 0 OR typeof(timestamp) <> 'integer' OR typeof(symbol) <> 'text')
       GROUP BY 1 ORDER BY 1`,
    )
    .all(lastClosed, table.step) as CandleFacts['misplaced']
  const unclosed = database
    .prepare(
      `SELECT ${name} AS symbol, count(*) AS count,
         max(iif(typeof(timestamp) = 'integer', timestamp, NULL)) AS latest
       FROM ${table.table} WHERE timestamp > ? GROUP BY 1 ORDER BY latest DESC`,
    )
    .all(lastClosed) as CandleFacts['unclosed']
  return { table: true, symbols, misplaced, unclosed }
}

/** The seals of a symbol and interval, by month. `name` names them for good. */
export type SealsOfSymbol = {
  name: string
  interval: Interval
  symbol: string
  months: [month: string, kept: KeptSeal][]
}

/** A month of stored candles that are not what their seal says. */
export type BrokenSeal = { name: string; interval: Interval; symbol: string; month: string }

/**
 * Compares stored candles with their seals, each month up to the candle that its seal goes to. A table that is gone
 * breaks every seal. Throws what SQLite throws.
 */
export function inspectSeals(database: Database.Database, seals: SealsOfSymbol[]): BrokenSeal[] {
  return seals.flatMap(({ name, interval, symbol, months }) => {
    const table = intervals[interval]
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
    return broken.map(([month]) => ({ name, interval, symbol, month }))
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

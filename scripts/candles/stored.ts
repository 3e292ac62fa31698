import type Database from 'better-sqlite3'
import type { Candle } from './candle.ts'
import { hasTable } from './candle_table.ts'
import type { CandleTable } from './intervals.ts'
import type { Stored } from './plan.ts'
import type { Range } from './range.ts'

/** What is known of a symbol from its rows; candles after the last closed one do not count. */
export type Survey = Stored & {
  count: number
  /** Rows whose open time is off the grid of the interval: somebody else's mistake, left alone and reported. */
  offGrid: number
}

type Row = [number, number, number, number, number, number, number, number]

/**
 * What a candle table holds of each symbol up to `lastClosed`, by symbol; nothing where there is no table. Damage can
 * turn a time or a name into anything: a time that is no integer is off the grid, a name that is no text is no symbol.
 */
export function surveyCandles(
  database: Database.Database,
  { table, step }: CandleTable,
  lastClosed: number,
): Map<string, Survey> {
  if (!hasTable(database, table)) return new Map<string, Survey>()
  const rows = database
    .prepare(
      `SELECT symbol, count(*) AS count, sum(timestamp % ? <> 0 OR typeof(timestamp) <> 'integer') AS offGrid,
         min(timestamp) AS first, max(timestamp) AS last
       FROM ${table} WHERE timestamp <= ? GROUP BY symbol HAVING typeof(symbol) = 'text'`,
    )
    .all(step, lastClosed) as (Omit<Survey, 'gaps'> & { symbol: string })[]
  const surveys = rows.map(({ symbol, ...row }) => {
    const { count, offGrid, first, last } = row
    const whole = offGrid === 0 && count === (last - first) / step + 1
    // only where the count does not fit is each open time looked at
    const survey = whole
      ? { ...row, gaps: [] }
      : surveyEachTime(database, { table, step }, symbol, lastClosed)
    return [symbol, { ...survey, offGrid }] as const
  })
  return new Map(surveys.filter(([, { count }]) => count > 0))
}

function surveyEachTime(
  database: Database.Database,
  { table, step }: CandleTable,
  symbol: string,
  lastClosed: number,
): Omit<Survey, 'offGrid'> {
  const times = database
    .prepare(
      `SELECT timestamp FROM ${table} WHERE symbol = ? AND timestamp <= ? AND timestamp % ? = 0
       AND typeof(timestamp) = 'integer' ORDER BY timestamp`,
    )
    .pluck()
    .all(symbol, lastClosed, step) as number[]
  const gaps: Range[] = []
  for (let i = 1; i < times.length; i++) {
    const [before, after] = [times[i - 1] as number, times[i] as number]
    if (after > before + step) gaps.push({ from: before + step, to: after - step })
  }
  return { count: times.length, first: times[0] ?? Number.NaN, last: times.at(-1) ?? Number.NaN, gaps }
}

/** The candles of a symbol within a range, ascending; none where there is no table. */
export function readCandles(
  database: Database.Database,
  { table, step }: CandleTable,
  symbol: string,
  { from, to }: Range,
): Candle[] {
  if (!hasTable(database, table)) return []
  // a short range is found by its times, a long one by the symbol's index: the unary plus rules that index out
  const short = (to - from) / step < 1000
  const rows = database
    .prepare(
      `SELECT timestamp, open, high, low, close, volume, quote_volume, trades_count FROM ${table}
       WHERE ${short ? '+symbol' : 'symbol'} = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp`,
    )
    .raw()
    .all(symbol, from, to) as Row[]
  return rows.map(([openTime, open, high, low, close, volume, quoteVolume, trades]) => {
    return { openTime, open, high, low, close, volume, quoteVolume, trades }
  })
}

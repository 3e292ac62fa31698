import type Database from 'better-sqlite3'
import { day } from '../job/time.ts'
import { hasTable } from './candle_table.ts'
import type { CandleTable } from './intervals.ts'

/** How many candles of a symbol open on a day; `day`: where it begins, UTC, in milliseconds. */
type CandleDay = { symbol: string; day: number; count: number }

export type CandleDays = {
  days: CandleDay[]
  /** Open time of the first candle of any symbol; null: there is none. */
  first: number | null
}

/** Counts the candles that open from `from` up to, and without, `to`, by symbol and day. Throws what SQLite throws. */
export function countCandleDays(
  database: Database.Database,
  { table, step }: CandleTable,
  { from, to }: { from: number; to: number },
): CandleDays {
  if (!hasTable(database, table)) return { days: [], first: null }
  const days = database
    .prepare(
      `SELECT symbol, timestamp / ${day} * ${day} AS day, count(*) AS count FROM ${table}
       WHERE timestamp >= ? AND timestamp < ? AND typeof(timestamp) = 'integer' AND timestamp % ? = 0
         AND typeof(symbol) = 'text'
       GROUP BY 1, 2 ORDER BY 1, 2`,
    )
    .all(from, to, step) as CandleDay[]
  const first = database
    .prepare(`SELECT min(timestamp) FROM ${table} WHERE typeof(timestamp) = 'integer'`)
    .pluck()
    .get() as number | null
  return { days, first }
}

/** The candle intervals that the agent's database has a table for. */
export type Interval = '1h' | '4h' | '1d'

export type CandleTable = {
  /** Length of a candle in milliseconds. */
  step: number
  /** The agent's table, as the mission names it. */
  table: string
}

export const intervals: Record<Interval, CandleTable> = {
  '1h': { step: 3_600_000, table: 'ohlcv_h1' },
  '4h': { step: 14_400_000, table: 'ohlcv_h4' },
  '1d': { step: 86_400_000, table: 'ohlcv_d1' },
}

/** Open time of the newest candle that has closed at `now` (Binance aligns candles to the UTC epoch). */
export function lastClosedOpenTime(now: number, step: number): number {
  return Math.floor(now / step) * step - step
}

/** Whether a table of the agent's is one of candles: those can be fetched again. */
export function isCandleTable(name: string): boolean {
  return Object.values(intervals).some(({ table }) => table === name)
}

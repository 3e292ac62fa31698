/** A closed candle, as the agent's table holds it. */
export type Candle = {
  /** Milliseconds since the epoch, UTC; a multiple of the interval. */
  openTime: number
  open: number
  high: number
  low: number
  close: number
  /** In the coin. */
  volume: number
  /** In USDT. */
  quoteVolume: number
  trades: number
}

export const candleFields = [
  'openTime',
  'open',
  'high',
  'low',
  'close',
  'volume',
  'quoteVolume',
  'trades',
] as const satisfies (keyof Candle)[]

/** Whether two candles are the same to the last bit. */
export function sameCandle(a: Candle, b: Candle): boolean {
  return candleFields.every(field => Object.is(a[field], b[field]))
}

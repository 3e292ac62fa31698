/**
 * The shapes that a source of candles and the replay agree on.
 * Kept apart from the client's own types: what is tested should not define what it is tested against.
 */

export const hour = 3_600_000

/** Length in milliseconds of the intervals that a replay can have; candles are aligned to the UTC epoch. */
export const steps = { '1h': hour, '4h': 4 * hour, '1d': 24 * hour } as const

export type Interval = keyof typeof steps

/** A row of Binance futures REST, `/fapi/v1/klines`: prices and volumes are decimal strings, times are milliseconds. */
export type KlineRow = [
  openTime: number,
  open: string,
  high: string,
  low: string,
  close: string,
  volume: string,
  closeTime: number,
  quoteVolume: string,
  trades: number,
  takerBuyBase: string,
  takerBuyQuote: string,
  ignore: string,
]

/** One of `symbols` in Binance futures REST, `/fapi/v1/exchangeInfo`, with the fields that matter here. */
export type ListedSymbol = {
  symbol: string
  status: string
  onboardDate: number
  deliveryDate: number
  [more: string]: unknown
}

export type ExchangeInfo = {
  serverTime: number
  rateLimits: { rateLimitType: string; interval: string; intervalNum: number; limit: number }[]
  symbols: ListedSymbol[]
  [more: string]: unknown
}

/** Open times from `from` to `to`, both inclusive: the first `limit` of them, or the newest ones without `from`. */
export type Page = { from?: number | undefined; to: number; limit: number }

export type CandleSource = {
  intervals: readonly Interval[]
  /** Whether klines are answered for the symbol: trading and SETTLING ones alike. */
  has(symbol: string): boolean
  /** The answer of `/fapi/v1/exchangeInfo` as it is at `now`. */
  exchangeInfo(now: number): ExchangeInfo
  /** Final candles in ascending order; what is still forming at some time is the replay's business. */
  candles(symbol: string, interval: Interval, page: Page): KlineRow[]
}

import { formatUnits } from './decimals.ts'
import { exchangeInfoOf, perpetual } from './listing.ts'
import { hash, seedOf, smoothNoise } from './noise.ts'
import { type CandleSource, hour, type KlineRow, type ListedSymbol, type Page, steps } from './source.ts'

type GeneratedOptions = {
  symbols: string[]
  /** Listing time, for all or by symbol; the first candle comes some hours later. Default 2020-01-01. */
  onboard?: number | string | Record<string, number | string> | undefined
  /** Delisted symbols with their last moment of trading: TRADING before, SETTLING after it. */
  settling?: Record<string, number | string> | undefined
  /** Another seed is another history. */
  seed?: number | undefined
}

/** What is fixed about a symbol. Prices are counted in ticks, amounts in lots: whole numbers, so that sums are exact. */
type Market = {
  symbol: string
  seed: number
  priceDecimals: number
  lotDecimals: number
  baseTicks: number
  baseLots: number
  onboardDate: number
  /** First and last hour with trades, counted since 1970. */
  firstHour: number
  lastHour: number
  settlesAt: number | undefined
}

/** Waves of the price's logarithm: periods in hours and heights. Together they stay within 4.5 times the base. */
const periods = [13_140, 2_190, 365, 61, 10, 1]
const heights = [0.9, 0.35, 0.15, 0.06, 0.025, 0.004]

const familiarPrices: Record<string, number> = { BTCUSDT: 60_000, ETHUSDT: 2_500, BNBUSDT: 500, SOLUSDT: 120 }

/**
 * Candles that need no data: prices are a function of symbol and hour, candles of 4h and 1d are the sums of their
 * hours, so any range of any interval is there at once, and they agree with each other.
 */
export function generatedSource(options: GeneratedOptions): CandleSource {
  const markets = new Map(options.symbols.map(symbol => [symbol, market(symbol, options)]))
  return {
    intervals: ['1h', '4h', '1d'],
    has: symbol => markets.has(symbol),
    exchangeInfo: now =>
      exchangeInfoOf(
        [...markets.values()].map(each => listed(each, now)),
        now,
      ),
    candles(symbol, interval, page) {
      const found = markets.get(symbol)
      return found ? candles(found, steps[interval] / hour, page) : []
    },
  }
}

function market(
  symbol: string,
  { onboard = '2020-01-01', settling = {}, seed = 0 }: GeneratedOptions,
): Market {
  const own = seedOf(symbol) ^ Math.imul(seed, 0x9e3779b9)
  const price = familiarPrices[symbol] ?? 0.02 * 10_000 ** hash(own, 1)
  const priceDecimals = Math.max(1, 5 - Math.floor(Math.log10(price)))
  const lotDecimals = price > 1000 ? 3 : price > 10 ? 1 : 0
  const quotePerHour = 200_000 + 800_000 * hash(own, 2)
  const listing = typeof onboard === 'object' ? (onboard[symbol] ?? '2020-01-01') : onboard
  const onboardDate = new Date(listing).getTime()
  const end = settling[symbol]
  const settlesAt = end === undefined ? undefined : new Date(end).getTime()
  return {
    symbol,
    seed: own,
    priceDecimals,
    lotDecimals,
    baseTicks: Math.round(price * 10 ** priceDecimals),
    baseLots: Math.round((quotePerHour / price) * 10 ** lotDecimals),
    onboardDate,
    firstHour: Math.floor(onboardDate / hour) + 1 + Math.floor(72 * hash(own, 3)),
    lastHour: settlesAt === undefined ? Infinity : Math.ceil(settlesAt / hour) - 1,
    settlesAt,
  }
}

function listed(
  { symbol, onboardDate, settlesAt, priceDecimals, lotDecimals }: Market,
  now: number,
): ListedSymbol {
  const settling = settlesAt !== undefined && now >= settlesAt
  return perpetual({
    symbol,
    status: settling ? 'SETTLING' : 'TRADING',
    onboardDate,
    deliveryDate: settling ? settlesAt : undefined,
    pricePrecision: priceDecimals,
    quantityPrecision: lotDecimals,
  })
}

/** `span`: hours of a candle. */
function candles(of: Market, span: number, { from, to, limit }: Page): KlineRow[] {
  const step = span * hour
  const newest = Math.min(Math.floor(to / step), Math.floor(of.lastHour / span))
  const oldest = Math.floor(of.firstHour / span)
  const first = Math.max(oldest, from === undefined ? newest - limit + 1 : Math.ceil(from / step))
  const last = Math.min(newest, first + limit - 1)
  const rows: KlineRow[] = []
  for (let n = first; n <= last; n++) rows.push(candle(of, n * span, span))
  return rows
}

function candle(of: Market, start: number, span: number): KlineRow {
  const begin = Math.max(start, of.firstHour)
  const end = Math.min(start + span - 1, of.lastHour)
  const open = ticksAt(of, begin)
  let close = open
  let high = open
  let low = open
  let lots = 0
  let quote = 0
  let trades = 0
  let takerLots = 0
  let takerQuote = 0
  for (let at = begin; at <= end; at++) {
    const before = close
    close = ticksAt(of, at + 1)
    const top = Math.max(before, close)
    const bottom = Math.min(before, close)
    high = Math.max(high, top + Math.floor(top * 0.006 * hash(of.seed + 11, at)))
    low = Math.min(low, bottom - Math.floor(bottom * 0.006 * hash(of.seed + 12, at)))
    const busy = hash(of.seed + 13, at)
    const traded = 1 + Math.floor(of.baseLots * (0.2 + busy * busy + (20 * (top - bottom)) / bottom))
    const taken = Math.floor(traded * (0.4 + 0.2 * hash(of.seed + 14, at)))
    const average = Math.round((top + bottom) / 2)
    lots += traded
    quote += traded * average
    takerLots += taken
    takerQuote += taken * average
    trades += 1 + Math.floor(2000 * busy)
  }
  const { priceDecimals, lotDecimals } = of
  return [
    start * hour,
    formatUnits(open, priceDecimals),
    formatUnits(high, priceDecimals),
    formatUnits(low, priceDecimals),
    formatUnits(close, priceDecimals),
    formatUnits(lots, lotDecimals),
    (start + span) * hour - 1,
    formatUnits(quote, priceDecimals + lotDecimals),
    trades,
    formatUnits(takerLots, lotDecimals),
    formatUnits(takerQuote, priceDecimals + lotDecimals),
    '0',
  ]
}

/** Price in ticks at the beginning of an hour: the close of the hour before, the open of this one. */
function ticksAt({ seed, baseTicks }: Market, at: number): number {
  let log = 0
  // A plain loop: this runs some thousand times for a page.
  for (let n = 0; n < periods.length; n++) {
    log += (heights[n] ?? 0) * smoothNoise(seed + 21 + n, at, periods[n] ?? 1)
  }
  return Math.round(baseTicks * Math.exp(log))
}

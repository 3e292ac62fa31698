import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { aggregate } from './aggregate.ts'
import { perpetual } from './listing.ts'
import { Recording } from './recording.ts'
import { type CandleSource, type ExchangeInfo, type KlineRow, type Page, steps } from './source.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Where the recorded market data is: `$MARKET_DATA_DIR`, else beside the project. */
export function marketDataDir(): string {
  return process.env['MARKET_DATA_DIR'] || join(root, '../shared/market-data')
}

export function hasMarketData(): boolean {
  return existsSync(join(marketDataDir(), 'candles'))
}

/**
 * For tap's `skip`: the reason to skip a test that needs the recordings. With `CI=true` it is always false: there,
 * their absence is a failure.
 */
export function skipWithoutMarketData(): string | false {
  if (hasMarketData() || process.env['CI'] === 'true') return false
  return `no recorded market data in ${marketDataDir()} (set MARKET_DATA_DIR)`
}

/**
 * The recorded 4h candles of a symbol as they stand in the file, by its column names (`timestamp_ms`, `open`, `high`,
 * `low`, `close`, `volume`, `quote_volume`): the truth to compare with.
 */
export function recordedCandles(symbol: string): Record<string, string>[] {
  const recording = openRecording(symbol)
  if (!recording) throw new Error(`No recorded candles of ${symbol} in ${marketDataDir()}`)
  return recording.cells()
}

type RecordedOptions = {
  /** Lists MATICUSDT too, delisted 2024-09-11, as SETTLING with its candles of 2022 to 2024. */
  withDelisted?: boolean | undefined
}

/**
 * Binance as it was recorded, up to 2026-03-16T04:00Z. 4h as recorded and 1d added up from it (the last day of a
 * symbol holds what was recorded of it); 1h was not recorded and is refused as an invalid interval. Listed symbols
 * whose candles were not recorded have no candles.
 */
export function recordedSource({ withDelisted = false }: RecordedOptions = {}): CandleSource {
  const recordings = new Map<string, Recording | undefined>()
  let listing: { info: ExchangeInfo; names: Set<string> } | undefined

  const listed = () => {
    listing ??= readListing(withDelisted)
    return listing
  }
  const recording = (symbol: string) => {
    if (!recordings.has(symbol)) recordings.set(symbol, openRecording(symbol))
    return recordings.get(symbol)
  }

  return {
    intervals: ['4h', '1d'],
    has: symbol => listed().names.has(symbol),
    exchangeInfo: now => ({ ...listed().info, serverTime: now }),
    candles(symbol, interval, page) {
      const found = recording(symbol)
      if (!found) return []
      return interval === '1d' ? days(found, page) : found.page(page)
    },
  }
}

/** Recorded symbols outside the folder of the configured ones. */
const others: Record<string, { file: string; dropLast?: boolean }> = {
  MATICUSDT: { file: 'faults/MATICUSDT-4h.csv.gz' },
  SKRUSDT: { file: 'faults/SKRUSDT-4h.12col.csv.gz', dropLast: true },
}

const delisted = perpetual({
  symbol: 'MATICUSDT',
  status: 'SETTLING',
  onboardDate: Date.parse('2020-10-22T07:00:00Z'),
  deliveryDate: Date.parse('2024-09-11T09:00:00Z'),
  pricePrecision: 4,
  quantityPrecision: 0,
})

function openRecording(symbol: string): Recording | undefined {
  const dir = marketDataDir()
  const name = `${symbol}-4h.csv.gz`
  // Looked up among the names that exist: a symbol comes from a request and may be any text.
  if (readdirSync(join(dir, 'candles')).includes(name))
    return new Recording(join(dir, 'candles', name), steps['4h'])
  const other = Object.hasOwn(others, symbol) ? others[symbol] : undefined
  return other && new Recording(join(dir, other.file), steps['4h'], other)
}

function readListing(withDelisted: boolean): { info: ExchangeInfo; names: Set<string> } {
  const file = join(marketDataDir(), 'api/exchangeInfo.derived-2026-03-16.json.gz')
  const info: ExchangeInfo = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8'))
  if (withDelisted) info.symbols.push(delisted)
  return { info, names: new Set(info.symbols.map(({ symbol }) => symbol)) }
}

function days(recording: Recording, { from, to, limit }: Page): KlineRow[] {
  const { times } = recording
  const day = steps['1d']
  const newest = Math.floor(Math.min(to, times.at(-1) ?? 0) / day)
  const oldest = Math.floor((times[0] ?? 0) / day)
  const first = Math.max(oldest, from === undefined ? newest - limit + 1 : Math.ceil(from / day))
  const last = Math.min(newest, first + limit - 1)
  return aggregate(recording.page({ from: first * day, to: (last + 1) * day - 1, limit: Infinity }), day)
}

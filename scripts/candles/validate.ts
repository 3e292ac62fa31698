import type { Candle } from './candle.ts'
import type { Range } from './range.ts'

/** A row that is not stored: as it came, and why. */
export type RejectedRow = { raw: string; reason: string }

export type ValidatedPage = {
  candles: Candle[]
  rejected: RejectedRow[]
  /** Newest open time within the range that any row names, a rejected one too: how far the page reaches. */
  reached: number | undefined
}

/** Prices and volumes come as decimal strings, times and counts as whole numbers (Binance futures REST, klines). */
const decimal = /^-?\d+(\.\d+)?$/

/**
 * Judges each row of a klines answer. A row is good when it has twelve columns of finite numbers, an open time on the
 * grid and inside the range that was asked for, a sound price range, and comes after the row before it. Two rows of
 * one time that differ are both rejected: nobody can say which is true.
 */
export function validateRows(rows: readonly unknown[], { from, to }: Range, step: number): ValidatedPage {
  const candles: Candle[] = []
  const rejected: RejectedRow[] = []
  let previous = Number.NEGATIVE_INFINITY
  let reached: number | undefined
  const doubtful = differingTwins(rows)

  for (const row of rows) {
    const candle = parseRow(row)
    const time = Array.isArray(row) ? numberFrom(row[0]) : Number.NaN
    if (time % step === 0 && time >= from && time <= to) reached = Math.max(time, reached ?? time)
    const reason =
      typeof candle === 'string'
        ? candle
        : doubtful.has(candle.openTime)
          ? 'two rows of this time that differ'
          : faultOf(candle, previous, { from, to }, step)
    if (typeof candle === 'string' || reason !== undefined) {
      rejected.push({ raw: rawText(row), reason: reason ?? 'not a row' })
      continue
    }
    candles.push(candle)
    previous = candle.openTime
  }
  return { candles, rejected, reached }
}

/** The row as a candle, or what is wrong with its form. */
function parseRow(row: unknown): Candle | string {
  if (!Array.isArray(row)) return row === null ? 'null where a row is expected' : 'not a row'
  if (row.length !== 12) return `${row.length} columns, not 12`
  const [openTime, open, high, low, close, volume, , quoteVolume, trades] = row as unknown[]
  const candle = {
    openTime: numberFrom(openTime),
    open: numberFrom(open),
    high: numberFrom(high),
    low: numberFrom(low),
    close: numberFrom(close),
    volume: numberFrom(volume),
    quoteVolume: numberFrom(quoteVolume),
    trades: numberFrom(trades),
  }
  const wrong = Object.entries(candle).find(([, value]) => !Number.isFinite(value))
  return wrong === undefined ? candle : `${wrong[0]} is not a number`
}

/** NaN for anything but a finite number or its plain decimal form: `Number('')` would be a price of 0. */
function numberFrom(value: unknown): number {
  const plain = typeof value === 'number' || (typeof value === 'string' && decimal.test(value))
  // SQLite keeps -0 as 0: without the sum, such a candle would differ from what is stored for ever
  return plain ? Number(value) + 0 : Number.NaN
}

function faultOf(candle: Candle, previous: number, { from, to }: Range, step: number): string | undefined {
  const { openTime, open, high, low, close, volume, quoteVolume, trades } = candle
  if (openTime % step !== 0) return 'open time off the grid of the interval'
  if (openTime < from || openTime > to) return 'open time outside the range that was asked for'
  if (openTime === previous) return 'the same row twice'
  if (openTime < previous) return 'open time before that of the row above'
  if (low <= 0) return 'a price that is not positive'
  if (low > high) return 'low above high'
  if (Math.min(open, close) < low || Math.max(open, close) > high) return 'open or close outside low to high'
  if (volume < 0 || quoteVolume < 0) return 'negative volume'
  if (trades < 0 || !Number.isSafeInteger(trades)) return 'a number of trades that is not a count'
  return undefined
}

/** Open times that stand in the answer more than once, with different contents. */
function differingTwins(rows: readonly unknown[]): Set<number> {
  const texts = new Map<number, string>()
  const differing = new Set<number>()
  for (const row of rows) {
    if (!Array.isArray(row)) continue
    const time = numberFrom(row[0])
    const text = JSON.stringify(row)
    if ((texts.get(time) ?? text) !== text) differing.add(time)
    texts.set(time, text)
  }
  return differing
}

/** The row as text for the quarantine, cut where it is absurdly long. */
function rawText(row: unknown): string {
  return (JSON.stringify(row) ?? String(row)).slice(0, 2000)
}

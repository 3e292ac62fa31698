import { createHash } from 'node:crypto'
import { type Candle, candleFields } from './candle.ts'
import type { Range } from './range.ts'

/**
 * What the stored candles of a symbol and month must look like: a digest of all up to the open time `last`. SQLite's
 * own checks miss half of all flipped bits; a price that changed without a recorded revision does not match its seal.
 */
export type Seal = { last: number; digest: string }

/** A seal as it is kept. */
export type KeptSeal = {
  /** undefined: nothing was sealed before the commit that `pending` belongs to. */
  sealed: Seal | undefined
  /** What it becomes with a commit that may or may not have happened. */
  pending: Seal | undefined
}

/** Seals by symbol, then by month (`2026-03`). */
export type KeptSeals = Map<string, Map<string, KeptSeal>>

export function monthOf(time: number): string {
  return new Date(time).toISOString().slice(0, 7)
}

/** The open times that a month has on the grid of `step`. */
export function monthRange(month: string, step: number): Range {
  const [year, index] = month.split('-').map(Number) as [number, number]
  return { from: Date.UTC(year, index - 1), to: Date.UTC(year, index) - step }
}

/** The months that a range touches, ascending. */
export function monthsIn({ from, to }: Range): string[] {
  const months: string[] = []
  const date = new Date(from)
  for (let time = Date.UTC(date.getUTCFullYear(), date.getUTCMonth()); time <= to; ) {
    months.push(monthOf(time))
    const next = new Date(time)
    time = Date.UTC(next.getUTCFullYear(), next.getUTCMonth() + 1)
  }
  return months
}

/** SHA-256 over the candles' eight numbers as they are stored, in order of time; undefined where there are none. */
export function seal(candles: Candle[]): Seal | undefined {
  const last = candles.at(-1)
  if (last === undefined) return undefined
  const numbers = new Float64Array(candles.length * candleFields.length)
  let i = 0
  // damage can turn a number into text or NULL: NaN then, which no sound candle has
  for (const candle of candles) {
    for (const field of candleFields)
      numbers[i++] = typeof candle[field] === 'number' ? candle[field] : Number.NaN
  }
  return { last: last.openTime, digest: createHash('sha256').update(numbers).digest('hex') }
}

/** Whether the stored candles of a month are what its seal says, before or after a commit that was under way. */
export function matchesSeal(kept: KeptSeal, candles: Candle[]): boolean {
  return kept.sealed === undefined || matchingSeal(kept, candles) !== undefined
}

/**
 * Which of the two states of a seal the stored candles of a month are in; undefined: neither. The pending one comes
 * first: after a commit that only added candles, both match, and the older one says nothing of those.
 */
export function matchingSeal({ sealed, pending }: KeptSeal, candles: Candle[]): Seal | undefined {
  return [pending, sealed].find(expected => {
    if (expected === undefined) return false
    const found = seal(candles.filter(({ openTime }) => openTime <= expected.last))
    return found?.last === expected.last && found.digest === expected.digest
  })
}

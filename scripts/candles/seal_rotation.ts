import { day } from '../job/time.ts'

/** A symbol, and when its stored candles were last compared with their seals (or sealed, where never). */
export type Verified = { symbol: string; at: number }

/**
 * The symbols whose seals a check at `now` compares, where the next one comes `everyMs` later: those that would be
 * more than a day old before the next check is over, and in any case a fair share of them all, the oldest first. So
 * each is read again at least once a day, and no check has more to do than its part.
 */
export function dueSymbols(verified: Verified[], now: number, everyMs: number): string[] {
  const oldestFirst = verified.toSorted((a, b) => a.at - b.at)
  const share = Math.ceil((verified.length * everyMs) / day)
  const late = oldestFirst.filter(({ at }) => at + day < now + 1.5 * everyMs).length
  return oldestFirst.slice(0, Math.max(share, late)).map(({ symbol }) => symbol)
}

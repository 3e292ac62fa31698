import type { History } from '../job/history.ts'
import { day } from '../job/time.ts'
import type { SealsOfSymbol } from './inspect.ts'
import { type Interval, intervals } from './intervals.ts'
import { CandleRecords } from './records.ts'

/** Sealed candles, and when they were last compared with their seals (or sealed, where never). */
export type Verified = { name: string; at: number }

/**
 * The names of what a check at `now` compares, where the next one comes `everyMs` later: those that would be more than
 * a day old before the next check is over, and in any case a fair share of them all, the oldest first. So each is read
 * again at least once a day, and no check has more to do than its part.
 */
export function dueSeals(verified: Verified[], now: number, everyMs: number): string[] {
  // what lies ahead is of a clock that was wrong, and says nothing
  const known = verified.map(({ name, at }) => ({ name, at: at > now ? 0 : at }))
  const oldestFirst = known.toSorted((a, b) => a.at - b.at)
  const share = Math.ceil((known.length * everyMs) / day)
  const late = oldestFirst.filter(({ at }) => at + day < now + 1.5 * everyMs).length
  return oldestFirst.slice(0, Math.max(share, late)).map(({ name }) => name)
}

/** The seals of all symbols and intervals, by name (`4h BTCUSDT`). */
export class SealBook {
  #records: [Interval, CandleRecords][]

  constructor(history: History, now: () => number) {
    const all = Object.keys(intervals) as Interval[]
    this.#records = all.map(interval => [interval, new CandleRecords(history, interval, 0, now)])
  }

  verified(): Verified[] {
    return this.#records.flatMap(([interval, records]) =>
      records.verifiedSymbols().map(({ symbol, at }) => ({ name: nameOf(interval, symbol), at })),
    )
  }

  /** The seals of these names, as they are now. */
  seals(names: ReadonlySet<string>): SealsOfSymbol[] {
    return this.#records.flatMap(([interval, records]) =>
      [...records.seals()]
        .map(([symbol, months]) => ({
          name: nameOf(interval, symbol),
          interval,
          symbol,
          months: [...months],
        }))
        .filter(({ name }) => names.has(name)),
    )
  }

  /** The stored candles of these names were just found to be what their seals say. */
  markVerified(names: ReadonlySet<string>): void {
    for (const [interval, records] of this.#records) {
      const symbols = records.verifiedSymbols().map(({ symbol }) => symbol)
      records.markVerified(symbols.filter(symbol => names.has(nameOf(interval, symbol))))
    }
  }
}

function nameOf(interval: Interval, symbol: string): string {
  return `${interval} ${symbol}`
}

import type { CandleDays } from '../candles/candle_days.ts'
import { day } from '../job/time.ts'
import type { Facts } from './facts.ts'
import type { Rules } from './rules.ts'
import type { Span } from './spans.ts'

/** What is stored of a symbol's candles of a day, and what should be. */
type CoverageCell = { stored: number; expected: number }

/** A line of cells a symbol, one a day. */
export type Coverage = {
  /** Where the days begin, UTC, in milliseconds. */
  days: number[]
  symbols: { symbol: string; trades: boolean; cells: CoverageCell[] }[]
  stored: number
  expected: number
}

type Wanted = {
  asked: Span
  /** Length of a candle. */
  step: number
  symbols: readonly string[]
  /** Those of them that the exchange does not trade: nothing is expected of them. */
  untradable: ReadonlySet<string>
  /** Open time of the first candle that the exchange has, by symbol, where that is known. */
  firstCandles: ReadonlyMap<string, number>
  /** Open time of the newest candle that should be there. */
  upTo: number
}

/** Which candles are there of those that should be, on all days that the time touches. */
export function coverageOf({ days: found, first }: CandleDays, wanted: Wanted): Coverage {
  const { asked, step, symbols, untradable, firstCandles, upTo } = wanted
  const until = Math.min(asked.to, upTo + step)
  const days: number[] = []
  for (let at = Math.floor(asked.from / day) * day; at < until; at += day) days.push(at)
  const counts = new Map(found.map(one => [`${one.symbol}\n${one.day}`, one.count]))
  const rows = symbols.map(symbol => {
    const trades = !untradable.has(symbol)
    const from = firstCandles.get(symbol) ?? first ?? Number.POSITIVE_INFINITY
    const cells = days.map(at => ({
      stored: counts.get(`${symbol}\n${at}`) ?? 0,
      expected: trades
        ? opensWithin({ from: Math.max(at, from), to: Math.min(at + day, upTo + 1) }, step)
        : 0,
    }))
    return { symbol, trades, cells }
  })
  const sum = (of: (cell: CoverageCell) => number) =>
    rows.reduce((total, { cells }) => cells.reduce((part, cell) => part + of(cell), total), 0)
  return {
    days,
    symbols: rows,
    // what is there beyond what is expected makes up for nothing
    stored: sum(({ stored, expected }) => Math.min(stored, expected)),
    expected: sum(({ expected }) => expected),
  }
}

/** How many candles open in a time; they are aligned to the epoch. */
function opensWithin({ from, to }: Span, step: number): number {
  return to <= from ? 0 : Math.max(0, Math.ceil(to / step) - Math.ceil(from / step))
}

/**
 * Open time of the newest candle that should be there at a moment: the one that the last sync that counts went up to, or, where
 * that is too long ago, the newest that is not too old to lack. `step`: length of a candle.
 */
export function newestExpected({ syncs }: Facts, { fresh }: Rules, moment: number, step: number): number {
  const brought = syncs.flatMap(({ counts, finishedAt, newestClosed }) => {
    return counts && finishedAt !== null && finishedAt <= moment && newestClosed !== null
      ? [newestClosed]
      : []
  })
  const closed = brought.reduce((a, b) => Math.max(a, b), moment - fresh.candleMs)
  return Math.floor(Math.min(closed, moment) / step) * step - step
}

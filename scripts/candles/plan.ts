import { countIn, type Range } from './range.ts'
import { rangeWeight } from './weight.ts'

/** What the store holds of a symbol, up to the last closed candle. */
export type Stored = {
  first: number
  last: number
  /** Runs of candles that lack between first and last. */
  gaps: Range[]
}

/** Everything that a symbol's plan depends on. Times are open times in milliseconds. */
export type PlanInput = {
  step: number
  /** Newest candle that has closed. */
  lastClosed: number
  /** undefined: nothing is stored. */
  stored: Stored | undefined
  /** First candle that the exchange has, where it is known. */
  firstCandle: number | undefined
  /** Where a symbol starts of which nothing is stored. */
  start: number
  /** Stored candles that are read again whenever there is something new. */
  lookback: number
  /** `--since`: everything from here on is wanted. */
  since: number | undefined
  /** `--lookback`: the newest candles that are read again in any case. */
  rereadLast: number | undefined
  /** `--reread`: everything from `since` on is read again, also what is stored. */
  reread: boolean
  /** Months whose stored candles do not match their seal; all of each is read again. */
  suspect: Range[]
}

/**
 * What to fetch of a symbol: ranges in ascending order that neither touch nor overlap. Where nothing is new, nothing
 * lacks and nothing was asked for, that is nothing at all.
 */
export function planRanges(input: PlanInput): Range[] {
  const { step, lastClosed, stored, firstCandle, start, lookback, since, rereadLast, reread, suspect } = input
  const wanted: Range[] = [...suspect]
  const back = (last: number, candles: number) => last - (candles - 1) * step

  if (stored === undefined) {
    wanted.push({ from: Math.min(since ?? start, back(lastClosed, lookback)), to: lastClosed })
  } else {
    wanted.push(...stored.gaps)
    if (stored.last < lastClosed) wanted.push({ from: newestFrom(stored, lookback, step), to: lastClosed })
    if (since !== undefined) wanted.push({ from: since, to: stored.first - step })
  }
  if (reread && since !== undefined) wanted.push({ from: since, to: lastClosed })
  if (rereadLast !== undefined) wanted.push({ from: back(lastClosed, rereadLast), to: lastClosed })

  const earliest = firstCandle ?? Number.NEGATIVE_INFINITY
  const onGrid = wanted.map(({ from, to }) => ({
    from: Math.max(earliest, Math.ceil(from / step) * step),
    to: Math.min(to, lastClosed),
  }))
  return mergeRanges(onGrid, step)
}

/** What a plan costs in request weight. */
export function planWeight(ranges: Range[], step: number): number {
  return ranges.reduce((sum, range) => sum + rangeWeight(countIn(range, step)), 0)
}

/** Where the newest `count` stored candles begin: what lacks between them does not count. */
function newestFrom({ first, last, gaps }: Stored, count: number, step: number): number {
  let from = last - (count - 1) * step
  for (const gap of gaps.toReversed()) {
    if (gap.to < from) break
    from -= countIn(gap, step) * step
  }
  return Math.max(first, from)
}

/**
 * Puts ranges together that touch or overlap, and then those that are cheaper to fetch in one: two small gaps with a
 * few stored candles between them cost one request, not two.
 */
function mergeRanges(ranges: Range[], step: number): Range[] {
  const ascending = ranges.filter(({ from, to }) => from <= to).sort((a, b) => a.from - b.from)
  const apart = joinNeighbours(ascending, (last, next) => next.from <= last.to + step)
  return joinNeighbours(apart, (last, next) => {
    return planWeight([{ from: last.from, to: next.to }], step) <= planWeight([last, next], step)
  })
}

function joinNeighbours(ranges: Range[], belong: (last: Range, next: Range) => boolean): Range[] {
  const joined: Range[] = []
  for (const range of ranges) {
    const last = joined.at(-1)
    if (last !== undefined && belong(last, range)) last.to = Math.max(last.to, range.to)
    else joined.push({ ...range })
  }
  return joined
}

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
    const again = Math.max(stored.first, back(stored.last, lookback))
    if (stored.last < lastClosed) wanted.push({ from: again, to: lastClosed })
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

/**
 * Puts ranges together that touch or overlap, and those that are cheaper to fetch in one: two small gaps with a few
 * stored candles between them cost one request, not two.
 */
function mergeRanges(ranges: Range[], step: number): Range[] {
  const merged: Range[] = []
  for (const range of ranges.filter(({ from, to }) => from <= to).sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    const joint = last === undefined ? range : { from: last.from, to: Math.max(last.to, range.to) }
    const touching = last !== undefined && range.from <= last.to + step
    if (last !== undefined && (touching || planWeight([joint], step) <= planWeight([last, range], step))) {
      last.to = joint.to
    } else merged.push({ ...range })
  }
  return merged
}

import type { Candle } from './candle.ts'
import type { Exchange } from './exchange.ts'
import { ExchangeFailure } from './failure.ts'
import { type Interval, intervals } from './intervals.ts'
import type { SymbolPlan } from './planner.ts'
import { clipFrom, countIn, type Range } from './range.ts'
import { type RejectedRow, validateRows } from './validate.ts'
import { pageLimit } from './weight.ts'

export type Fetched = {
  /** Valid candles in ascending order, each once. */
  candles: Candle[]
  rejected: RejectedRow[]
  /** What was asked for, without what lies before the symbol's first candle. */
  ranges: Range[]
  /** First candle that the exchange has, where it is known now. */
  firstCandle: number | undefined
  /** A line for each thing that went wrong on the way. */
  troubles: string[]
  /** Why not everything could be fetched. What came before is still good. */
  failure: ExchangeFailure | undefined
}

/** Fetches a symbol's ranges page by page. Never throws for what the exchange does wrong: `failure` has it. */
export async function fetchSymbol(
  exchange: Exchange,
  { symbol, ranges, stored, firstCandle }: SymbolPlan,
  interval: Interval,
  lastClosed: number,
): Promise<Fetched> {
  const { step } = intervals[interval]
  const fetched: Fetched = {
    candles: [],
    rejected: [],
    ranges,
    firstCandle,
    troubles: [],
    failure: undefined,
  }

  /** Rows within `range`, judged; `fetched` gets what is wrong with them. */
  async function page(range: Range, limit: number, mayBeEmpty: boolean): Promise<Candle[]> {
    const question = { symbol, interval, range, limit, mayBeEmpty }
    const { candles, rejected } = validateRows(await exchange.klines(question, fetched.troubles), range, step)
    fetched.rejected.push(...rejected)
    return candles
  }

  /**
   * The oldest candle that there is: exchangeInfo's `onboardDate` is not it, and an empty page before the listing
   * could not be told from one that lacks its candles. undefined: the symbol has no closed candle yet.
   */
  async function findFirstCandle(): Promise<number | undefined> {
    const [first] = await page({ from: 0, to: lastClosed }, 1, true)
    if (first === undefined && fetched.rejected.length > 0) {
      throw new ExchangeFailure('rejected', 'its first candle is not valid')
    }
    return first?.openTime
  }

  async function fetchRange(range: Range): Promise<void> {
    for (let from = range.from; from <= range.to; ) {
      const limit = pageLimit(countIn({ from, to: range.to }, step))
      const candles = await page({ from, to: range.to }, limit, false)
      fetched.candles.push(...candles)
      // a page without a single good row is passed over: what it should have held is missing
      from = (candles.at(-1)?.openTime ?? from + (limit - 1) * step) + step
    }
  }

  try {
    const reachesBack = ranges.some(({ from }) => stored === undefined || from < stored.first)
    if (reachesBack && firstCandle === undefined) fetched.firstCandle = await findFirstCandle()
    const earliest = fetched.firstCandle ?? stored?.first ?? Number.POSITIVE_INFINITY
    fetched.ranges = ranges.map(range => clipFrom(range, earliest)).filter(range => range !== undefined)
    for (const range of fetched.ranges) await fetchRange(range)
  } catch (error) {
    if (!(error instanceof ExchangeFailure)) throw error
    fetched.failure = error
    if (fetched.troubles.length === 0) fetched.troubles.push(error.message)
  }
  return fetched
}

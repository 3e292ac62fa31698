import type { Candle } from './candle.ts'
import type { Exchange } from './exchange.ts'
import { ExchangeFailure } from './failure.ts'
import { type Interval, intervals } from './intervals.ts'
import type { SymbolPlan } from './planner.ts'
import { clipFrom, countIn, type Range } from './range.ts'
import { type RejectedRow, type ValidatedPage, validateRows } from './validate.ts'
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

  /** A page within `range`, judged; `fetched` gets what is wrong with it. */
  async function page(range: Range, limit: number, mayBeEmpty: boolean): Promise<ValidatedPage> {
    const question = { symbol, interval, range, limit, mayBeEmpty }
    const judged = validateRows(await exchange.klines(question, fetched.troubles), range, step)
    fetched.rejected.push(...judged.rejected)
    return judged
  }

  /**
   * The oldest candle that there is: exchangeInfo's `onboardDate` is not it, and an empty page before the listing
   * could not be told from one that lacks its candles.
   */
  async function findFirstCandle(): Promise<number> {
    const { candles, rejected } = await page({ from: 0, to: lastClosed }, 1, stored === undefined)
    const [first] = candles
    if (first !== undefined) return first.openTime
    throw new ExchangeFailure(
      'rejected',
      rejected.length > 0 ? 'its first candle is not valid' : 'the exchange has no closed candle of it yet',
    )
  }

  async function fetchRange(range: Range): Promise<Candle[]> {
    const candles: Candle[] = []
    for (let from = range.from; from <= range.to; ) {
      const limit = pageLimit(countIn({ from, to: range.to }, step))
      const judged = await page({ from, to: range.to }, limit, false)
      candles.push(...judged.candles)
      // a page without a row that can be placed is passed over: what it should have held is missing
      from = (judged.reached ?? from + (limit - 1) * step) + step
    }
    return candles
  }

  /** The newest range first, and one that fails does not keep the others out: fresh candles matter most. */
  async function fetchAll(): Promise<void> {
    for (const range of fetched.ranges.toReversed()) {
      try {
        fetched.candles.unshift(...(await fetchRange(range)))
      } catch (error) {
        note(error)
        if (fetched.failure?.kind === 'refused' || fetched.failure?.kind === 'ban') return
      }
    }
  }

  function note(error: unknown): void {
    if (!(error instanceof ExchangeFailure)) throw error
    fetched.failure ??= error
    if (fetched.troubles.length === 0) fetched.troubles.push(error.message)
  }

  try {
    const reachesBack = ranges.some(({ from }) => stored === undefined || from < stored.first)
    if (reachesBack && firstCandle === undefined) fetched.firstCandle = await findFirstCandle()
  } catch (error) {
    note(error)
  }
  const earliest = fetched.firstCandle ?? stored?.first ?? Number.POSITIVE_INFINITY
  fetched.ranges = ranges.map(range => clipFrom(range, earliest)).filter(range => range !== undefined)
  await fetchAll()
  return fetched
}

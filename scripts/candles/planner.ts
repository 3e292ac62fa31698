import { day, formatDuration, minute } from '../job/time.ts'
import { lastClosedOpenTime } from './intervals.ts'
import { planRanges, planWeight } from './plan.ts'
import { countIn, type Range } from './range.ts'
import { type KeptSeals, matchesSeal, monthRange, monthsIn } from './seals.ts'
import type { Survey } from './stored.ts'
import { type JudgedSymbol, judgeSymbols } from './symbols.ts'
import type { SyncTools } from './tools.ts'

/** What a person asked for beside the configuration. */
export type SyncWishes = {
  symbols: string[]
  /** `--since`: everything from this time on is wanted. */
  since: number | undefined
  /** `--lookback`: this many of the newest candles are read again in any case. */
  rereadLast: number | undefined
  /** `--reread`: everything from `since` on is read again. */
  reread: boolean
  /** Months of which all that is stored is read again, by symbol. */
  months?: ReadonlyMap<string, readonly string[]>
}

/** What is to be fetched of a symbol. */
export type SymbolPlan = {
  symbol: string
  ranges: Range[]
  candles: number
  weight: number
  /** Where the stored candles begin and end; undefined: nothing is stored. */
  stored: Survey | undefined
  /** First candle that the exchange has, where it is known. */
  firstCandle: number | undefined
  /** Months whose stored candles are not what was sealed. */
  suspect: string[]
}

export type SyncPlan = {
  /** Open time of the newest candle that has closed. */
  lastClosed: number
  /** Exchange's clock minus ours, in milliseconds. */
  skew: number
  symbols: SymbolPlan[]
  /** Configured, but not to be had: they are left out and named. */
  untradable: JudgedSymbol[]
  /** Troubles that belong to no symbol, a line each. */
  troubles: string[]
  seals: KeptSeals
}

/** Clocks that are further apart than this are worth a word. */
const tolerableSkew = minute

/** Asks the exchange for its clock and its symbols and the store for what it has, and works out what to fetch. */
export async function planSync(tools: SyncTools, wishes: SyncWishes): Promise<SyncPlan> {
  const { exchange, store, records, context, step } = tools
  const troubles: string[] = []
  const [{ skew }, contracts] = await Promise.all([exchange.time(troubles), exchange.contracts(troubles)])
  if (Math.abs(skew) > tolerableSkew) troubles.push(describeSkew(skew))
  // taken for closed too early, a candle would be stored half-formed: of two clocks the later one is not trusted
  const lastClosed = lastClosedOpenTime(context.clock.now() + Math.min(0, skew), step)

  const judged = judgeSymbols(wishes.symbols, contracts)
  const seals = records.seals()
  const firstCandles = records.firstCandles()
  const tradable = judged.filter(({ verdict }) => verdict === 'trading')
  const symbols = await store.whenFree(() => {
    const survey = store.survey(lastClosed)
    return tradable.map(({ symbol }) => {
      const known = { stored: survey.get(symbol), firstCandle: firstCandles.get(symbol) }
      return planSymbol(tools, wishes, { symbol, lastClosed, seals, ...known })
    })
  })
  const untradable = judged.filter(({ verdict }) => verdict !== 'trading')
  return { lastClosed, skew, symbols, untradable, troubles, seals }
}

type Known = {
  symbol: string
  lastClosed: number
  stored: Survey | undefined
  firstCandle: number | undefined
  seals: KeptSeals
}

function planSymbol(tools: SyncTools, wishes: SyncWishes, known: Known): SymbolPlan {
  const { step, context } = tools
  const { symbol, lastClosed, stored, firstCandle } = known
  const { lookback, history_days } = context.config.sync
  const { since, rereadLast, reread } = wishes
  const start = lastClosed - history_days * day + step
  const input = { step, lastClosed, stored, firstCandle, start, lookback, since, rereadLast, reread }
  const touched = suspectMonths(tools, planRanges({ ...input, suspect: [] }), known)
  const suspect = [...new Set([...touched, ...(wishes.months?.get(symbol) ?? [])])]
  const ranges = planRanges({
    ...input,
    suspect: suspect.map(month => {
      const { from, to } = monthRange(month, step)
      return { from: Math.max(from, stored?.first ?? from), to: Math.min(to, lastClosed) }
    }),
  })
  const candles = ranges.reduce((sum, range) => sum + countIn(range, step), 0)
  return { symbol, ranges, candles, weight: planWeight(ranges, step), stored, firstCandle, suspect }
}

/** Of the months that a plan touches, those whose stored candles are not what was sealed. */
function suspectMonths(
  { store, step }: SyncTools,
  ranges: Range[],
  { symbol, lastClosed, seals }: Known,
): string[] {
  const sealed = seals.get(symbol)
  if (sealed === undefined) return []
  return [...new Set(ranges.flatMap(monthsIn))].filter(month => {
    const kept = sealed.get(month)
    if (kept === undefined) return false
    const { from, to } = monthRange(month, step)
    return !matchesSeal(kept, store.candles(symbol, { from, to: Math.min(to, lastClosed) }))
  })
}

function describeSkew(skew: number): string {
  const side = skew > 0 ? 'ahead of' : 'behind'
  const apart = formatDuration(Math.abs(skew))
  return `the exchange's clock is ${apart} ${side} this machine's; only candles that are closed by both are stored`
}

import pMap from 'p-map'
import { UserError } from '../job/errors.ts'
import type { Progress } from '../job/progress.ts'
import type { Usage } from './exchange.ts'
import { type Fetched, fetchSymbol } from './fetch.ts'
import type { SymbolPlan, SyncPlan } from './planner.ts'
import { missingIn, type Range } from './range.ts'
import { monthRange, monthsIn, seal } from './seals.ts'
import type { StoredBatch } from './store.ts'
import type { SyncTools } from './tools.ts'
import { CandleWriter } from './writer.ts'

/** complete: up to the last closed candle without a gap; incomplete: some candles lack; failed: nothing was stored. */
type SymbolStatus = 'complete' | 'incomplete' | 'failed'

export type SymbolResult = {
  symbol: string
  status: SymbolStatus
  inserted: number
  revised: number
  rejected: number
  missing: Range[]
  /** What is stored now: how many candles, and the open time of the newest; undefined: none. */
  stored: { count: number; last: number } | undefined
  /** Lines for people, one a thing that went wrong: what, and what was done. */
  troubles: string[]
}

export type SyncResult = SyncPlan & { results: SymbolResult[]; usage: Usage }

/** Fetches and commits what the plan says, symbols side by side. Each symbol is committed as soon as it is fetched. */
export async function carryOut(tools: SyncTools, plan: SyncPlan, progress: Progress): Promise<SyncResult> {
  const { exchange, records, context } = tools
  const { lastClosed, seals } = plan
  const writer = new CandleWriter(tools, seals, lastClosed)
  const results: SymbolResult[] = []
  let rows = 0

  const syncOne = async (symbolPlan: SymbolPlan) => {
    const result = await syncSymbol(tools, writer, symbolPlan, lastClosed)
    results.push(result)
    rows += result.inserted + result.revised
    progress.at(results.length, rows)
    return result
  }
  exchange.onWait = text => progress.note(text)
  progress.at(0, 0)
  try {
    const { sync } = context.config
    const ordered = await pMap(plan.symbols, syncOne, {
      concurrency: sync.concurrency,
      signal: context.signal,
    })
    await sealTheRest(tools, plan)
    return { ...plan, results: ordered, usage: exchange.usage }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    const { message, hint, status } = error
    const before = `${results.length} of ${plan.symbols.length} symbols were stored before that`
    throw new UserError(`${message}; ${before}`, { hint, status, cause: error })
  } finally {
    records.rememberStored(results.flatMap(({ symbol, stored }) => (stored ? [{ symbol, ...stored }] : [])))
    progress.end()
  }
}

async function syncSymbol(
  tools: SyncTools,
  writer: CandleWriter,
  plan: SymbolPlan,
  lastClosed: number,
): Promise<SymbolResult> {
  const { exchange, interval, records, context } = tools
  const fetched = await fetchSymbol(exchange, plan, interval, lastClosed)
  const stored = await writer.write(plan.symbol, fetched)
  if (fetched.firstCandle !== undefined && plan.firstCandle === undefined) {
    records.rememberFirstCandle(plan.symbol, fetched.firstCandle)
  }
  const result = await judge(tools, plan, fetched, stored)
  const { symbol, status, ...figures } = result
  // the history keeps revisions too; the log has them where the history could not be written
  const revisions = stored.revisions.map(revision => ({ old: revision.old, new: revision.new }))
  context.log.info(`${symbol} ${status}`, {
    symbol,
    status,
    ...figures,
    unchanged: stored.unchanged,
    revisions,
  })
  return result
}

/** What became of a symbol, by what the store now holds. */
async function judge(
  { store, step }: SyncTools,
  plan: SymbolPlan,
  fetched: Fetched,
  stored: StoredBatch,
): Promise<SymbolResult> {
  const { symbol, suspect } = plan
  const offGrid = plan.stored?.offGrid ?? 0
  const missing = await store.whenFree(() =>
    fetched.ranges.flatMap(range => {
      const present = new Set(store.candles(symbol, range).map(({ openTime }) => openTime))
      return missingIn([range], present, step)
    }),
  )
  const untouched = stored.inserted.length + stored.revisions.length + stored.unchanged === 0
  const lacking = fetched.failure !== undefined || missing.length > 0
  return {
    symbol,
    status: !lacking ? 'complete' : untouched ? 'failed' : 'incomplete',
    inserted: stored.inserted.length,
    revised: stored.revisions.length,
    rejected: fetched.rejected.length,
    missing,
    stored: nowStored(plan, stored),
    troubles: [
      ...(offGrid > 0 ? [`${offGrid} stored rows are off the grid of the interval: left alone`] : []),
      ...suspect.map(month => `${month} did not match its seal; all of it was read again`),
      ...fetched.troubles,
      ...describeRejected(fetched),
    ],
  }
}

/** What was stored before and what came to it. */
function nowStored({ stored }: SymbolPlan, { inserted }: StoredBatch): SymbolResult['stored'] {
  const last = Math.max(stored?.last ?? -1, inserted.at(-1)?.openTime ?? -1)
  return last === -1 ? undefined : { count: (stored?.count ?? 0) + inserted.length, last }
}

function describeRejected({ rejected }: Fetched): string[] {
  const reasons = new Map<string, number>()
  for (const { reason } of rejected) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  return [...reasons].map(([reason, count]) => {
    return `${count} ${count === 1 ? 'row' : 'rows'} not stored: ${reason}; kept in quarantine`
  })
}

/** Seals months that nobody has sealed yet: those of a database that was there before candlekeep. */
async function sealTheRest(tools: SyncTools, { symbols, seals, lastClosed }: SyncPlan): Promise<void> {
  const { store, records, step, context } = tools
  for (const { symbol, stored } of symbols) {
    if (stored === undefined) continue
    const months = monthsIn({ from: stored.first, to: stored.last })
    const unsealed = months.filter(month => seals.get(symbol)?.get(month)?.sealed === undefined)
    if (unsealed.length === 0) continue
    // reading a whole history takes its time: between two symbols the run can be stopped
    await context.clock.sleep(0, context.signal)
    const changes = await store.whenFree(() =>
      unsealed.flatMap(month => {
        const { from, to } = monthRange(month, step)
        const found = seal(store.candles(symbol, { from, to: Math.min(to, lastClosed) }))
        return found === undefined ? [] : [{ symbol, month, before: undefined, seal: found }]
      }),
    )
    records.prepare({ revisions: [], rejected: [], seals: changes })
    records.confirm(changes)
  }
}

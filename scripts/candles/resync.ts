import { messageOf, UserError } from '../job/errors.ts'
import type { Progress } from '../job/progress.ts'
import type { BrokenSeal } from './inspect.ts'
import type { Interval } from './intervals.ts'
import { planSync, type SyncWishes } from './planner.ts'
import { carryOut } from './sync.ts'
import { openTools, type SyncContext } from './tools.ts'

/** What fetching candles again came to. `error`: why it broke off; what was fetched before is stored. */
export type Resync = {
  complete: number
  symbols: number
  inserted: number
  revised: number
  untradable: string[]
  error: string | null
}

export type ResyncOptions = {
  /** So many of the newest candles are read again. */
  lookback: number
  /** Those months whose candles are still not what was sealed, looked up when the rest is done. */
  broken: () => Promise<BrokenSeal[]>
  progress: (symbols: number) => Progress
}

/**
 * After a database has come from a backup: brings all symbols up to the last closed candle, then reads again whole
 * months that are still not what was once stored. Throws only where the run is stopped.
 */
export async function resync(
  context: SyncContext,
  { lookback, broken, progress }: ResyncOptions,
): Promise<Resync> {
  const { sync } = context.config
  const total: Resync = { complete: 0, symbols: 0, inserted: 0, revised: 0, untradable: [], error: null }
  const syncSome = async (interval: Interval, wishes: Partial<SyncWishes> & Pick<SyncWishes, 'symbols'>) => {
    const tools = await openTools(context, interval, false)
    try {
      const nothing = { since: undefined, rereadLast: undefined, reread: false }
      const plan = await planSync(tools, { ...nothing, ...wishes })
      const { results, untradable } = await carryOut(tools, plan, progress(plan.symbols.length))
      for (const { inserted, revised } of results) {
        total.inserted += inserted
        total.revised += revised
      }
      return { results, untradable }
    } finally {
      tools.close()
    }
  }
  try {
    const { results, untradable } = await syncSome(sync.interval, {
      symbols: sync.symbols,
      rereadLast: lookback,
    })
    total.symbols = results.length
    total.complete = results.filter(({ status }) => status === 'complete').length
    total.untradable = untradable.map(({ symbol }) => symbol)
    for (const [interval, seals] of Map.groupBy(await broken(), entry => entry.interval)) {
      const bySymbol = Map.groupBy(seals, ({ symbol }) => symbol)
      const months = new Map([...bySymbol].map(([symbol, of]) => [symbol, of.map(({ month }) => month)]))
      await syncSome(interval, { symbols: [...bySymbol.keys()], months })
    }
  } catch (error) {
    context.signal.throwIfAborted()
    if (!(error instanceof UserError)) throw error
    total.error = messageOf(error)
  }
  return total
}

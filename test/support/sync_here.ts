import type { Interval } from '../../scripts/candles/intervals.ts'
import { planSync, type SyncWishes } from '../../scripts/candles/planner.ts'
import { carryOut, type SyncResult } from '../../scripts/candles/sync.ts'
import { openTools } from '../../scripts/candles/tools.ts'
import type { Clock } from '../../scripts/job/clock.ts'
import { type Config, loadConfig } from '../../scripts/job/config.ts'
import { History } from '../../scripts/job/history.ts'
import type { Log } from '../../scripts/job/log.ts'
import type { Workspace } from './workspace.ts'

const silentLog: Log = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  file: undefined,
  close: () => undefined,
}

export type SyncHere = {
  workspace: Workspace
  clock: Clock
  interval?: Interval
  wishes?: Partial<SyncWishes>
  change?: (config: Config) => void
}

/** A sync inside the test's own process, for tests that run hundreds of them or need a clock of their own. */
export async function syncHere({
  workspace,
  clock,
  interval = '4h',
  wishes = {},
  change,
}: SyncHere): Promise<SyncResult> {
  const config = loadConfig(workspace.file)
  change?.(config)
  const history = History.open(config.paths.state, silentLog, clock)
  const signal = new AbortController().signal
  const tools = await openTools({ run: 1, config, clock, signal, log: silentLog, history }, interval, false)
  try {
    const asked = {
      symbols: config.sync.symbols,
      since: undefined,
      rereadLast: undefined,
      reread: false,
      ...wishes,
    }
    const plan = await planSync(tools, asked)
    return await carryOut(tools, plan, { at: () => undefined, note: () => undefined, end: () => undefined })
  } finally {
    tools.close()
    history.close()
  }
}

/** A clock that always says what another one does, and waits in that one's time, `rate` times as fast as ours. */
export function clockLike(other: { now(): number; rate: number }): Clock {
  return {
    now: () => other.now(),
    async sleep(ms, signal) {
      signal.throwIfAborted()
      await new Promise<void>(resolve =>
        setTimeout(resolve, other.rate === 0 ? 0 : Math.ceil(ms / other.rate)),
      )
      signal.throwIfAborted()
    },
  }
}

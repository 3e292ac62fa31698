import type { Clock } from '../job/clock.ts'
import type { Config } from '../job/config.ts'
import type { History } from '../job/history.ts'
import type { Log } from '../job/log.ts'
import { minute } from '../job/time.ts'
import { Exchange } from './exchange.ts'
import { type Interval, intervals } from './intervals.ts'
import { CandleRecords } from './records.ts'
import { CandleStore } from './store.ts'

/** What a run brings along. */
export type SyncContext = {
  run: number
  config: Config
  clock: Clock
  signal: AbortSignal
  log: Log
  history: History
}

/** What a sync of one interval works with. */
export type SyncTools = {
  context: SyncContext
  interval: Interval
  step: number
  exchange: Exchange
  store: CandleStore
  records: CandleRecords
  close(): void
}

/** `readOnly`: for a look at the plan; nothing is made and nothing can be changed. */
export async function openTools(
  context: SyncContext,
  interval: Interval,
  readOnly: boolean,
): Promise<SyncTools> {
  const { run, config, clock, signal, log, history } = context
  const { sync, paths } = config
  // what is still under way when the tools are closed has to end with them, not go on beside the next run
  const closed = new AbortController()
  const either = AbortSignal.any([signal, closed.signal])
  const store = await CandleStore.open({
    file: paths.database,
    interval,
    expected: history.hasStored('daily_sync'),
    readOnly,
    busyMs: sync.database_busy_seconds * 1000,
    clock,
    signal: either,
  })
  try {
    // waits of the exchange end a little before the deadline, so that there is time to say what happened
    const giveUpAt = clock.now() + sync.timeout_minutes * minute * 0.95
    const exchange = new Exchange({ config, clock, signal: either, log, giveUpAt })
    const records = new CandleRecords(history, interval, run, () => clock.now())
    const close = () => {
      closed.abort(new Error('the sync is over'))
      exchange.close()
      store.close()
    }
    return { context, interval, step: intervals[interval].step, exchange, store, records, close }
  } catch (error) {
    store.close()
    throw error
  }
}

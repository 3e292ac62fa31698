import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { query } from '../agent_database.ts'
import { channelEnvironment } from '../alerts/here.ts'
import { startServices } from '../alerts/services.ts'
import { expectStatus } from '../command.ts'
import { change, randomBytes } from '../damages.ts'
import type { Fault, FaultRule } from '../exchange/faults.ts'
import { seededRandom } from '../random.ts'
import { fillDisk } from '../small_disk.ts'
import type { Host } from './host.ts'

const sync = 'daily_candle_sync'

/** A fault of a host, the alert that it leads to, and how it is mended. */
export type Scenario = {
  fault: string
  host: string
  alert: string
  /** Where time alone did it, nothing. */
  produce?: (host: Host, test: Test) => Promise<void>
  mend: (host: Host, test: Test) => Promise<void>
  /** Of which host it has to be over before this one's is mended. */
  after?: string
  /** What people are told besides, and whether that is over with the mend. */
  besides?: { alert: string; ends: boolean }[]
}

const klines = (fault: Fault, when: FaultRule['when'] = {}): FaultRule[] => [
  { when: { path: 'klines', ...when }, do: fault },
]

/** Runs a command that ends so. */
async function ends(status: number, host: Host, test: Test, script: string, args: string[] = []) {
  expectStatus(test, await host.run(script, args), status)
}

/** What is counted over some time is over by itself. */
const timePasses = () => Promise.resolve()

/** The ten alerts of the mission, and those of what says nothing any more. */
export const scenarios: Scenario[] = [
  {
    fault: 'the exchange refuses',
    host: 'sync-refused',
    alert: 'DailySyncFailed',
    async produce(host, test) {
      host.replay.setFaults(klines({ kind: 'refuse' }))
      // it tells of it by itself as well, by a channel of its own
      const env = channelEnvironment(await startServices(test))
      expectStatus(test, await host.run(sync, ['--lookback', '4'], { env }), 1)
    },
    async mend(host, test) {
      host.replay.setFaults([])
      await ends(0, host, test, sync)
    },
  },
  {
    fault: 'the exchange is silent',
    host: 'sync-stalls',
    alert: 'DailySyncTimeout',
    async produce(host, test) {
      host.replay.setFaults(klines({ kind: 'stall', ms: 600_000 }))
      host.workspace.configure(given => {
        given.sync.timeout_minutes = 0.02
        given.sync.request_timeout_seconds = 120
      })
      await ends(124, host, test, sync, ['--lookback', '4'])
    },
    async mend(host, test) {
      host.replay.setFaults([])
      host.workspace.configure(given => (given.sync.timeout_minutes = 30))
      await ends(0, host, test, sync)
    },
  },
  {
    fault: 'no sync for 27 hours',
    host: 'sync-27h',
    alert: 'DataStalenessCritical',
    mend: (host, test) => ends(0, host, test, sync),
    // its DataStalenessWarning is not told beside that; but once others have it, Alertmanager tells when it is over
    after: 'sync-25h',
    besides: [
      { alert: 'JobNotRunning', ends: true },
      { alert: 'ErrorBudgetSpent', ends: false },
    ],
  },
  {
    fault: 'no sync of all for 25 hours',
    host: 'sync-25h',
    alert: 'DataStalenessWarning',
    mend: (host, test) => ends(0, host, test, sync),
  },
  {
    fault: 'a damaged page',
    host: 'page-damaged',
    alert: 'DatabaseCorruption',
    async produce(host, test) {
      const { database } = host.workspace
      const [root] = query<{ page: number; size: number }>(
        database,
        "SELECT rootpage AS page, page_size AS size FROM sqlite_master, pragma_page_size WHERE name = 'trade_log'",
      )
      const { page, size } = root as NonNullable<typeof root>
      const noise = randomBytes(size, seededRandom(test))
      change(database, bytes => void noise.copy(bytes, (page - 1) * size))
      await ends(2, host, test, 'health_check')
    },
    mend: (host, test) => ends(0, host, test, 'db_recovery', ['--yes']),
    besides: [
      { alert: 'ErrorBudgetSpent', ends: false },
      { alert: 'DatabaseRecovered', ends: false },
    ],
  },
  {
    fault: 'three times 429',
    host: 'too-many',
    alert: 'BinanceRateLimitAbuse',
    async produce(host, test) {
      host.replay.setFaults(klines({ kind: 'named', name: 'rate-429-futures' }, { times: 3 }))
      await ends(0, host, test, sync, ['--lookback', '4'])
    },
    mend: timePasses,
  },
  {
    fault: 'the newest backup removed',
    host: 'backup-removed',
    alert: 'BackupStale',
    async produce(host, test) {
      for (const tier of ['backups/hot', 'warm']) {
        const folder = join(host.folder, tier)
        const newest = readdirSync(folder)
          .map(name => /^agent_backup_[\d_-]{19}/.exec(name)?.[0] ?? '')
          .toSorted()
          .at(-1)
        test.ok(newest, `${tier} has backups`)
        for (const name of readdirSync(folder)) if (name.startsWith(`${newest}.`)) rmSync(join(folder, name))
      }
      await host.run('backup', ['--verify'])
    },
    // the tiers lack theirs too, but that is no news beside it
    mend: (host, test) => ends(0, host, test, 'backup'),
  },
  {
    fault: 'a symbol without candles',
    host: 'symbol-lacks',
    alert: 'MissingSymbols',
    async produce(host, test) {
      host.workspace.configure(given => void given.sync.symbols.push('LTCUSDT'))
      host.replay.setFaults(klines({ kind: 'status', status: 500 }, { symbol: 'LTCUSDT' }))
      await ends(2, host, test, sync)
      await ends(1, host, test, 'health_check')
    },
    async mend(host, test) {
      host.replay.setFaults([])
      await ends(0, host, test, sync)
      await ends(0, host, test, 'health_check')
    },
  },
  {
    fault: 'a disk with 10 % left',
    host: 'disk-full',
    alert: 'DiskSpaceRunningOut',
    async produce(host, test) {
      fillDisk(host.folder, 6.4 * 1024 * 1024)
      await ends(1, host, test, 'health_check')
    },
    async mend(host, test) {
      host.disk.grow()
      await ends(0, host, test, 'health_check')
    },
  },
  {
    fault: 'a sync killed',
    host: 'sync-killed',
    alert: 'SyncScriptError',
    async produce(host, test) {
      host.replay.setFaults(klines({ kind: 'stall', ms: 600_000 }))
      const before = host.replay.requests.length
      host.began.push(performance.now())
      const running = host.workspace.start(sync, ['--lookback', '4'])
      while (!host.replay.requests.slice(before).some(({ symbol }) => symbol !== undefined)) await delay(10)
      running.kill('SIGKILL')
      await running.ended
      host.replay.setFaults([])
      // it was the last word of that one; the next counts it
      await ends(0, host, test, sync)
    },
    mend: timePasses,
  },
  {
    fault: 'a host that dies',
    host: 'host-dies',
    alert: 'HostDown',
    produce: host => host.killExporter(),
    mend: host => host.startExporter(),
  },
  {
    fault: 'no health check for 8 hours',
    host: 'check-8h',
    alert: 'JobNotRunning',
    mend: (host, test) => ends(0, host, test, 'health_check'),
  },
]

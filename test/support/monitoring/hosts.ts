import type { Test } from 'tap'
import sheet from '../../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { jobsOf } from '../../../provision/schedule.ts'
import { checkConfig } from '../../../scripts/job/config.ts'
import { hour } from '../../../scripts/job/time.ts'
import { agentTables, execute } from '../agent_database.ts'
import { expectStatus } from '../command.ts'
import { freeAddresses } from './daemon.ts'
import { type Host, makeHost } from './host.ts'

const sync = 'daily_candle_sync'
const jobs = Map.groupBy(
  jobsOf(checkConfig(structuredClone(sheet), 'the cheat sheet')),
  ({ command }) => command,
)

/**
 * Hosts with a past, each by a name. `sound`: all that cron starts has run just now, and 27 hours ago as well. The others
 * are so too, but for: `sync-27h` and `sync-25h`, last synced so many hours ago; `check-8h`, last looked at 8 hours ago.
 */
export async function makeHosts(test: Test, sound: string[]): Promise<Map<string, Host>> {
  const names = ['base', 'sync-27h', 'sync-25h', 'check-8h', ...sound]
  const addresses = await freeAddresses(names.length)
  const listens = new Map(names.map((name, i) => [name, addresses[i] as string]))
  const make = (name: string, from?: Host) =>
    makeHost(test, { name, listen: listens.get(name) as string, ...(from && { from: from.folder }) })
  const runs = async (host: Host, command: string, args: string[], { hoursAgo = 0, status = [0] } = {}) => {
    const options = hoursAgo === 0 ? {} : { ago: hoursAgo * hour }
    const ended = await host.run(command, args, options)
    if (!status.includes(ended.status ?? -1)) expectStatus(test, ended, status[0] ?? 0)
  }
  /** What cron starts within a day and a bit, but for one. `health`: how a health check may end. */
  const lives = async (host: Host, { but = '', health = [0], hoursAgo = 0 } = {}) => {
    for (const [command, [job]] of jobs) {
      if (command === but || (hoursAgo === 0 && (job?.period ?? 0) > 27 * 3600)) continue
      const status = command === 'health_check' ? health : [0]
      await runs(host, command, job?.arguments ?? [], { hoursAgo, status })
    }
  }

  const base = await make('base')
  execute(base.workspace.database, agentTables)
  await lives(base, { hoursAgo: 27 })
  const synced27 = await make('sync-27h', base)
  await runs(base, sync, [], { hoursAgo: 25 })
  const synced25 = await make('sync-25h', base)
  await runs(base, 'health_check', [], { hoursAgo: 8, status: [1] })
  await lives(base, { but: 'health_check' })
  const idle = await make('check-8h', base)
  await runs(base, 'health_check', [])
  const clones = await Promise.all(sound.map(name => make(name, base)))

  // the check finds the data to be old; at 25 h that is critical where a candle has closed since
  await Promise.all([
    lives(synced27, { but: sync, health: [2] }),
    lives(synced25, { but: sync, health: [1, 2] }),
  ])
  // of one symbol only: what is stored is as old as the newest candle, the sync as old as the last one of all
  await runs(synced25, sync, ['--symbols', 'BTCUSDT'])
  return new Map([synced27, synced25, idle, ...clones].map(host => [host.name, host]))
}

import type { Test } from 'tap'
import { hour } from '../../../scripts/job/time.ts'
import { agentTables, execute } from '../agent_database.ts'
import { expectStatus } from '../command.ts'
import { freeAddresses } from './daemon.ts'
import { type Host, makeHost } from './host.ts'

/**
 * Hosts with a past, each by a name. `sound`: synced, backed up and looked at just now, and all of that 27 hours ago as
 * well. The others are so too, but for: `sync-27h` and `sync-25h`, last synced so many hours ago; `check-8h`, last looked
 * at 8 hours ago. No command runs on those until the test lets one run.
 */
export async function makeHosts(test: Test, sound: string[]): Promise<Map<string, Host>> {
  const names = ['base', 'sync-27h', 'sync-25h', 'check-8h', ...sound]
  const addresses = await freeAddresses(names.length)
  const listens = new Map(names.map((name, i) => [name, addresses[i] as string]))
  const make = (name: string, from?: Host) =>
    makeHost(test, { name, listen: listens.get(name) as string, ...(from && { from: from.folder }) })
  const does = async (host: Host, commands: [script: string, args?: string[]][], hoursAgo = 0) => {
    const options = hoursAgo === 0 ? {} : { ago: hoursAgo * hour }
    for (const [script, args] of commands) expectStatus(test, await host.run(script, args, options), 0)
  }
  /** What it finds is that some things are old. */
  const looks = async (host: Host, status: number, hoursAgo = 0) => {
    const options = hoursAgo === 0 ? {} : { ago: hoursAgo * hour }
    expectStatus(test, await host.run('health_check', [], options), status)
  }

  const base = await make('base')
  execute(base.workspace.database, agentTables)
  await does(base, [['daily_candle_sync'], ['backup'], ['restore_drill'], ['health_check']], 27)
  const synced27 = await make('sync-27h', base)
  await does(base, [['daily_candle_sync']], 25)
  const synced25 = await make('sync-25h', base)
  await looks(base, 1, 8)
  await does(base, [['daily_candle_sync'], ['backup']])
  const idle = await make('check-8h', base)
  await does(base, [['health_check']])
  const clones = await Promise.all(sound.map(name => make(name, base)))

  await does(synced27, [['backup']])
  await looks(synced27, 2)
  await does(synced25, [['backup']])
  await looks(synced25, 2)
  // of one symbol only: what is stored is as old as the newest candle, the sync as old as the last one of all
  await does(synced25, [['daily_candle_sync', ['--symbols', 'BTCUSDT']]])
  return new Map([synced27, synced25, idle, ...clones].map(host => [host.name, host]))
}

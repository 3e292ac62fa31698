import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import sheet from '../../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { servicesOf, type Target } from '../../../provision/monitoring.ts'
import { siteOf } from '../../../provision/site_of.ts'
import type { CommandOptions, Ended } from '../command.ts'
import { ReplayClock } from '../exchange/clock.ts'
import { generatedSource } from '../exchange/generated.ts'
import { type Replay, startReplay } from '../exchange/replay.ts'
import { mountDisk, type SmallDisk } from '../small_disk.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from '../workspace.ts'
import { startDaemon } from './daemon.ts'
import { argumentsOf } from './station.ts'

/** A host: a workspace on a disk of its own, an exchange of its own, and a node_exporter. */
export type Host = {
  name: string
  workspace: Workspace
  replay: Replay
  disk: SmallDisk
  metricsFile: string
  target: Target
  /** Runs a command of the project; `ago`: so many milliseconds before the present, as it and its exchange have it. */
  run: (script: string, args?: string[], options?: CommandOptions & { ago?: number }) => Promise<Ended>
  folder: string
  /** When its commands began, by `performance.now()`. */
  began: number[]
  startExporter: () => Promise<void>
  /** As where the host dies. */
  killExporter: () => Promise<void>
}

const listed = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'LTCUSDT']
const symbols = listed.slice(0, 3)

/** `from`: the folder of a host that has been here before. */
export async function makeHost(
  test: Test,
  { name, listen, from }: { name: string; listen: string; from?: string },
): Promise<Host> {
  const clock = new ReplayClock()
  const replay = await startReplay({ source: generatedSource({ symbols: listed }), clock })
  test.teardown(() => replay.close())
  const folder = join(temporaryFolder(test), 'disk')
  const disk = mountDisk(test, folder)
  if (from !== undefined) cpSync(from, folder, { recursive: true })
  const workspace = makeWorkspace(test, { url: replay.url, symbols: [...symbols], folder })
  workspace.configure(given => {
    given.backup = { warm: { path: 'warm', mount: null } }
    given.health = { min_database_mb: 0.01 }
  })
  const metrics = join(folder, 'metrics')
  const began: number[] = []
  let exporter: Awaited<ReturnType<typeof startDaemon>> | undefined
  return {
    name,
    workspace,
    replay,
    disk,
    folder,
    metricsFile: join(metrics, 'candlekeep.prom'),
    target: { instance: name, address: listen, hasJobs: true },
    began,
    run: (script, args = [], { ago, ...options } = {}) =>
      takeTurns(async () => {
        began.push(performance.now())
        if (ago === undefined) return workspace.run(script, args, options)
        const at = Date.now() - ago
        clock.set(at)
        const env = { ...options.env, CANDLEKEEP_NOW: new Date(at).toISOString() }
        const ended = await workspace.run(script, args, { ...options, env })
        clock.set(Date.now())
        return ended
      }),
    async startExporter() {
      const vars = {
        paths: { metrics },
        provision: { roles: ['jobs', 'metrics'] },
        monitoring: { exporter_listen: listen },
      }
      const site = siteOf(sheet, [{ from: 'the test', vars }], { name, under: undefined, secrets: {} })
      const args = argumentsOf(servicesOf(site, 'a test'), 'prometheus-node-exporter')
      exporter = await startDaemon(test, 'prometheus-node-exporter', [...args, ...collectors], {
        listen,
        path: '/metrics',
      })
    },
    async killExporter() {
      await exporter?.kill()
    },
  }
}

/** What does not depend on the machine that the test runs on; of its disks, those in memory. */
const collectors = [
  '--collector.disable-defaults',
  '--collector.textfile',
  '--collector.time',
  '--collector.filesystem',
  '--collector.filesystem.fs-types-exclude=^([^t]|t[^m])',
]

let running = 0
const waiting: (() => void)[] = []

/** No more commands at once than a small machine has room for. */
async function takeTurns<T>(run: () => Promise<T>): Promise<T> {
  if (running >= 3) await new Promise<void>(resolve => waiting.push(resolve))
  else running++
  try {
    return await run()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

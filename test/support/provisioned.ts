import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import sheet from '../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { type CommandOptions, type Ended, type Running, startCommand } from './command.ts'
import { generatedSource } from './exchange/generated.ts'
import { startReplay } from './exchange/replay.ts'
import type { Host } from './hosts.ts'
import { temporaryFolder } from './workspace.ts'

/** An inventory of hosts made for a test, and the commands of provisioning for it. */
export type Provisioning = {
  /** `provision/COMMAND.mts` with that inventory. */
  run: (command: string, args?: string[], options?: CommandOptions) => Promise<Ended>
  start: (command: string, args?: string[], options?: CommandOptions) => Running
}

type Named = { name: string; address: string; user?: string; vars?: object }

/**
 * Hosts that find their candles at an exchange of the test's own, on the address by which they see this machine. They are
 * set up from `project`, or from this one; `vars` are of all hosts that run, `varsOf` of one of them, as it is when a command starts.
 */
export async function provisioning(
  test: Test,
  hosts: Host[],
  others: Named[] = [],
  given: { project?: string; vars?: object; varsOf?: (name: string) => object } = {},
): Promise<Provisioning> {
  const { project = fileURLToPath(new URL('../../', import.meta.url)), vars: common = {} } = given
  const varsOf = given.varsOf ?? (() => ({}))
  const folder = temporaryFolder(test)
  const exchange = await startReplay({ source: generatedSource({ symbols: sheet.sync.symbols }) })
  test.teardown(() => exchange.close())
  const target = Number(new URL(exchange.url).port)
  const ports = await Promise.all(hosts.map(({ gateway }) => forward(test, gateway, target)))
  const named = (): Named[] => [
    ...hosts.map(({ name, address, gateway }, i) => ({
      name,
      address,
      user: 'ops',
      vars: {
        sync: { base_url: `http://${gateway}:${ports[i]}`, history_days: 3 },
        // a few days of candles are no large database, and there is one disk
        health: { min_database_mb: 0.1, min_free_disk_ratio: 0 },
        backup: { warm: { path: null, mount: null } },
        ...common,
        ...varsOf(name),
      },
    })),
    ...others,
  ]
  const inventory = join(folder, 'inventory.json')
  const writeInventory = () => {
    const entries = named().map(({ name, address, user, vars }) => [
      name,
      {
        address: user === undefined ? address : `${user}@${address}`,
        ...(vars === undefined ? {} : { vars }),
      },
    ])
    writeFileSync(inventory, JSON.stringify({ hosts: Object.fromEntries(entries) }, null, 2))
  }
  mkdirSync(join(folder, 'state'))
  const ssh = hosts[0]?.ssh
  const start = (command: string, args: string[] = [], options: CommandOptions = {}) => {
    writeInventory()
    const flags = ['--inventory', inventory, ...(ssh === undefined ? [] : ['--ssh-config', ssh.config])]
    const running = startCommand(join(project, 'provision', `${command}.mts`), [...flags, ...args], {
      ...options,
      env: { XDG_STATE_HOME: join(folder, 'state'), ...options.env },
    })
    test.teardown(() => running.kill('SIGKILL'))
    return running
  }
  return { start, run: (command, args, options) => start(command, args, options).ended }
}

/** The exchange listens on loopback only. */
async function forward(test: Test, address: string, target: number): Promise<number> {
  const server = createServer(socket => {
    const other = connect(target, '127.0.0.1')
    for (const end of [socket, other]) end.on('error', () => [socket, other].forEach(each => each.destroy()))
    socket.pipe(other).pipe(socket)
  })
  await new Promise<void>(resolve => server.listen(0, address, resolve))
  test.teardown(() => void server.close())
  return (server.address() as { port: number }).port
}

/** What the recap says of a host. */
export function recapOf({ stdout }: Ended, host: string): Record<string, number> {
  const line = stdout.split('\n').find(text => text.startsWith(`${host} `) && text.includes(' : ok='))
  return Object.fromEntries(
    Array.from(line?.matchAll(/(\w+)=(\d+)/g) ?? [], ([, name, n]) => [name, Number(n)]),
  )
}

import '../scripts/job/node_version.ts'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pMap from 'p-map'
import { configFile, readJson } from '../scripts/job/config.ts'
import type { CheatSheet } from '../scripts/job/config_types.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import {
  commonFlags,
  type Flags,
  type FlagValues,
  helpText,
  integerFlag,
  parseFlags,
  scriptArguments,
} from '../scripts/job/flags.ts'
import { openTerminal, type Terminal } from '../scripts/job/terminal.ts'
import { parseAddress } from './address.ts'
import type { HostResult, Tell } from './events.ts'
import type { Host } from './host_run.ts'
import { type Hosts, limitHosts, loadInventory } from './inventory.ts'
import { openProvisionLog } from './log.ts'
import { requireReachable } from './monitoring.ts'
import { recap, tellMachines, tellPeople } from './output.ts'
import { findSecrets, secretNames } from './secrets.ts'
import { siteOf, type Under } from './site_of.ts'
import { unreachableStatus } from './ssh_errors.ts'

/** Flags that say which hosts; all commands of provisioning have them. */
export const hostFlags = {
  host: { value: 'USER@HOST[:PORT]', help: 'one host, by its address or its name in the inventory' },
  inventory: { value: 'FILE', help: 'the hosts (default: conf/inventory.json)' },
  limit: {
    value: 'HOSTS',
    help: 'only these of the inventory: names, with * and ?, by commas; ! leaves one out',
  },
  local: { help: 'this machine' },
  root: { value: 'DIR', help: 'with --local: everything below this folder; no root is needed' },
  forks: { value: 'N', help: 'so many hosts at a time (default: 10)' },
  'accept-new': { help: 'trust the key of a host that is not known yet (one that has changed is refused)' },
  'ssh-config': { value: 'FILE', help: 'in place of ~/.ssh/config' },
} as const satisfies Flags

/** How to connect, as the flags have it. */
export function connectionOf(flags: FlagValues<typeof hostFlags>): {
  acceptNew: boolean
  sshConfig: string | undefined
} {
  return { acceptNew: flags['accept-new'], sshConfig: flags['ssh-config'] }
}

type AllFlags<F extends Flags> = FlagValues<F & typeof hostFlags & typeof commonFlags>

export type Command<F extends Flags> = {
  name: string
  script: string
  summary: string
  flags: F
  /** Before any host is touched; throws a UserError to stop. */
  prepare?: (flags: AllFlags<F>) => Promise<void>
  /** What is done with each host. Never throws. */
  work: (flags: AllFlags<F>) => (host: Host, signal: AbortSignal, tell: Tell) => Promise<HostResult>
  /** After all hosts, in place of the usual recap. */
  conclude?: (results: HostResult[], terminal: Terminal) => void
}

const statuses =
  '0 done · 1 failed · 2 something would change (--check) · 3 a host could not be reached · 64 usage · ' +
  '75 another installer is at work · 78 configuration · 130 interrupted'

/** The frame of the commands of provisioning: flags, hosts, log, recap, exit status. Hosts fail alone. */
export async function provision<F extends Flags>(command: Command<F>): Promise<void> {
  const args = scriptArguments()
  const terminal = openTerminal(args.includes('--json'))
  try {
    const flags = parseFlags({ ...command.flags, ...hostFlags, ...commonFlags }, args) as AllFlags<F>
    if (flags.help === true) {
      process.stdout.write(
        helpText(command.script, command.summary, { ...command.flags, ...hostFlags }, statuses),
      )
      return
    }
    process.exitCode = await runOnHosts(command, flags, terminal)
  } catch (error) {
    terminal.aside(
      terminal.colour.red(
        `❌ ${error instanceof UserError ? error.message : String(error instanceof Error ? error.stack : error)}`,
      ),
    )
    if (error instanceof UserError && error.hint !== undefined) terminal.aside(`   → ${error.hint}`)
    process.exitCode = error instanceof UserError ? error.status : exitStatus.failed
  }
}

async function runOnHosts<F extends Flags>(
  command: Command<F>,
  flags: AllFlags<F>,
  terminal: Terminal,
): Promise<number> {
  const given = flags as FlagValues<typeof hostFlags & typeof commonFlags>
  const check = 'check' in flags && flags['check'] === true
  const work = command.work(flags)
  const hosts = hostsOf(given)
  await command.prepare?.(flags)
  const forks = integerFlag('forks', given.forks, 1, 200) ?? 10
  const log = openProvisionLog(command.name)
  const shown = given.json
    ? tellMachines(line => process.stdout.write(line))
    : tellPeople(terminal, { check })
  const tell: Tell = event => {
    log.tell(event)
    shown(event)
  }
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => stop.abort(new UserError('interrupted', { status: exitStatus.interrupted })))
  const results = await pMap(hosts, host => work(host, stop.signal, tell), { concurrency: forks })
  terminal.draw?.('')
  if (given.json) process.stdout.write(`${JSON.stringify({ event: 'recap', hosts: results })}\n`)
  ;(command.conclude ?? recap)(results, terminal)
  const again = results.filter(({ status }) => !['done', 'pending'].includes(status))
  if (again.length > 0) {
    terminal.aside(`   everything that was asked and answered: ${log.file}`)
    terminal.aside(`   again: ${retryCommand(command.script, given, again)}`)
  }
  return stop.signal.aborted ? exitStatus.interrupted : statusOf(results)
}

const inOrder: [HostResult['status'], number][] = [
  ['failed', exitStatus.failed],
  ['unreachable', unreachableStatus],
  ['locked', exitStatus.locked],
  ['pending', exitStatus.partly],
]

/** The exit status for all hosts: that of the worst. */
function statusOf(results: HostResult[]): number {
  const worst = inOrder.find(([status]) => results.some(result => result.status === status))
  return worst?.[1] ?? exitStatus.done
}

/** The command that does the failed hosts again. */
function retryCommand(
  script: string,
  flags: FlagValues<typeof hostFlags & typeof commonFlags>,
  again: HostResult[],
): string {
  const args = scriptArguments()
  const known = flags.host === undefined && !flags.local
  const rest = known
    ? args.filter((argument, i) => !argument.startsWith('--limit') && args[i - 1] !== '--limit')
    : args
  const limit = known ? ['--limit', again.map(({ host }) => host).join(',')] : []
  const words = ['npx', 'zx', `provision/${script.split('/').pop()}`, ...rest, ...limit]
  return words
    .map(word => (/^[\w@%+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ')
}

const defaultInventory = join(import.meta.dirname, '../conf/inventory.json')

function usage(message: string, hint: string): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

/** The hosts that the flags mean, each with the cheat sheet that it is to have. */
function hostsOf(flags: FlagValues<typeof hostFlags & typeof commonFlags>): Host[] {
  const { host, local, root, limit } = flags
  if (root !== undefined && !local)
    throw usage('--root goes with --local', 'On other hosts everything has its place.')
  if (local && host !== undefined)
    throw usage('--local and --host are two different hosts', 'Give one of them.')
  if (limit !== undefined && (local || host !== undefined))
    throw usage('--limit chooses from an inventory', 'Give it without --host and --local.')
  if (local && root === undefined && process.getuid?.() !== 0)
    throw usage(
      '--local sets this machine up, which needs root',
      'With --root DIR everything goes below a folder instead.',
    )
  const sheet = sheetOf(flags.config)
  const make = (
    name: string,
    address: Host['address'],
    vars: { from: string; vars: object }[],
    under: Under,
    named: Hosts | undefined,
  ): Host => {
    const site = siteOf(sheet, vars, { name, under, secrets: {} })
    const secrets = findSecrets(secretNames(site.sheet), named?.secrets ?? {}, named?.folder ?? '.')
    return { name, address, site: { ...site, secrets }, under }
  }
  if (local)
    return [
      make('localhost', undefined, [], root === undefined ? undefined : { root: resolve(root) }, undefined),
    ]
  const file = flags.inventory ?? defaultInventory
  const inventory = flags.inventory !== undefined || existsSync(file) ? loadInventory(file) : undefined
  const listed = ({ name, address, vars }: Hosts['hosts'][number]) =>
    make(name, address, vars, undefined, inventory)
  const withTargets = (chosen: Host[]) => withAllTargets(chosen, () => inventory?.hosts.map(listed) ?? chosen)
  if (host !== undefined) {
    const known = inventory?.hosts.find(({ name }) => name === host)
    return withTargets([
      known === undefined ? make(host, parseAddress(host), [], undefined, inventory) : listed(known),
    ])
  }
  if (inventory === undefined)
    throw usage(
      'no hosts are named',
      'Give --host USER@HOST, --local --root DIR, or write conf/inventory.json (conf/inventory.example.json shows one).',
    )
  return withTargets(limitHosts(inventory.hosts, limit).map(listed))
}

function watches({ site }: Host): boolean {
  return site.sheet.provision.roles.includes('monitoring')
}

/** Prometheus asks all hosts of the inventory, whichever of them are set up now. */
function withAllTargets(chosen: Host[], everyHost: () => Host[]): Host[] {
  if (!chosen.some(watches)) return chosen
  const known = everyHost()
  const others = chosen.filter(host => !known.some(({ name }) => name === host.name))
  const targets = [...known, ...others].flatMap(({ site }) => site.targets)
  for (const { name } of chosen.filter(watches)) requireReachable(name, targets)
  return chosen.map(host => (watches(host) ? { ...host, site: { ...host.site, targets } } : host))
}

function sheetOf(named: string | undefined): CheatSheet {
  const file = configFile(named)
  const sheet = readJson(file, 'configuration', 'Name one with --config FILE or CANDLEKEEP_CONFIG.')
  if (typeof sheet === 'object' && sheet !== null && !Array.isArray(sheet)) return sheet as CheatSheet
  throw new UserError(`${file} is no cheat sheet: an object is expected`, {
    status: exitStatus.configuration,
  })
}

/**
 * How fast provisioning is, beside an Ansible playbook that does the same (Debian's ansible-core, with pipelining and
 * ControlPersist): whole commands, against throw-away hosts with a real sshd and sudo, one and ten of them, without and
 * with a round trip of 50 ms.
 *
 *     npm run bench:provision
 *
 * `BENCH_HOSTS=1,10` and `BENCH_LATENCY=0,50` have it take so many hosts, so many milliseconds away.
 *
 * A first run begins with a host that has Debian's packages, and nothing of candlekeep; the archives of the release are
 * in the cache of this machine for both. Both connect anew for it. A run that changes nothing begins with Ansible's
 * connections open, and with none for candlekeep, which keeps none.
 *
 * Both have to put the same on a host, or the bench fails: every file of the two hosts is compared.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { planRelease } from '../../provision/release/release.ts'
import { siteOf } from '../../provision/site_of.ts'
import { skipWithoutPackages } from '../support/debian.ts'
import { differences, type Snapshot } from '../support/host_snapshot.ts'
import { type Host, skipWithoutHosts, startHost } from '../support/hosts.ts'
import { slowProxy } from '../support/slow_proxy.ts'
import { temporaryFolder } from '../support/workspace.ts'
import { type Peer, type PeerHost, preparePeer } from './ansible/peer.ts'
import { median, verdict } from './measure.ts'

const project = join(import.meta.dirname, '../..')
const sheet = JSON.parse(readFileSync(join(project, 'conf/S2_1_CHEAT_SHEET.json'), 'utf8')) as object
/** Of the sheet of all hosts: they have one disk. */
const vars = { backup: { warm: { path: null, mount: null } } }
const secrets = { CANDLEKEEP_SLACK_WEBHOOK_URL: 'https://hooks.example.org/services/T0/B0/x y' }
const counts = numbers('BENCH_HOSTS', '1,10')
const latencies = numbers('BENCH_LATENCY', '0,50')

/** What is of a host alone, or of one of the two: its own record, and that Ansible marks packages as asked for by hand. */
const mayDiffer = [
  '/opt/crypto-futures-agent/manifest.json',
  '/opt/crypto-futures-agent/activations',
  '/home/ops/.ansible',
  '/var/lib/apt/extended_states',
  '/etc/ssh/ssh_host_ed25519_key',
  '/etc/ssh/ssh_host_ed25519_key.pub',
  '/var/log/',
]

/** Hosts as both tools reach them. */
type Fleet = { hosts: Host[]; ours: Tool; byNode: Tool; theirs: Tool }

type Measured = { seconds: number; changed: number; said: string }

type Tool = {
  name: string
  /** Seconds for the whole command, and how much it changed on all hosts. */
  run: (args?: string[]) => Promise<Measured>
}

// hosts are made for tests, which would have to end soon
t.setTimeout(0)
const missing =
  skipWithoutHosts() ||
  skipWithoutPackages({
    'ansible-core': 'ansible-playbook',
    'python3-apt': '/usr/lib/python3/dist-packages/apt/__init__.py',
  })
if (missing !== false) throw new Error(missing)

const folder = mkdtempSync(join(tmpdir(), 'bench-provision-'))
// what is made for hosts goes with it, too
process.env['TMPDIR'] = folder
process.env['XDG_CACHE_HOME'] = join(folder, 'cache')
try {
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
  )
  await fillCache()
  for (const latency of latencies) for (const count of counts) await bench(count, latency)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function numbers(name: string, otherwise: string): number[] {
  return (process.env[name] || otherwise).split(',').map(Number)
}

/** Seconds of each run. */
type Times = Record<'ours' | 'check' | 'node' | 'theirs', number[]>

async function bench(count: number, latency: number): Promise<void> {
  const what = `${count === 1 ? 'a host' : `${count} hosts`}${latency === 0 ? '' : `, ${latency} ms away`}`
  const byAnsible = await withFleet(count, latency, async ({ hosts, ours, theirs }) => {
    const seconds = await firstRun(theirs)
    const put = hosts.map(host => host.snapshot())
    await unchangedRun(ours)
    return { seconds, put }
  })
  await withFleet(count, latency, async fleet => {
    const seconds = await firstRun(fleet.ours)
    expectSame(
      byAnsible.put,
      fleet.hosts.map(host => host.snapshot()),
    )
    // opens the connections that it keeps
    await unchangedRun(fleet.theirs)
    const unchanged = await alternate(fleet, count === 1 ? 5 : 3)
    report(what, count, { ours: seconds, theirs: byAnsible.seconds }, unchanged)
  })
}

async function alternate({ ours, byNode, theirs }: Fleet, rounds: number): Promise<Times> {
  const times: Times = { ours: [], check: [], node: [], theirs: [] }
  for (let round = 0; round < rounds; round++) {
    times.ours.push(await unchangedRun(ours))
    times.check.push(await unchangedRun(ours, ['--check']))
    times.node.push(await unchangedRun(byNode))
    times.theirs.push(await unchangedRun(theirs))
  }
  return times
}

async function firstRun({ name, run }: Tool): Promise<number> {
  const { seconds, changed } = await run()
  if (changed === 0) throw new Error(`${name} found nothing to do on a bare host`)
  return seconds
}

async function unchangedRun({ name, run }: Tool, args: string[] = []): Promise<number> {
  const { seconds, changed, said } = await run(args)
  if (changed !== 0) throw new Error(`${name} changes what is as it should be:\n${said}`)
  return seconds
}

function report(
  what: string,
  count: number,
  first: { ours: number; theirs: number },
  unchanged: Times,
): void {
  console.log(`\n${what}: both have put the same there, and neither changes what the other has put`)
  line('first run', [first.ours])
  line('first run of Ansible', [first.theirs])
  const gain = first.theirs / first.ours
  verdict('first run, beside Ansible', `${gain.toFixed(1)} times`, '≥ 3 times', gain >= 3)
  line('nothing to change', unchanged.ours)
  line('nothing to change, --check', unchanged.check)
  line('nothing to change, by node in place of npx zx', unchanged.node)
  line('nothing to change, Ansible', unchanged.theirs)
  // npx alone takes half a second before anything of ours begins
  for (const [name, seconds] of [
    ['by node', unchanged.node],
    ['by npx zx', unchanged.ours],
  ] as const) {
    const each = median(seconds) / count
    verdict(`nothing to change, each host, ${name}`, `${each.toFixed(2)} s`, '≤ 1.0 s', each <= 1)
  }
  const ratio = median(unchanged.theirs) / median(unchanged.ours)
  verdict('nothing to change, beside Ansible', `${ratio.toFixed(1)} times`, '≥ 10 times', ratio >= 10)
}

/** What was measured: the median, and from where to where. */
function line(name: string, seconds: number[]): void {
  const [least, most] = [Math.min(...seconds), Math.max(...seconds)].map(n => n.toFixed(2))
  const runs = seconds.length === 1 ? 'one run' : `${seconds.length} runs, ${least} to ${most} s`
  console.log(`   ${name.padEnd(58)} ${`${median(seconds).toFixed(2)} s`.padStart(18)}   ${runs}`)
}

/** Works with bare hosts, all alike, which go after that. */
async function withFleet<T>(count: number, latency: number, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  const ends: (() => unknown)[] = []
  // hosts are made for tests, of which they need an end only
  const test = { teardown: (end: () => unknown) => ends.push(end) } as unknown as Test
  try {
    const hosts: Host[] = []
    for (let i = 0; i < count; i++) hosts.push(await startHost(test, { name: `md-${i + 1}` }))
    const own = temporaryFolder(test)
    const named = hosts.map(({ name, address }) => ({ name, address, user: 'ops' }))
    const { config } = (hosts[0] as Host).ssh
    const sshConfig = join(own, 'ssh_config')
    writeFileSync(sshConfig, (await longWays(test, hosts, latency)) + readFileSync(config, 'utf8'))
    const site = siteOf(sheet, [{ from: 'the bench', vars }], { name: 'all', under: undefined, secrets })
    const peer = await preparePeer(join(own, 'ansible'), { site, hosts: named, sshConfig })
    ends.push(() => peer.disconnect())
    return await work({ hosts, ...candlekeep(own, named, sshConfig), theirs: ansible(peer, count) })
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

/** For ssh: that hosts are so many milliseconds away. */
async function longWays(test: Test, hosts: Host[], latency: number): Promise<string> {
  if (latency === 0) return ''
  const ports = await Promise.all(
    hosts.map(({ address }) => slowProxy(test, { host: address, port: 22 }, latency / 2)),
  )
  const ways = hosts.map(({ address }, i) =>
    [`Host ${address}`, 'HostName 127.0.0.1', `Port ${ports[i]}`, `HostKeyAlias ${address}`, ''].join('\n'),
  )
  return ways.join('')
}

function candlekeep(own: string, hosts: PeerHost[], sshConfig: string): Record<'ours' | 'byNode', Tool> {
  const inventory = join(own, 'inventory.json')
  const entries = hosts.map(({ name, address, user }) => [name, { address: `${user}@${address}` }])
  const files = Object.entries(secrets).map(([name, secret]) => {
    writeFileSync(join(own, name), secret, { mode: 0o600 })
    return [name, { file: name }]
  })
  const content = { vars, hosts: Object.fromEntries(entries), secrets: Object.fromEntries(files) }
  writeFileSync(inventory, JSON.stringify(content))
  const args = ['provision/install.mts', '--no-run', '--inventory', inventory, '--ssh-config', sshConfig]
  const env = { XDG_STATE_HOME: join(own, 'state') }
  const by = (...runner: [string, ...string[]]): Tool => ({
    name: 'candlekeep',
    run: (more = []) => measure([...runner, ...args, ...more], env, hosts.length),
  })
  return { ours: by('npx', 'zx'), byNode: by(process.execPath) }
}

function ansible({ args, env }: Peer, count: number): Tool {
  return {
    name: 'Ansible',
    run: (more = []) => measure(['ansible-playbook', ...args, ...more], env, count),
  }
}

/** Wall time of a whole command, and what it says at its end that it has changed on so many hosts. */
async function measure(command: string[], env: Record<string, string>, count: number): Promise<Measured> {
  const [program, ...args] = command as [string, ...string[]]
  const started = performance.now()
  const child = spawn(program, args, {
    cwd: project,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  const seconds = (performance.now() - started) / 1000
  const changed = Array.from(said.matchAll(/ changed=(\d+) .*unreachable=0 +failed=0/g), ([, n]) => Number(n))
  if (status !== 0 || changed.length !== count)
    throw new Error(`${command.join(' ')} ended with status ${status}: ${said.slice(-4000)}`)
  // all of it takes long: what is known so far
  console.error(`   ${seconds.toFixed(2)} s   ${command.join(' ').slice(0, 90)}`)
  return { seconds, changed: changed.reduce((sum, n) => sum + n, 0), said }
}

/** Every path of the hosts: type, mode, owner, group, and content. */
function expectSame(theirs: Snapshot[], ours: Snapshot[]): void {
  const wrong = ours.flatMap((mine, i) =>
    differences(theirs[i] as Snapshot, mine).filter(
      difference => !mayDiffer.some(path => difference.slice(2).startsWith(path)),
    ),
  )
  if (wrong.length > 0) throw new Error(`Ansible (-) and candlekeep (+) differ:\n${wrong.join('\n')}`)
}

/** The same archives for both, made beforehand. */
async function fillCache(): Promise<void> {
  const { node, modules, app } = await planRelease(process.arch === 'arm64' ? 'arm64' : 'x64')
  for (const layer of [node, modules, app]) await layer.pack(AbortSignal.timeout(600_000))
}

import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { codeOf } from '../../scripts/job/errors.ts'
import { skipWithoutPackages } from './debian.ts'
import { skipWithoutRoot } from './full_disk.ts'
import { Keeper } from './host_keeper.ts'
import { type HostNetwork, joinNetwork } from './host_network.ts'
import { type Snapshot, takeSnapshot } from './host_snapshot.ts'
import { hiddenFolders } from './host_view.ts'
import { type SshClient, sshClient } from './ssh_client.ts'
import { temporaryFolder } from './workspace.ts'

export type HostOptions = {
  name: string
  /** Time zone; default Etc/UTC. */
  zone?: string | undefined
  /** With a real cron; where it is a time (`2026-11-23 00:59:50`, of the host's zone), with one that believes that. */
  cron?: boolean | string | undefined
  /** Of its disk; default 2048. */
  sizeMb?: number | undefined
}

export type Host = {
  name: string
  /** `root`, `ops` (who may do anything by sudo) and `locked` (whose sudo wants a password) can log in there. */
  address: string
  /** The test's own address, as that host sees it. */
  gateway: string
  ssh: SshClient
  hostKey: string
  /** Its root folder, seen from here. */
  readonly root: string
  /** Runs a command as its root, without a network, and gives what it said; one that fails is an error. */
  run(command: string): Promise<string>
  linkDown(): void
  linkUp(): void
  /** From now on other hosts for which that was called can be reached from it. */
  openNetwork(): void
  /** Its sshd takes no new connection any more, though the kernel goes on to answer; connections that are there go on. */
  stall(): void
  goOn(): void
  /** Ends all that runs there; its disk is kept. */
  powerOff(): Promise<void>
  powerOn(cron?: HostOptions['cron']): Promise<void>
  /** How it differs from this machine, but for what a boot puts there (/run, /dev). */
  snapshot(): Snapshot
  stop(): Promise<void>
}

const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const faketime = `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`

/** For tap's `skip`: hosts take root and some Debian packages. */
export function skipWithoutHosts(): string | false {
  const wanted = {
    'openssh-server': '/usr/sbin/sshd',
    'openssh-client': 'ssh',
    iproute2: '/bin/ip',
    cron: '/usr/sbin/cron',
    logrotate: '/usr/sbin/logrotate',
    sudo: '/usr/bin/sudo',
    faketime,
  }
  return skipWithoutRoot() || skipWithoutPackages(wanted)
}

/**
 * Starts a host of its own: this machine's Debian without what is ours on it (no home folders, no /usr/local, no Node),
 * with an address, a real sshd and its own processes. It goes with the test, and with this process by whatever end.
 */
export async function startHost(test: Test, options: HostOptions): Promise<Host> {
  const { name, zone = 'Etc/UTC', sizeMb = 2048 } = options
  const ssh = sshClient()
  const folder = temporaryFolder(test)
  writeFileSync(join(folder, 'key.pub'), ssh.publicKey)
  writeFileSync(join(folder, 'zone'), zone)
  const keeper = new Keeper({ folder, name, sizeMb, faketime })
  let boot = 0
  let network: HostNetwork | undefined
  const powerOff = () => endProcesses(boot)
  const stop = async () => {
    await powerOff()
    keeper.kill()
    network?.leave()
  }
  test.teardown(stop)
  await keeper.ready()
  network = joinNetwork(keeper.pid)
  const { address, gateway } = network
  const link = (state: 'up' | 'down') => network?.link(state)
  const inside = (path: string) => `/proc/${keeper.pid}/root${folder}/disk/${path}`
  const hostKey = readFileSync(inside('root/etc/ssh/ssh_host_ed25519_key.pub'), 'utf8')
  ssh.know(address, hostKey)

  const powerOn = async (cron: HostOptions['cron'] = options.cron) => {
    boot = await keeper.boot(cron === true ? 'now' : cron || '-')
    await answers(address)
  }

  await powerOn()
  return {
    name,
    address,
    gateway,
    ssh,
    hostKey,
    get root() {
      return `/proc/${boot}/root${folder}/disk/root`
    },
    run: command => runInside(boot, join(folder, 'disk/root'), command),
    linkDown: () => link('down'),
    linkUp: () => link('up'),
    openNetwork: () => network?.open(),
    stall: () => signalFirst(boot, 'SIGSTOP'),
    goOn: () => signalFirst(boot, 'SIGCONT'),
    powerOff,
    powerOn,
    snapshot: () => takeSnapshot(inside('up'), hiddenFolders),
    stop,
  }
}

async function runInside(pid: number, root: string, command: string): Promise<string> {
  const at = [
    '--target',
    `${pid}`,
    '--mount',
    '--net',
    '--uts',
    '--ipc',
    `--pid=/proc/${pid}/ns/pid_for_children`,
  ]
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8' }
  try {
    const ended = await promisify(execFile)('nsenter', [...at, 'chroot', root, 'sh', '-c', command], { env })
    return ended.stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`On the host failed: ${command}\n${stderr}${stdout}`, { cause: error })
  }
}

/** Waits until its sshd takes connections. */
async function answers(address: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const socket = connect(22, address)
    const answered = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (answered) return
    await delay(20)
  }
  throw new Error(`The sshd of ${address} does not answer`)
}

/** Kills the first process of a host, which takes all others along, and waits until the last is gone. */
async function endProcesses(boot: number): Promise<void> {
  while (existsSync(childrenOf(boot))) {
    signalFirst(boot, 'SIGKILL')
    await delay(5)
  }
}

function signalFirst(boot: number, signal: NodeJS.Signals): void {
  for (const pid of readFileSync(childrenOf(boot), 'utf8').split(' ').filter(Boolean))
    send(Number(pid), signal)
}

function childrenOf(pid: number): string {
  return `/proc/${pid}/task/${pid}/children`
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

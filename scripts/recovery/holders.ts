import { readdirSync, readFileSync, statSync } from 'node:fs'
import { codeOf } from '../job/errors.ts'

/** A process that has a file open. */
export type FileHolder = { pid: number; command: string }

/** Who has some files open. `blind`: there are processes of other users, of which not all can be seen. */
export type Holders = { processes: FileHolder[]; blind: boolean }

/**
 * The processes that have any of `files` open, by the kernel's own lists (Linux: /proc/PID/fd, and /proc/locks, which
 * shows locks of other users' processes too). Not this process and its children.
 */
export function holdersOf(files: readonly string[]): Holders {
  const wanted = new Set(files.flatMap(identityOf))
  const pids = new Set<number>()
  let blind = false
  if (wanted.size > 0) {
    for (const pid of processIds()) {
      const has = opens(pid, wanted)
      if (has === undefined) blind = true
      else if (has) pids.add(pid)
    }
    for (const pid of lockers(wanted)) pids.add(pid)
  }
  const processes = [...pids]
    .filter(pid => pid !== process.pid && parentOf(pid) !== process.pid)
    .map(pid => ({ pid, command: commandOf(pid) }))
  return { processes, blind }
}

/** `pid 4711 (python3 agent.py)` */
export function nameHolders(processes: readonly FileHolder[]): string {
  return processes.map(({ pid, command }) => `pid ${pid} (${command})`).join(', ')
}

function identityOf(path: string): string[] {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? [] : [`${stat.dev}:${stat.ino}`]
}

function processIds(): number[] {
  return listed('/proc').flatMap(name => (/^\d+$/.test(name) ? [Number(name)] : []))
}

/** undefined: it is another user's, and cannot be looked at. */
function opens(pid: number, wanted: Set<string>): boolean | undefined {
  try {
    for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
      if (holds(`/proc/${pid}/fd/${descriptor}`, wanted)) return true
    }
    return false
  } catch (error) {
    if (codeOf(error) === 'EACCES') return undefined
    return false
  }
}

function holds(descriptor: string, wanted: Set<string>): boolean {
  try {
    return identityOf(descriptor).some(identity => wanted.has(identity))
  } catch {
    // closed in this very moment
    return false
  }
}

/** Lines such as `3: POSIX  ADVISORY  WRITE 4711 fd:00:131074 0 EOF`; the device in hexadecimal. */
function lockers(wanted: Set<string>): number[] {
  let lines: string[]
  try {
    lines = readFileSync('/proc/locks', 'utf8').split('\n')
  } catch {
    return []
  }
  return lines.flatMap(line => {
    const [, pid, major, minor, inode] =
      / (?:READ|WRITE) +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /.exec(line) ?? []
    if (pid === undefined || major === undefined || minor === undefined || inode === undefined) return []
    const device = deviceNumber(Number.parseInt(major, 16), Number.parseInt(minor, 16))
    return wanted.has(`${device}:${inode}`) ? [Number(pid)] : []
  })
}

/** As `stat` has it (Linux, makedev). */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)]
  return (
    ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn)
  )
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1])
}

function commandOf(pid: number): string {
  const line = textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
  return (line || textOf(`/proc/${pid}/comm`).trim() || 'it has just ended').slice(0, 120)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

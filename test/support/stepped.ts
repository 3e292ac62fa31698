import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { quote } from '../../provision/quote.ts'
import type { Injection } from './strace.ts'

/** What can change a disk; a `?` where not all kinds of machine have the call. */
const calls = [
  'openat,write,mkdirat,unlinkat,symlinkat,linkat,renameat2,ftruncate',
  'fchmod,fchmodat,fchown,fchownat,utimensat,fsync,syncfs',
  '?open,?creat,?mkdir,?unlink,?rmdir,?symlink,?link,?rename,?renameat,?chmod',
].join()

export type Stepped = {
  /** null where it was killed. */
  status: number | null
  /** Standard output and standard error. */
  output: string
  /** The system calls that changed something, in the order in which they were made, as strace writes them. */
  changes: string[]
}

export type SteppedOptions = {
  /** A file to read from standard input. */
  input: string
  /** After so many changes all of its processes are killed at one moment. */
  killAfter?: number
  env?: Record<string, string>
}

/**
 * Runs sh text with each of its processes held after each call that changes something, so that one moment is the same
 * moment in every run: strace stops the process that made the call (SIGSTOP), and it is let go from here.
 */
export async function stepThrough(text: string, options: SteppedOptions): Promise<Stepped> {
  const { input, killAfter = Number.POSITIVE_INFINITY, env = {} } = options
  const strace = ['-f', '-q', '-s', '32', '-o', '|exec cat >&3', '-e', `trace=${calls}`]
  const held = ['-e', `inject=${calls}:signal=SIGSTOP`]
  const merged = ['sh', '-c', 'exec 2>&1 3>&-; exec sh -c "$1"', 'sh', text]
  const from = openSync(input, 'r')
  const child = spawn('strace', [...strace, ...held, ...merged], {
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', ...env },
    stdio: [from, 'pipe', 'inherit', 'pipe'],
    // a group of its own, which is killed as one
    detached: true,
  })
  closeSync(from)
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (more: string) => (output += more))
  const changes: string[] = []
  const last = new Map<string, string>()
  const take = (line: string) => {
    const [, pid = '', said = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (/^\w+\(/.test(said)) last.set(pid, said)
    if (!said.startsWith('--- stopped by SIGSTOP') || changes.length >= killAfter) return
    const call = last.get(pid) ?? ''
    if (isChange(call)) changes.push(call)
    if (changes.length >= killAfter) process.kill(-(child.pid as number), 'SIGKILL')
    else process.kill(Number(pid), 'SIGCONT')
  }
  let rest = ''
  child.stdio[3]?.on('data', (more: Buffer) => {
    const lines = (rest + more.toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, output, changes }
}

function isChange(call: string): boolean {
  if (/ = -1 E/.test(call)) return false
  return !/^open(?:at)?\(/.test(call) || /O_CREAT|O_TRUNC/.test(call)
}

/** Text for sh that runs other text with a system call failing in each of its processes. The log says what was struck. */
export function failingText(text: string, { call, effect, when }: Injection, log: string): string {
  return traced(text, [`trace=${call}`, `inject=${call}:${effect}:when=${when}`], log)
}

/** Text for sh that runs other text with some system calls written to the log. */
export function watchedText(text: string, watched: string[], log: string): string {
  return traced(text, [`trace=${watched.map(call => `?${call}`).join()}`], log)
}

function traced(text: string, expressions: string[], log: string): string {
  const options = ['-f', '-q', '-o', log, ...expressions.flatMap(expression => ['-e', expression])]
  return ['exec', 'strace', ...options, 'sh', '-c', text].map(word => quote(word)).join(' ')
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Measured = { seconds: number; megabytes: number }

/** Wall time and peak memory of a whole Node process, from start to exit. It has to end with status 0. */
export async function measureNode(args: string[], env: Record<string, string>): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const file = join(folder, 'peak')
  // the kernel's own peak, in kilobytes, written by the process as its last act
  const hook = `import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync(${JSON.stringify(file)},String(process.resourceUsage().maxRSS)))`
  const started = performance.now()
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, ...args],
    {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  const seconds = (performance.now() - started) / 1000
  if (status !== 0) throw new Error(`${args.join(' ')} ended with status ${status}: ${said}`)
  const megabytes = Number(readFileSync(file, 'utf8')) / 1024
  rmSync(folder, { recursive: true })
  return { seconds, megabytes }
}

export function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

/** A line of the result: what, how much, and whether that keeps the target. */
export function verdict(what: string, figure: string, target: string, kept: boolean): void {
  console.log(`${kept ? '✅' : '❌'} ${what.padEnd(58)} ${figure.padStart(18)}   target ${target}`)
  if (!kept) process.exitCode = 1
}

import { spawn } from 'node:child_process'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const root = fileURLToPath(new URL('../../', import.meta.url))

export type Ended = {
  /** Exit status; null where a signal ended it. */
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** Standard output, where all of it is one JSON object on a line; else undefined. */
  json: Record<string, unknown> | undefined
}

export type Running = {
  pid: number
  kill(signal: NodeJS.Signals): void
  /** What it has said so far. */
  output(): string
  ended: Promise<Ended>
}

export type CommandOptions = {
  /** Added to the environment of the tests; undefined takes a variable out. */
  env?: Record<string, string | undefined> | undefined
  cwd?: string | undefined
  /** In place of Node and the script's path: what runs the script, such as `['npx', 'zx']`. */
  runner?: string[] | undefined
}

/** Starts `scripts/SCRIPT.mts`, or a script by its whole path, as cron does: by this Node, in no terminal. */
export function startCommand(script: string, args: string[] = [], options: CommandOptions = {}): Running {
  const { env = {}, cwd = root, runner = [process.execPath] } = options
  const [program, ...before] = runner as [string, ...string[]]
  const file = isAbsolute(script) ? script : `${root}scripts/${script}.mts`
  const child = spawn(program, [...before, file, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      resolve({ status, signal, stdout, stderr, json: oneObject(stdout) })
    })
  })
  return {
    pid: child.pid ?? 0,
    kill: signal => void child.kill(signal),
    output: () => stdout + stderr,
    ended,
  }
}

/** Runs a command to its end. */
export function runCommand(
  script: string,
  args: string[] = [],
  options: CommandOptions = {},
): Promise<Ended> {
  return startCommand(script, args, options).ended
}

/** Nothing of the caller's own set-up of candlekeep or of a terminal reaches a test. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => {
    return !/^(CANDLEKEEP_.*|NO_COLOR|FORCE_COLOR|CLICOLOR.*)$/.test(name)
  })
  return Object.fromEntries(own)
}

function oneObject(text: string): Record<string, unknown> | undefined {
  if (!/^\{.*\}\n$/.test(text)) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}

/** That a command ended with `status`; where it did not, what it said. */
export function expectStatus(test: Test, ended: Ended, status: number): void {
  const said = ended.status === status ? '' : `: ${ended.stderr}${ended.stdout}`
  test.equal(ended.status, status, `it ends with status ${status}${said}`)
}

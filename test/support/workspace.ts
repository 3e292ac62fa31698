import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { CheatSheet } from '../../scripts/job/config_types.ts'
import { type CommandOptions, type Ended, type Running, runCommand, startCommand } from './command.ts'

/** A configuration as a person writes it: what has a default may be left out. */
type Sheet = {
  paths: Omit<CheatSheet['paths'], 'jobs' | 'install'> & Partial<CheatSheet['paths']>
  sync: Partial<Omit<CheatSheet['sync'], 'retry'>> & Pick<CheatSheet['sync'], 'symbols' | 'retry'>
  health?: Partial<CheatSheet['health']>
  schedule?: Partial<CheatSheet['schedule']>
  alerts?: Partial<CheatSheet['alerts']>
  backup?: {
    [K in 'hot' | 'warm' | 'cold']?: Partial<CheatSheet['backup'][K]>
  } & { timeout_minutes?: number }
  recovery?: Partial<CheatSheet['recovery']>
}

export type Workspace = {
  folder: string
  /** Its configuration file. */
  file: string
  database: string
  state: string
  logs: string
  /** Names the configuration, and the made-up time where there is one. */
  env: Record<string, string>
  /** Writes the configuration again, changed. */
  configure(change: (sheet: Sheet) => void): void
  start(script: string, args?: string[], options?: CommandOptions): Running
  run(script: string, args?: string[], options?: CommandOptions): Promise<Ended>
  /** The names of the log files, oldest first. */
  logFiles(): string[]
  /** The lines of all log files, parsed. */
  logLines(): Record<string, unknown>[]
}

export type WorkspaceOptions = {
  /** A loopback exchange: `replay.url`. */
  url: string
  symbols?: string[]
  /** Where the command's clock starts (CANDLEKEEP_NOW); without it, the machine's own. */
  now?: number | string | undefined
  /** In place of a new temporary folder. */
  folder?: string | undefined
}

/**
 * A folder of its own with a valid configuration for a local exchange: no wait is longer than some milliseconds, a
 * week of history. It goes with the test.
 */
export function makeWorkspace(test: Test, options: WorkspaceOptions): Workspace {
  const { url, symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'], now } = options
  const folder = options.folder ?? temporaryFolder(test)
  const file = join(folder, 'cheat_sheet.json')
  const soon = { backoff_seconds: [0.01, 0.02], jitter_seconds: 0 }
  const sheet: Sheet = {
    paths: { workspace: '.', database: 'data/agent.db', state: 'state', logs: 'logs', metrics: 'metrics' },
    sync: {
      base_url: url,
      history_days: 7,
      symbols,
      retry: { timeout: soon, rate_limit: soon, server_error: soon },
    },
  }
  const env: Record<string, string> = {
    CANDLEKEEP_CONFIG: file,
    ...(now === undefined ? {} : { CANDLEKEEP_NOW: new Date(now).toISOString() }),
  }
  const logs = join(folder, 'logs')
  const logFiles = () => readdirSync(logs).sort()
  const withEnv = (given: CommandOptions = {}) => ({ ...given, env: { ...env, ...given.env } })
  const workspace: Workspace = {
    folder,
    file,
    database: join(folder, 'data/agent.db'),
    state: join(folder, 'state'),
    logs,
    env,
    configure(change) {
      change(sheet)
      writeFileSync(file, JSON.stringify(sheet, null, 2))
    },
    start(script, args, given) {
      const running = startCommand(script, args, withEnv(given))
      test.teardown(() => running.kill('SIGKILL'))
      return running
    },
    run: (script, args, given) => runCommand(script, args, withEnv(given)),
    logFiles,
    logLines() {
      const lines = logFiles().flatMap(name => readFileSync(join(logs, name), 'utf8').trimEnd().split('\n'))
      return lines.map(line => JSON.parse(line) as Record<string, unknown>)
    },
  }
  workspace.configure(() => undefined)
  return workspace
}

/** A folder that goes with the test. */
export function temporaryFolder(test: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'candlekeep-'))
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

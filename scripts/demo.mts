/**
 * The whole cycle on this machine alone: an exchange that makes its candles up, and a folder of its own.
 *
 *     npm run demo
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import Database from 'better-sqlite3'
import { $ } from 'zx'
import { ReplayClock } from '../test/support/exchange/clock.ts'
import { generatedSource } from '../test/support/exchange/generated.ts'
import { startReplay } from '../test/support/exchange/replay.ts'
import { startS3Double } from '../test/support/s3/double.ts'
import { nagiosStatus } from './health/report.ts'
import { messageOf, UserError } from './job/errors.ts'
import { exitStatus } from './job/exit_status.ts'
import { helpText, integerFlag, parseFlags, scriptArguments } from './job/flags.ts'
import { day } from './job/time.ts'

const project = join(import.meta.dirname, '..')
const folder = join(project, 'demo')
const marker = join(folder, '.made-by-the-demo')
const page = join(folder, 'audit.html')
const summary = 'Shows the whole cycle on an embedded exchange, in a folder of its own.'
const flags = {
  days: { value: 'N', help: 'days of history to begin with (default: 30)' },
  keep: { help: 'leave all of the folder demo/ there to look at, and not only the page of the audit' },
  help: { help: 'this text' },
} as const

try {
  const given = parseFlags(flags, scriptArguments())
  if (given.help) console.log(helpText(import.meta.filename, summary, { days: flags.days, keep: flags.keep }))
  else await demo(integerFlag('days', given.days, 1, 2000) ?? 30, given.keep)
} catch (error) {
  console.error(`❌ ${messageOf(error)}`)
  if (error instanceof UserError && error.hint !== undefined) console.error(`   ${error.hint}`)
  process.exitCode = error instanceof UserError ? error.status : exitStatus.failed
}

async function demo(days: number, keep: boolean): Promise<void> {
  clearFolder()
  const sheet = JSON.parse(readFileSync(join(project, 'conf/S2_1_CHEAT_SHEET.json'), 'utf8'))
  const { symbols } = sheet.sync
  const yesterday = Date.now() - day
  const clock = new ReplayClock({ at: yesterday })
  const exchange = await startReplay({ source: generatedSource({ symbols }), clock })
  const s3 = await startS3Double({ buckets: ['demo'] })
  // Ctrl-C ends the command that runs; what is left over is taken away here
  process.once('SIGINT', () => undefined)
  try {
    const ordered = makeFolder(sheet, { exchange: exchange.url, s3: s3.url })
    const host = join(folder, 'host')
    const database = join(host, 'var/app/crypto-futures-agent/data/agent.db')
    const run = (script: string, args: string[] = [], expected = [0]) => {
      const own = {
        ...s3.env,
        CANDLEKEEP_CONFIG: join(host, 'etc/crypto-futures-agent/cheat_sheet.json'),
        CANDLEKEEP_NOW: new Date(clock.now()).toISOString(),
      }
      return runCommand(own, `scripts/${script}`, args, expected)
    }
    console.log(
      `An exchange with ${symbols.length} symbols and an S3 service on this machine; everything else is in demo/.`,
    )
    console.log(
      '\n⓪ A server, below a folder: releases, jobs, crontab, configuration, as a real one gets them',
    )
    // what the log of an installation is for is shown below
    const state = { XDG_STATE_HOME: join(folder, 'installer') }
    const target = ['--local', '--root', host, '--config', ordered]
    await runCommand(state, 'provision/install', [...target, '--no-run'], [0])
    console.log(`\n① Yesterday: the first sync, ${days} days of 4h candles`)
    await run('daily_candle_sync', ['--since', `${days}d`])
    console.log('\n② Three copies: on this disk, in a folder that stands for another one, and in S3')
    await run('backup')
    console.log('\n③ Is it well?')
    await run('health_check')
    console.log('\n④ Today: a day later, the same commands that cron runs')
    clock.set(yesterday + day)
    await run('daily_candle_sync')
    trade(database, 200)
    await run('backup', ['--tiers', 'hot', '--if-changed'])
    console.log('\n⑤ Are the copies good? All of them are read again, in full')
    await run('backup', ['--verify'])
    console.log('   Would they come back? One of each tier is restored elsewhere, as every Sunday')
    await run('restore_drill')
    console.log('\n⑥ The agent trades on; then the disk fails: some pages of its database are overwritten')
    trade(database, 100)
    damage(database)
    await run('health_check', [], [nagiosStatus.critical])
    console.log('\n⑦ One command brings it back, with the trades that no backup has')
    await run('db_recovery', ['--yes'])
    console.log('\n⑧ Is it well again?')
    await run('health_check')
    console.log(`\nOf 300 trades ${countTrades(database)} are there.`)
    console.log('\n⑨ Was all of that as good as promised? The day between, without a host, was not')
    await run('sla_audit', ['--days', '2', '--html', page], [exitStatus.done, exitStatus.missed])
    console.log(`\nOpen it in a browser: ${page}`)
  } finally {
    await Promise.all([exchange.close(), s3.close()])
    if (!keep) leaveThePage()
  }
}

/** What a trading agent does: its trades exist nowhere else. */
function trade(file: string, trades: number): void {
  withDatabase(file, database => {
    database.exec(
      'CREATE TABLE IF NOT EXISTS trade_log (id INTEGER PRIMARY KEY, symbol TEXT, side TEXT, price REAL, note TEXT)',
    )
    const insert = database.prepare('INSERT INTO trade_log (symbol, side, price, note) VALUES (?, ?, ?, ?)')
    database.transaction(() => {
      for (let i = 0; i < trades; i++)
        insert.run('BTCUSDT', i % 2 === 0 ? 'buy' : 'sell', 60_000 + i, 'a trade that exists nowhere else')
    })()
  })
}

function countTrades(file: string): number {
  return withDatabase(
    file,
    database => database.prepare('SELECT count(*) FROM trade_log').pluck().get() as number,
  )
}

function withDatabase<T>(file: string, work: (database: Database.Database) => T): T {
  const database = new Database(file)
  try {
    return work(database)
  } finally {
    database.close()
  }
}

/** Overwrites pages in the middle of the file, which hold candles. */
function damage(file: string): void {
  const descriptor = openSync(file, 'r+')
  const { size } = fstatSync(descriptor)
  const pages = Math.floor(size / 4096)
  for (const at of [0.3, 0.5, 0.6])
    writeSync(descriptor, Buffer.alloc(4096, 'not a page of SQLite '), 0, 4096, Math.floor(pages * at) * 4096)
  closeSync(descriptor)
}

/** Runs the real command, as a person would. */
async function runCommand(
  environment: Record<string, string>,
  script: string,
  args: string[],
  expected: number[],
): Promise<void> {
  const shown = [`npx zx ${script}.mts`, ...args.map(word => shorter(word))].join(' ')
  console.log(`$ ${shown}`)
  // nothing of the caller's own set-up, least of all the dead man's switch of a real server
  const own = Object.entries(process.env).filter(([name]) => !/^(CANDLEKEEP|AWS)_/.test(name))
  const env = { ...Object.fromEntries(own), ...environment }
  const file = join(project, `${script}.mts`)
  const { exitCode } = await $({ stdio: 'inherit', env, nothrow: true })`${process.execPath} ${file} ${args}`
  if (exitCode === null || !expected.includes(exitCode))
    throw new UserError(`${shown} ended with status ${exitCode}`, { status: exitCode ?? 1 })
}

/** A path below this project, as a person would write it there. */
function shorter(word: string): string {
  return word.startsWith(`${project}/`) ? relative(project, word) : word
}

type Sheet = { sync: object; health: object; backup: { warm: object; cold: object } }

/** The cheat sheet as it is shipped, with its services on this machine. */
function makeFolder(sheet: Sheet, urls: { exchange: string; s3: string }): string {
  mkdirSync(folder)
  writeFileSync(marker, '')
  const { warm, cold } = sheet.backup
  const ordered = {
    ...sheet,
    $schema: '../conf/cheat_sheet.schema.json',
    sync: { ...sheet.sync, base_url: urls.exchange },
    backup: {
      ...sheet.backup,
      warm: { ...warm, mount: null },
      cold: { ...cold, bucket: 'demo', endpoint: urls.s3, path_style: true },
    },
    // some days of candles are no large database
    health: { ...sheet.health, min_database_mb: 0.1 },
  }
  const config = join(folder, 'cheat_sheet.json')
  writeFileSync(config, JSON.stringify(ordered, null, 2))
  return config
}

/** The next demo takes the rest away. */
function leaveThePage(): void {
  if (!existsSync(folder)) return
  for (const path of readdirSync(folder).map(name => join(folder, name)))
    if (path !== page && path !== marker) rmSync(path, { recursive: true })
}

/** Takes away what an earlier demo left there, and nothing that somebody else did. */
function clearFolder(): void {
  if (!existsSync(folder)) return
  if (!existsSync(marker)) {
    throw new UserError(`${relative(process.cwd(), folder)} is not the demo's own folder`, {
      hint: 'Move it away: the demo begins with an empty one.',
    })
  }
  rmSync(folder, { recursive: true })
}

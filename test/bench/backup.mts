/**
 * How long an agent that commits 500 transactions a second has to wait for backups, and how long a backup takes beside
 * what else copies a database: Debian's sqlite3 (`.backup`, `VACUUM INTO`) and `cp`, which proves nothing.
 *
 *     npm run bench:backup
 *
 * `BENCH_MB=50,250,1000` has it take databases of those sizes.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { besideLedger } from '../support/beside_ledger.ts'
import { ledgerTables } from '../support/ledger.ts'
import { median, verdict } from './measure.ts'

const folder = mkdtempSync(join(tmpdir(), 'bench-backup-'))
const script = join(import.meta.dirname, '../../scripts/backup.mts')
const compiled = join(folder, 'compiled')
const sizes = (process.env['BENCH_MB'] || '50,250').split(',').map(Number)
const backups = 50

try {
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n`,
  )
  for (const mode of ['wal', 'delete'] as const) await benchAgent(makeDatabase(mode, 50))
  for (const megabytes of sizes)
    for (const mode of ['wal', 'delete'] as const) await benchDuration(makeDatabase(mode, megabytes))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

type Bench = { own: string; config: string; file: string; what: string }

/** 50 backups in a row beside the agent; and the agent alone for a while, for what the machine does. */
async function benchAgent({ own, config, file, what }: Bench): Promise<void> {
  const { beside, alone, failed } = await besideLedger(file, 500, async report => {
    let failures = 0
    await report()
    const began = performance.now()
    for (let i = 0; i < backups; i++)
      if ((await backUp(config, ['--tiers', 'hot'])).status !== 0) failures += 1
    const took = performance.now() - began
    const busy = await report()
    await delay(Math.min(took, 30_000))
    return { beside: busy, alone: await report(), failed: failures }
  })
  const waits = (of: typeof beside) =>
    `${of.longestMs.toFixed(0)} ms (${of.over100Ms} of ${of.written} over 100 ms)`
  console.log(
    `${what}: ${backups} backups, ${failed} failed; ${beside.failed} of ${beside.written} commits failed`,
  )
  console.log(`${what}: the longest commit without backups ${waits(alone)}`)
  verdict(
    `${what}: the longest commit beside backups`,
    waits(beside),
    '≤ 100 ms',
    beside.longestMs <= 100 && failed === 0 && beside.failed === 0,
  )
  rmSync(own, { recursive: true })
}

/** Whole processes, one after the other in each round, so that all meet the same machine. */
async function benchDuration({ own, config, file, what }: Bench): Promise<void> {
  const copy = join(own, 'copy.db')
  const sqlite3 = (target: string, ...statements: string[]) => run('sqlite3', [target, ...statements])
  const peers: Record<string, () => unknown> = {
    'candlekeep, proven': () => backUp(config, ['--tiers', 'hot']),
    cp: () => run('cp', [file, copy]),
    'cp + integrity_check': () => [run('cp', [file, copy]), sqlite3(copy, 'PRAGMA integrity_check')],
    'VACUUM INTO': () => sqlite3(file, `VACUUM INTO '${copy}'`),
    'sqlite3 .backup': () => sqlite3(file, `.backup ${copy}`),
    'sqlite3 .backup + integrity_check + sha256sum': () => [
      sqlite3(file, `.backup ${copy}`),
      sqlite3(copy, 'PRAGMA integrity_check'),
      run('sha256sum', [copy]),
    ],
  }
  const times: Record<string, number[]> = {}
  let peak = 0
  for (let round = 0; round < 3; round++)
    for (const [name, work] of Object.entries(peers)) {
      rmSync(copy, { force: true })
      // what the one before left to be written is not this one's
      spawnSync('sync')
      const began = performance.now()
      const done = await work()
      ;(times[name] ??= []).push((performance.now() - began) / 1000)
      if (typeof done === 'object' && done !== null && 'megabytes' in done)
        peak = Math.max(peak, Number(done.megabytes))
    }
  const of = (name: string) => median(times[name] ?? [])
  const ours = of('candlekeep, proven')
  console.log(`\n${what}`)
  for (const name of Object.keys(peers))
    console.log(
      `   ${name.padEnd(48)} ${of(name).toFixed(2).padStart(6)} s   ${(ours / of(name)).toFixed(2)} times`,
    )
  const checked = ours / of('cp + integrity_check')
  verdict(
    `${what}: beside cp + integrity_check`,
    `${checked.toFixed(2)} times`,
    '≤ 1.5 times',
    checked <= 1.5,
  )
  const proven = ours / of('sqlite3 .backup + integrity_check + sha256sum')
  verdict(
    `${what}: beside .backup + integrity_check + sha256sum`,
    `${proven.toFixed(2)} times`,
    '< 1 times',
    proven < 1,
  )
  verdict(`${what}: memory at most, each process`, `${peak.toFixed(0)} MB`, '≤ 250 MB', peak <= 250)
  await benchUnchanged({ own, config, file, what })
  rmSync(own, { recursive: true })
}

async function benchUnchanged({ config, what }: Bench): Promise<void> {
  // a change in the last two seconds might not show: the first run after them is the one to compare with
  await delay(2500)
  await backUp(config, ['--tiers', 'hot'])
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const began = performance.now()
    const { unchanged } = await backUp(config, ['--tiers', 'hot', '--if-changed'])
    if (unchanged !== true) throw new Error('it took a backup though nothing had changed')
    times.push((performance.now() - began) / 1000)
  }
  const took = median(times)
  verdict(`${what}: --if-changed with nothing to do`, `${took.toFixed(2)} s`, '≤ 0.30 s', took <= 0.3)
}

/** The real command, as cron runs it, and the peak of memory of its processes. */
async function backUp(config: string, args: string[]) {
  const peaks = join(folder, 'peaks')
  mkdirSync(peaks, { recursive: true })
  const hook = `import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync(${JSON.stringify(peaks)}+'/'+process.pid,String(process.resourceUsage().maxRSS)))`
  const { promise, resolve } = Promise.withResolvers<{
    status: number | null
    stdout: string
    stderr: string
  }>()
  // not spawnSync: the agent's answers are waited for in this process
  const child = spawn(process.execPath, [script, '--json', '--config', config, ...args], {
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: compiled,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  child.on('close', status => resolve({ status, stdout, stderr }))
  const ended = await promise
  if (ended.status !== 0) console.error(ended.stdout + ended.stderr)
  const found = readdirSync(peaks).map(name => Number(readFileSync(join(peaks, name), 'utf8')) / 1024)
  rmSync(peaks, { recursive: true })
  const { unchanged } = JSON.parse(ended.stdout || '{}') as { unchanged?: boolean }
  return { status: ended.status, unchanged, megabytes: Math.max(0, ...found) }
}

function run(program: string, args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}

/** A ledger beside trades, about as large as asked for. */
function makeDatabase(mode: 'wal' | 'delete', megabytes: number): Bench {
  const own = join(folder, `${mode}-${megabytes}`)
  mkdirSync(own)
  const config = join(own, 'cheat_sheet.json')
  const paths = { workspace: own, database: 'agent.db', state: 'state', logs: 'logs', metrics: 'metrics' }
  writeFileSync(config, JSON.stringify({ paths, sync: { symbols: ['BTCUSDT'] } }))
  const file = join(own, 'agent.db')
  const database = new Database(file)
  database.pragma('synchronous = OFF')
  database.pragma(`journal_mode = ${mode}`)
  database.exec(ledgerTables)
  database.exec(
    'CREATE TABLE trades (id INTEGER PRIMARY KEY, at INTEGER, symbol TEXT, price REAL, note TEXT)',
  )
  database.exec('CREATE INDEX trades_at ON trades (at)')
  database
    .prepare(
      `INSERT INTO trades (at, symbol, price, note)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       SELECT 1600000000000 + i * 1000, 'BTCUSDT', i, hex(randomblob(60)) FROM n`,
    )
    .run(Math.floor((megabytes * 1e6) / 180))
  database.close()
  return { own, config, file, what: `${(statSync(file).size / 1e6).toFixed(0)} MB, ${mode} mode` }
}

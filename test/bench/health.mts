/**
 * How long the health check takes beside SQLite's own check alone, and how long an agent that writes has to wait for
 * it. Databases with candles as they are (60 symbols, sealed) and, the large one, other tables of the agent's.
 *
 *     npm run bench:health
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { Candle } from '../../scripts/candles/candle.ts'
import { createTable, insertSql } from '../../scripts/candles/candle_table.ts'
import { intervals, lastClosedOpenTime } from '../../scripts/candles/intervals.ts'
import { CandleRecords } from '../../scripts/candles/records.ts'
import { monthOf, seal } from '../../scripts/candles/seals.ts'
import { clockFor } from '../../scripts/job/clock.ts'
import { History } from '../../scripts/job/history.ts'
import { besideAgent } from '../support/beside_agent.ts'
import { median, verdict } from './measure.ts'

const project = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'bench-health-'))
const script = join(project, 'scripts/health_check.mts')
const { step, table } = intervals['4h']
const clock = clockFor(null)
const symbols = Array.from({ length: 60 }, (_, i) => `COIN${i}USDT`)
const compiled = join(folder, 'compiled')

try {
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}\n`)
  const small = { wal: makeDatabase('wal', 50e6, 1), delete: makeDatabase('delete', 50e6, 1) }
  for (const [mode, config] of Object.entries(small)) benchWhole(mode, config)
  for (const [mode, config] of Object.entries(small)) await benchAgent(mode, config)
  for (const mode of ['wal', 'delete'] as const) benchLarge(mode, makeDatabase(mode, 1e9, 0.4))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The whole command, from start to exit, as cron runs it: with Node's compile cache, niced by nobody. */
function benchWhole(mode: string, config: Bench): void {
  const times = Array.from({ length: 9 }, () => runCheck(config))
  const whole = median(times.slice(1).map(({ seconds }) => seconds))
  const inside = median(times.slice(1).map(({ frame }) => frame))
  const check = median(Array.from({ length: 5 }, () => checkAlone(config.database)))
  const size = `${(statSync(config.database).size / 1e6).toFixed(0)} MB`
  console.log(
    `${size}, ${mode} mode: integrity_check alone ${check.toFixed(2)} s; the run without Node's start ${inside.toFixed(2)} s`,
  )
  verdict(
    `health_check on ${size}, ${mode} mode, whole process`,
    `${whole.toFixed(2)} s`,
    '≤ 0.50 s',
    whole <= 0.5,
  )
}

function benchLarge(mode: string, config: Bench): void {
  const size = `${(statSync(config.database).size / 1e9).toFixed(2)} GB`
  const rounds = Array.from({ length: 3 }, () => ({
    alone: checkAlone(config.database),
    ours: runCheck(config).seconds,
  }))
  const [alone, ours] = [median(rounds.map(round => round.alone)), median(rounds.map(round => round.ours))]
  const ratio = ours / alone
  verdict(
    `health_check on ${size}, ${mode} mode: ${ours.toFixed(1)} s, beside integrity_check alone: ${alone.toFixed(1)} s`,
    `${ratio.toFixed(2)} times`,
    '≤ 1.5 times',
    ratio <= 1.5,
  )
  rmSync(config.folder, { recursive: true })
}

/** 1,000 writes a second for 30 seconds, with one check after the other; and without, for what the machine does. */
async function benchAgent(mode: string, config: Bench): Promise<void> {
  const idle = await besideAgent(config.database, 1000, () => delay(30_000))
  let checks = 0
  const busy = await besideAgent(config.database, 1000, async () => {
    const until = performance.now() + 30_000
    for (; performance.now() < until; checks++) {
      await delay(500)
      runCheck(config)
    }
  })
  console.log(
    `${mode} mode, without checks: longest wait ${idle.longestMs.toFixed(0)} ms of ${idle.written} writes`,
  )
  verdict(
    `an agent's longest wait in ${busy.written} writes beside ${checks} checks, ${mode} mode`,
    `${busy.longestMs.toFixed(0)} ms`,
    '≤ 50 ms',
    busy.longestMs <= 50,
  )
}

type Bench = { folder: string; config: string; database: string }

function runCheck({ config }: Bench): { seconds: number; frame: number } {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--json', '--config', config], {
    encoding: 'utf8',
    env: { ...process.env, NODE_COMPILE_CACHE: compiled },
  })
  const seconds = (performance.now() - started) / 1000
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`)
  return { seconds, frame: (JSON.parse(stdout) as { duration_seconds: number }).duration_seconds }
}

/** `PRAGMA integrity_check` by the same library, in a process of its own. */
function checkAlone(database: string): number {
  const program = `
    const database = new (require('better-sqlite3'))(process.argv[1], { readonly: true })
    const began = performance.now()
    database.pragma('integrity_check')
    console.log((performance.now() - began) / 1000)`
  return Number(
    spawnSync(process.execPath, ['-e', program, database], { cwd: project, encoding: 'utf8' }).stdout,
  )
}

/** A database of about `bytes`, `share` of which are sealed candles, and a history in which everything is well. */
function makeDatabase(mode: 'wal' | 'delete', bytes: number, share: number): Bench {
  const own = join(folder, `${mode}-${bytes}`)
  mkdirSync(own)
  const paths = { workspace: own, database: 'agent.db', state: 'state', logs: 'logs', metrics: 'metrics' }
  const health = { min_free_disk_ratio: 0 }
  const config = join(own, 'cheat_sheet.json')
  writeFileSync(config, JSON.stringify({ paths, sync: { symbols }, health }))
  const file = join(own, 'agent.db')
  const database = new Database(file)
  database.pragma('synchronous = OFF')
  database.pragma(`journal_mode = ${mode}`)
  const history = openHistory(join(own, 'state'))
  // a candle with its two indexes takes 150 bytes, a trade 180
  fillCandles(database, history, Math.floor((bytes * share) / 150 / symbols.length))
  fillTrades(database, Math.floor((bytes * (1 - share)) / 180))
  database.close()
  history.close()
  return { folder: own, config, database: file }
}

function openHistory(state: string): History {
  const log = { info() {}, warn: console.error, error: console.error, file: undefined, close() {} }
  const history = History.open(state, log, clock)
  const lastClosed = new Date(lastClosedOpenTime(clock.now(), step)).toISOString()
  const figures = { counts: true, last_closed: lastClosed, untradable: [] }
  const { id } = history.begin('daily_sync', undefined)
  history.finish(id, { outcome: 'done', exitStatus: 0, summary: '', figures })
  history.transact(database => {
    const now = clock.now()
    database.prepare("INSERT INTO backups VALUES ('B', 'hot', ?, ?, ?, 1)").run(now, now, now)
  })
  return history
}

function fillCandles(database: Database.Database, history: History, candlesEach: number): void {
  createTable(database, table)
  const insert = database.prepare(insertSql(table, 1))
  const records = new CandleRecords(history, '4h', 1, () => clock.now())
  const last = lastClosedOpenTime(clock.now(), step)
  for (const symbol of symbols) {
    const candles = Array.from({ length: candlesEach }, (_, i): Candle => {
      const [open, high, low, close] = [
        100 + Math.random(),
        102 + Math.random(),
        98 + Math.random(),
        100 + Math.random(),
      ]
      const openTime = last - (candlesEach - 1 - i) * step
      return {
        openTime,
        open,
        high,
        low,
        close,
        volume: Math.random() * 1e6,
        quoteVolume: Math.random() * 1e8,
        trades: i,
      }
    })
    database.transaction(() => {
      for (const { openTime, open, high, low, close, volume, quoteVolume, trades } of candles)
        insert.run(openTime, symbol, open, high, low, close, volume, quoteVolume, trades)
    })()
    const seals = [...Map.groupBy(candles, ({ openTime }) => monthOf(openTime))].flatMap(([month, group]) => {
      const made = seal(group)
      return made === undefined ? [] : [{ symbol, month, before: undefined, seal: made }]
    })
    records.prepare({ revisions: [], rejected: [], seals })
    records.confirm(seals)
  }
}

/** What else an agent writes: a table with an index, rows of some length. */
function fillTrades(database: Database.Database, rows: number): void {
  database.exec(
    'CREATE TABLE trades (id INTEGER PRIMARY KEY, at INTEGER, symbol TEXT, price REAL, note TEXT)',
  )
  database.exec('CREATE INDEX trades_at ON trades (at)')
  database
    .prepare(
      `INSERT INTO trades (at, symbol, price, note)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       SELECT 1600000000000 + i * 1000, 'BTCUSDT', i, hex(randomblob(60)) FROM n WHERE ? > 0`,
    )
    .run(rows, rows)
}

import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { hour } from '../../scripts/job/time.ts'
import { type Ended, expectStatus, type Running } from './command.ts'
import { ReplayClock } from './exchange/clock.ts'
import { generatedSource } from './exchange/generated.ts'
import { type Replay, startReplay } from './exchange/replay.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './workspace.ts'

const began = Date.parse('2026-03-14T02:00:00Z')
/** When the recoveries of the tests run. */
const struckAt = began + 3 * hour
/** It trades no more when they do. */
export const delisted = 'GONEUSDT'
const symbols = ['BTCUSDT', 'ETHUSDT', delisted]
export const pageSize = 1024

const tables = `
  CREATE TABLE trade_log (id INTEGER PRIMARY KEY, side TEXT, price REAL, note TEXT);
  CREATE INDEX trades_by_price ON trade_log (price);
  CREATE TABLE positions (symbol TEXT PRIMARY KEY, amount REAL);
  CREATE TABLE marks (name TEXT PRIMARY KEY);
  INSERT INTO positions VALUES ('BTCUSDT', 0.5), ('ETHUSDT', -3);
  INSERT INTO trade_log (side, price, note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
    SELECT iif(i % 3, 'buy', 'sell'), 60000.37 + i, 'trade number ' || i FROM n;
  PRAGMA user_version = 7;`

export type Ground = {
  exchange: Replay
  /** Names of the three backups that the hot tier has, newest first, an hour apart. */
  backups: [string, string, string]
  /** A workspace of its own that begins where this one ends. */
  clone: (test: Test, change?: Parameters<Workspace['configure']>[0]) => Workspace
}

/**
 * A database with candles and what an agent keeps, three backups, and a life after: in `marks` is `first`, `second` and
 * `third`, each in the backups from that number on, and `fresh`, which is in none.
 */
export async function makeGround(test: Test, journalMode: 'wal' | 'delete'): Promise<Ground> {
  const clock = new ReplayClock({ at: began, rate: 0 })
  const settling = { [delisted]: began + hour }
  const exchange = await startReplay({ source: generatedSource({ symbols, settling }), clock })
  test.teardown(() => exchange.close())
  const original = makeWorkspace(test, { url: exchange.url, symbols, now: began })
  original.env['NODE_COMPILE_CACHE'] = temporaryFolder(test)
  original.configure(configured)
  const { database } = original
  mkdirSync(join(database, '..'))
  sqlite(database, `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = ${journalMode}; ${tables}`)
  expectStatus(test, await original.run('daily_candle_sync'), 0)
  const backups: string[] = []
  for (const [i, name] of ['first', 'second', 'third'].entries()) {
    sqlite(database, `INSERT INTO marks VALUES ('${name}');`)
    const CANDLEKEEP_NOW = new Date(began + i * hour).toISOString()
    const taken = await original.run('backup', ['--json'], { env: { CANDLEKEEP_NOW } })
    expectStatus(test, taken, 0)
    backups.unshift(String(taken.json?.['id']))
  }
  sqlite(
    database,
    `INSERT INTO marks VALUES ('fresh'); INSERT INTO trade_log (side, price, note) VALUES ('sell', 61999.5, 'fresh');`,
  )
  clock.set(struckAt)
  return {
    exchange,
    backups: backups as Ground['backups'],
    clone(own, change = () => undefined) {
      const folder = quickFolder(own)
      cpSync(original.folder, folder, { recursive: true, preserveTimestamps: true })
      const clone = makeWorkspace(own, { url: exchange.url, symbols, now: struckAt, folder })
      Object.assign(clone.env, { NODE_COMPILE_CACHE: original.env['NODE_COMPILE_CACHE'] })
      clone.configure(sheet => {
        configured(sheet)
        change(sheet)
      })
      return clone
    },
  }
}

function configured(sheet: Parameters<Parameters<Workspace['configure']>[0]>[0]): void {
  sheet.sync.history_days = 30
  sheet.backup = { warm: { path: 'warm', mount: null } }
  sheet.health = { min_database_mb: 0.01, min_free_disk_ratio: 0 }
  sheet.recovery = { wait_for_writers_seconds: 0 }
}

/** In memory, where there is such a place. */
function quickFolder(test: Test): string {
  if (!existsSync('/dev/shm')) return temporaryFolder(test)
  const folder = mkdtempSync('/dev/shm/candlekeep-')
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Recovers without asking. */
export function recover(
  workspace: Workspace,
  args: string[] = [],
  env: Record<string, string> = {},
): Promise<Ended> {
  return workspace.run('db_recovery', ['--yes', '--json', ...args], { env })
}

/** Until a command has said something, or has ended without. */
export async function said(running: Running, text: string): Promise<void> {
  const ended = running.ended.then(() => true)
  while (!running.output().includes(text)) if (await Promise.race([ended, delay(20, false)])) return
}

/** Runs statements by Debian's sqlite3; what it prints, without the last line break. Throws where one fails. */
export function sqlite(file: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', '-bail', file], { input: sql, encoding: 'utf8' }).trimEnd()
}

/** The names in `marks`, in their order. */
export function marksIn(file: string): string {
  return sqlite(file, 'SELECT group_concat(name) FROM (SELECT name FROM marks ORDER BY rowid);')
}

/** What SQLite's own check says of a database. */
export function checkOf(file: string): string {
  return sqlite(file, 'PRAGMA integrity_check;')
}

/** Changes the bytes of a file. */
export function edit(file: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file)
  change(bytes)
  writeFileSync(file, bytes)
}

/** Flips a bit in a backup, where the tier has it. */
export function spoil({ folder }: Workspace, tier: 'hot' | 'warm', id: string): void {
  const file = tier === 'hot' ? `backups/hot/${id}.db` : `warm/${id}.db.zst`
  if (existsSync(join(folder, file))) edit(join(folder, file), bytes => flip(bytes, bytes.length >> 1))
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] as number) ^ 4
}

/** Overwrites a page that rows of a table are in. */
export function destroyPage(file: string, table = 'trade_log'): void {
  const query = `SELECT pageno FROM dbstat WHERE name = '${table}' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET 2;`
  const page = Number(sqlite(file, query))
  edit(file, bytes => void bytes.fill(0x5a, (page - 1) * pageSize, page * pageSize))
}

/** Nothing can be read of it any more, though it is as long as before. */
export function destroyAll(file: string): void {
  edit(file, bytes => void bytes.fill(0x5a))
}

/** Overwrites SQLite's header. */
export function smashHeader(file: string): void {
  edit(file, bytes => void bytes.fill(0, 0, 100))
}

/** Flips a bit of a price in a stored candle, which SQLite cannot see; gives the row as it was. */
export function flipCandle(file: string, symbol: string): string {
  const where = `symbol = '${symbol}' ORDER BY timestamp LIMIT 1 OFFSET 40`
  const row = sqlite(file, `SELECT * FROM ohlcv_h4 WHERE ${where};`)
  const [open, high] = row.split('|').slice(2, 4).map(Number)
  const prices = Buffer.concat([double(open), double(high)])
  edit(file, bytes => {
    const at = bytes.indexOf(prices)
    if (at < 0) throw new Error(`these prices are not in the file as they are: ${row}`)
    flip(bytes, at + 6)
  })
  return row
}

/** Flips a bit of a trade's price: `row` in the table, else in its index. SQLite sees that the two differ. */
export function flipTrade(file: string, id: number, where: 'row' | 'index'): void {
  const price = double(Number(sqlite(file, `SELECT price FROM trade_log WHERE id = ${id};`)))
  const pageType = where === 'row' ? 13 : 10
  edit(file, bytes => {
    for (let at = bytes.indexOf(price); at >= 0; at = bytes.indexOf(price, at + 1))
      if (bytes[at - (at % pageSize)] === pageType) return flip(bytes, at + 5)
    throw new Error(`the price of trade ${id} is not there`)
  })
}

function double(value: number | undefined): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value ?? NaN)
  return bytes
}

/** The folders of recoveries beside a database, oldest first. */
export function quarantined(database: string): string[] {
  const folder = join(database, '../quarantine')
  return existsSync(folder)
    ? readdirSync(folder)
        .toSorted()
        .map(name => join(folder, name))
    : []
}

/** Rows of the history, as Debian's sqlite3 reads them. */
export function historyRows({ state }: Workspace, sql: string): Record<string, unknown>[] {
  const answer = execFileSync('sqlite3', ['-readonly', '-json', join(state, 'ops.db'), sql], {
    encoding: 'utf8',
  })
  return answer === '' ? [] : (JSON.parse(answer) as Record<string, unknown>[])
}

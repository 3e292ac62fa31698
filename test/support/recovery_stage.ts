import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { day } from '../../scripts/job/time.ts'
import { expectStatus } from './command.ts'
import { ReplayClock } from './exchange/clock.ts'
import { generatedSource } from './exchange/generated.ts'
import { startReplay } from './exchange/replay.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './workspace.ts'

const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
const backedUpAt = Date.parse('2026-03-14T02:00:00Z')
const now = backedUpAt + day + 7000

/** A kind of database. */
export type Build = { journalMode: 'wal' | 'delete'; pageSize: number }

/** A database that has been backed up and has lived on, to be cloned for each damage. */
export type Stage = Build & {
  /** Name of its backup. */
  backup: string
  /** A copy of the database as it is before anything befalls it, and as it was when it was backed up. */
  truth: string
  backedUp: string
  /** A workspace of its own that begins where this one ends. */
  clone: (test: Test) => Workspace
}

/**
 * What an agent keeps: a log with indexes and a trigger, a table by a text key, one without rowids, large rows, one
 * without a key, one row of state, rows that refer to others.
 */
const agentSchema = `
  CREATE TABLE trade_log (id INTEGER PRIMARY KEY, symbol TEXT, side TEXT, price REAL, at INTEGER, note TEXT);
  CREATE INDEX trades_by_price ON trade_log (price);
  CREATE INDEX sells ON trade_log (at) WHERE side = 'sell';
  CREATE TABLE audit (trade INTEGER, what TEXT);
  CREATE TRIGGER audited AFTER INSERT ON trade_log BEGIN INSERT INTO audit VALUES (new.id, 'traded ' || new.price); END;
  CREATE TABLE fills (id INTEGER PRIMARY KEY, trade INTEGER REFERENCES trade_log (id), quantity REAL);
  CREATE TABLE positions (symbol TEXT PRIMARY KEY, amount REAL, entry REAL);
  CREATE TABLE grid (level INTEGER, side TEXT, price REAL, PRIMARY KEY (level, side)) WITHOUT ROWID;
  CREATE TABLE models (id INTEGER PRIMARY KEY, weights BLOB);
  CREATE TABLE sentiment (at INTEGER, symbol TEXT, score REAL, note TEXT);
  CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), trades INTEGER);
  CREATE VIEW sold AS SELECT * FROM trade_log WHERE side = 'sell';
  INSERT INTO state VALUES (1, 0);
  INSERT INTO positions VALUES ('BTCUSDT', 0.5, 60000), ('ETHUSDT', -3, 2500), ('SOLUSDT', 12, 120);`

/** Rows with numbers from..to of all tables. */
export function life(from: number, to: number): string {
  const numbers = (start: number, end: number) =>
    `WITH RECURSIVE n(i) AS (SELECT ${start} UNION ALL SELECT i + 1 FROM n WHERE i < ${end})`
  return `
    INSERT INTO trade_log (symbol, side, price, at, note) ${numbers(from, to)}
      SELECT 'BTCUSDT', iif(i % 3, 'buy', 'sell'), 60000 + i * 0.5, 1700000000000 + i, 'trade number ' || i FROM n;
    INSERT INTO fills (trade, quantity) ${numbers(from, to)} SELECT i, i * 0.25 FROM n;
    INSERT INTO grid ${numbers(from, to)} SELECT i, iif(i % 2, 'bid', 'ask'), 100 + i FROM n;
    INSERT INTO sentiment ${numbers(from, to)} SELECT 1700000000000 + i, 'ETHUSDT', i / 7.0, 'note ' || i FROM n;
    INSERT INTO models (weights) ${numbers(Math.ceil(from / 50), Math.floor(to / 50))}
      SELECT CAST(printf('%0*d', 3000 + i * 40, i) AS BLOB) FROM n;
    UPDATE state SET trades = ${to};`
}

/** Makes the database, backs it up, and lets it live on for a day. */
export async function makeStage(test: Test, { journalMode, pageSize }: Build): Promise<Stage> {
  const clock = new ReplayClock({ at: backedUpAt, rate: 0 })
  const exchange = await startReplay({ source: generatedSource({ symbols }), clock })
  test.teardown(() => exchange.close())
  const workspace = makeWorkspace(test, { url: exchange.url, symbols, now: backedUpAt })
  workspace.configure(sheet => {
    sheet.sync.history_days = 50
    sheet.backup = { warm: { path: 'warm', mount: null } }
    sheet.health = { min_database_mb: 0.01, min_free_disk_ratio: 0 }
  })
  const file = workspace.database
  execFileSync('mkdir', ['-p', join(workspace.folder, 'data')])
  sqlite(
    file,
    `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = ${journalMode}; ${agentSchema} ${life(1, 2000)}`,
  )
  expectStatus(test, await workspace.run('daily_candle_sync'), 0)
  const backedUp = join(workspace.folder, 'as_backed_up.db')
  sqlite(file, `VACUUM INTO '${backedUp}'`)
  const taken = await workspace.run('backup', ['--json'])
  expectStatus(test, taken, 0)
  clock.set(now)
  const env = { CANDLEKEEP_NOW: new Date(now).toISOString() }
  sqlite(
    file,
    `${life(2001, 2300)} UPDATE positions SET amount = 0.75 WHERE symbol = 'BTCUSDT';
    DELETE FROM sentiment WHERE rowid IN (17, 18, 19);`,
  )
  expectStatus(test, await workspace.run('daily_candle_sync', [], { env }), 0)
  sqlite(file, life(2301, 2400))
  const truth = join(workspace.folder, 'truth.db')
  sqlite(file, `VACUUM INTO '${truth}'`)
  return {
    journalMode,
    pageSize,
    backup: String(taken.json?.['id']),
    truth,
    backedUp,
    clone(own) {
      const folder = quickFolder(own)
      cpSync(workspace.folder, folder, { recursive: true, preserveTimestamps: true })
      for (const name of ['truth.db', 'as_backed_up.db']) rmSync(join(folder, name))
      const clone = makeWorkspace(own, { url: exchange.url, symbols, now: now + 60_000, folder })
      clone.configure(sheet => {
        sheet.sync.history_days = 50
        sheet.backup = { warm: { path: 'warm', mount: null } }
        sheet.health = { min_database_mb: 0.01, min_free_disk_ratio: 0 }
        sheet.recovery = { wait_for_writers_seconds: 0 }
      })
      return clone
    },
  }
}

/** In memory, where there is such a place: hundreds of clones need not reach a disk. */
function quickFolder(test: Test): string {
  if (!existsSync('/dev/shm')) return temporaryFolder(test)
  const folder = mkdtempSync(join('/dev/shm', 'candlekeep-'))
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs statements by Debian's sqlite3; what it prints. Throws where one fails. */
export function sqlite(file: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', '-bail', file], {
    input: sql,
    encoding: 'latin1',
    maxBuffer: 1 << 28,
    cwd: tmpdir(),
  })
}

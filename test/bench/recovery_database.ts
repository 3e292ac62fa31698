import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { intervals } from '../../scripts/candles/intervals.ts'
import { day } from '../../scripts/job/time.ts'

const project = join(import.meta.dirname, '../..')
const { table: candles } = intervals['4h']
const symbols = Array.from({ length: 60 }, (_, i) => `COIN${i}USDT`)
/** A trade with its place in two indexes. */
const bytesOfTrade = 200

/** A workspace with a database of the agent's, beside an exchange on this machine. */
export type Place = { folder: string; config: string; database: string }

/** The places in a folder that was made by `makePlace`, or copied from one. */
export function placeIn(folder: string): Place {
  return { folder, config: join(folder, 'cheat_sheet.json'), database: join(folder, 'data/agent.db') }
}

/** A configuration and an empty folder for the database. */
export function makePlace(folder: string, url: string): Place {
  const place = placeIn(folder)
  mkdirSync(join(folder, 'data'), { recursive: true })
  const paths = {
    workspace: '.',
    database: 'data/agent.db',
    state: 'state',
    logs: 'logs',
    metrics: 'metrics',
  }
  const sync = { base_url: url, symbols, history_days: 730 }
  const backup = { warm: { path: 'warm', mount: null } }
  const health = { min_free_disk_ratio: 0 }
  writeFileSync(place.config, JSON.stringify({ paths, sync, backup, health }))
  return place
}

/** What a command printed, and seconds from its start to its end. Throws where it ends with another status. */
export function run(
  { config }: Place,
  script: string,
  args: string[] = [],
  { at, statuses = [0] }: { at?: number; statuses?: number[] } = {},
): { seconds: number; startedAt: number; json: Record<string, unknown> } {
  const startedAt = Date.now()
  const program = join(project, `scripts/${script}.mts`)
  const ended = spawnSync(process.execPath, [program, '--json', '--config', config, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: {
      ...process.env,
      ...(at === undefined ? {} : { CANDLEKEEP_NOW: new Date(at).toISOString() }),
    },
  })
  const seconds = (Date.now() - startedAt) / 1000
  if (!statuses.includes(ended.status ?? -1))
    throw new Error(`${script} ended with status ${ended.status}: ${ended.stdout}${ended.stderr}`)
  return { seconds, startedAt, json: JSON.parse(ended.stdout) as Record<string, unknown> }
}

/** Runs statements by Debian's sqlite3: a process that reads a file by fs must not have it open through SQLite. */
export function sqlite(file: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', '-bail', file], {
    input: sql,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  }).trim()
}

/** Rows numbered from..to of the agent's; they are the same each time. */
export function trade(file: string, from: number, to: number): void {
  const word = (factor: number) => `i * ${factor} % 4294967296`
  const words = [2654435761, 2246822519, 3266489917, 668265263, 374761393, 2654435769].map(word).join(', ')
  sqlite(
    file,
    `PRAGMA synchronous = NORMAL;
     INSERT INTO trades (id, at, symbol, price, note)
     WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
     SELECT i, 1600000000000 + i * 1000, 'COIN' || (i % 60) || 'USDT', i * 0.01,
       printf('%08x%08x%08x%08x%08x%08x order filled at the exchange, by the plan', ${words}) FROM n;`,
  )
}

/** Synced candles and, up to the size, trades, as they were a day ago. How many trades. */
export function fill({ database, ...place }: Place, mode: 'wal' | 'delete', megabytes: number): number {
  sqlite(
    database,
    `PRAGMA journal_mode = ${mode};
     CREATE TABLE trades (id INTEGER PRIMARY KEY, at INTEGER, symbol TEXT, price REAL, note TEXT);
     CREATE INDEX trades_at ON trades (at);
     CREATE INDEX trades_symbol ON trades (symbol, at);
     CREATE TABLE positions (symbol TEXT PRIMARY KEY, amount REAL);`,
  )
  run({ ...place, database }, 'daily_candle_sync', [], { at: Date.now() - day })
  const trades = Math.max(1000, Math.floor((megabytes * 1e6 - statSync(database).size) / bytesOfTrade))
  trade(database, 1, trades)
  return trades
}

/** What befalls a database. */
export const damages: Record<string, (database: string) => void> = {
  '20 pages destroyed': database => {
    const pages = Math.floor(statSync(database).size / 4096)
    for (let i = 0; i < 20; i++) overwrite(database, 1 + Math.floor(Math.random() * (pages - 1)), 4096)
  },
  'header overwritten': database => overwrite(database, 0, 100),
  'file gone': database => rmSync(database),
  'a page of an index destroyed': database => {
    const page = sqlite(
      database,
      "SELECT pageno FROM dbstat WHERE name = 'trades_at' AND pagetype = 'leaf' LIMIT 1 OFFSET 100",
    )
    overwrite(database, Number(page) - 1, 4096)
  },
}

function overwrite(file: string, page: number, length: number): void {
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, randomBytes(length), 0, length, page * 4096)
  closeSync(descriptor)
}

/** Rows of `truth` that a database lacks or has otherwise; and what Debian's sqlite3 says of the database. */
export function compare(database: string, truth: string): { lost: number; check: string } {
  const counted = sqlite(
    database,
    `ATTACH '${truth}' AS truth;
     SELECT count(*) FROM truth.trades AS t LEFT JOIN main.trades AS m ON m.id = t.id
       WHERE (t.at, t.symbol, t.price, t.note) IS NOT (m.at, m.symbol, m.price, m.note);
     SELECT count(*) FROM (SELECT ${candleColumns} FROM truth.${candles} EXCEPT SELECT ${candleColumns} FROM main.${candles});`,
  )
  const lost = counted.split('\n').reduce((sum, line) => sum + Number(line), 0)
  return { lost, check: sqlite(database, 'PRAGMA integrity_check(3)') }
}

const candleColumns = 'timestamp, symbol, open, high, low, close, volume, quote_volume, trades_count'

/** The exchange of made-up candles, in a process of its own. */
export async function startExchange() {
  const serve = join(project, 'test/support/exchange/serve.mts')
  const args = [
    '--symbols',
    symbols.join(','),
    '--weight-limit',
    '10000000',
    '--at',
    String(Date.now() - day),
  ]
  const child = spawn(process.execPath, [serve, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { url } = JSON.parse(line.toString()) as { url: string }
  const set = async (at: number) => {
    await fetch(`${url}/__replay/clock`, {
      method: 'POST',
      body: JSON.stringify({ at }),
      // a connection that was kept would be closed by the other end while this process is busy
      headers: { connection: 'close' },
    })
  }
  return { url, set, stop: () => child.kill() }
}

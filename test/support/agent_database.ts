import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'

export type StoredCandle = {
  timestamp: number
  symbol: string
  open: number
  high: number
  low: number
  close: number
  volume: number
  quote_volume: number
  trades_count: number
}

/** Everything in a candle table, by time and symbol. */
export function storedCandles(file: string, table = 'ohlcv_h4', symbol?: string): StoredCandle[] {
  const database = new Database(file, { readonly: true })
  try {
    const where = symbol === undefined ? '' : 'WHERE symbol = ?'
    const statement = database.prepare(`SELECT * FROM ${table} ${where} ORDER BY timestamp, symbol`)
    return statement.all(...(symbol === undefined ? [] : [symbol])) as StoredCandle[]
  } finally {
    database.close()
  }
}

/** Runs statements on a database, as another program would. */
export function execute(file: string, sql: string): void {
  mkdirSync(dirname(file), { recursive: true })
  const database = new Database(file, { timeout: 10_000 })
  try {
    database.exec(sql)
  } finally {
    database.close()
  }
}

/** Rows of a query, as another program would read them. */
export function query<T = Record<string, unknown>>(file: string, sql: string, ...values: unknown[]): T[] {
  const database = new Database(file, { readonly: true })
  try {
    return database.prepare(sql).all(...values) as T[]
  } finally {
    database.close()
  }
}

/** What the trading agent keeps beside the candles; these rows exist nowhere else. */
export const agentTables = `
  CREATE TABLE trade_log (id INTEGER PRIMARY KEY, symbol TEXT, side TEXT, price REAL, at INTEGER);
  CREATE TABLE positions (symbol TEXT PRIMARY KEY, amount REAL, entry REAL);
  CREATE TABLE sentiment (at INTEGER, symbol TEXT, score REAL, note TEXT);
  INSERT INTO trade_log (symbol, side, price, at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    SELECT 'BTCUSDT', 'buy', 60000 + i, 1700000000000 + i FROM n;
  INSERT INTO positions VALUES ('BTCUSDT', 0.5, 60000), ('ETHUSDT', -3, 2500);
  INSERT INTO sentiment VALUES (1700000000000, 'BTCUSDT', 0.3, 'up only'), (1700000000001, 'ETHUSDT', -0.1, NULL);
`

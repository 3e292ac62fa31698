import type Database from 'better-sqlite3'
import { messageOf, UserError } from '../job/errors.ts'

/** The agent's column names, in the order of `Candle`, with the symbol after the time. */
export const columns = [
  'timestamp',
  'symbol',
  'open',
  'high',
  'low',
  'close',
  'volume',
  'quote_volume',
  'trades_count',
]

export function hasTable(database: Database.Database, table: string): boolean {
  return (
    database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table) !== undefined
  )
}

/** Makes the candle table as the trading agent has it. */
export function createTable(database: Database.Database, table: string): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS ${table} (
      timestamp INTEGER NOT NULL, symbol TEXT NOT NULL, open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL,
      close REAL NOT NULL, volume REAL NOT NULL, quote_volume REAL NOT NULL, trades_count INTEGER NOT NULL,
      PRIMARY KEY (timestamp, symbol)
    );
    CREATE INDEX IF NOT EXISTS idx_${table}_symbol ON ${table} (symbol);
  `)
}

/** The table is the agent's and is taken as it stands, but what we rely on has to be there. */
export function checkTable(database: Database.Database, table: string): void {
  const there = new Set(database.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table))
  const lacking = columns.filter(column => !there.has(column))
  if (lacking.length > 0) {
    throw new UserError(`table ${table} of ${database.name} has no column ${lacking.join(', ')}`, {
      hint: 'It is not the candle table of the trading agent: check paths.database.',
    })
  }
  try {
    database.prepare(`${insertSql(table, 1)} ON CONFLICT (timestamp, symbol) DO NOTHING`)
  } catch (error) {
    throw new UserError(`table ${table} of ${database.name} cannot take candles: ${messageOf(error)}`, {
      hint: 'It needs a unique key on (timestamp, symbol), or the same candle could be stored twice.',
      cause: error,
    })
  }
}

/**
 * Takes `rows` times the nine values of a row: `timestamp, symbol, open …`. A row that is there already takes the
 * whole transaction back: for anything less, SQLite would keep a second journal for each statement, which costs a
 * third of the speed.
 */
export function insertSql(table: string, rows: number): string {
  const values = Array(rows).fill(`(${columns.map(() => '?').join(',')})`)
  return `INSERT OR ROLLBACK INTO ${table} (${columns.join(', ')}) VALUES ${values.join(',')}`
}

/** Takes the values that a row gets, then its `timestamp` and `symbol`. */
export function updateSql(table: string): string {
  const set = columns.slice(2).map(column => `${column} = ?`)
  return `UPDATE ${table} SET ${set.join(', ')} WHERE timestamp = ? AND symbol = ?`
}

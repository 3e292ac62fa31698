import Database from 'better-sqlite3'
import { columns, hasTable } from '../candles/candle_table.ts'
import { type BrokenSeal, inspectSeals, type SealsOfSymbol } from '../candles/inspect.ts'
import { intervals } from '../candles/intervals.ts'
import { integrityProblems } from '../database/integrity.ts'
import type { Look, Structure } from './mender_protocol.ts'

const busyMs = 10_000
/** Bytes: as much as SQLite maps at all. */
const mostMapped = 0x7fff0000
/** One more than that are counted, so that it shows when there are more. */
export const problemsListed = 2000

/** Reads all of a database and changes nothing. Throws what SQLite throws. */
export function look(file: string, seals: SealsOfSymbol[], { live = false } = {}): Look {
  // a private copy may have a journal that has to be rolled back, which a reader may not
  const database = new Database(file, { readonly: live, timeout: busyMs })
  try {
    return lookInto(database, seals)
  } finally {
    database.close()
  }
}

/** Compares stored candles with their seals and changes nothing. Throws what SQLite throws. */
export function lookAtSeals(file: string, seals: SealsOfSymbol[]): BrokenSeal[] {
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    database.exec('BEGIN')
    return inspectSeals(database, seals)
  } finally {
    database.close()
  }
}

/**
 * Sets the journal mode, forces everything to the disk and looks at all of it once more. No log or journal is left
 * beside it.
 */
export function settle(file: string, journalMode: 'wal' | 'rollback', seals: SealsOfSymbol[]): Look {
  const database = new Database(file, { timeout: busyMs })
  try {
    database.pragma('synchronous = FULL')
    // saves a quarter of the check; what is damaged is not read like that: to read beyond its end would be a crash
    database.pragma(`mmap_size = ${mostMapped}`)
    const found = lookInto(database, seals)
    const wanted = journalMode === 'wal' ? 'wal' : 'delete'
    const mode = database.pragma(`journal_mode = ${wanted}`, { simple: true })
    return mode === wanted
      ? found
      : { ...found, problems: [...found.problems, `the journal mode stays ${String(mode)}`] }
  } finally {
    database.close()
  }
}

function lookInto(database: Database.Database, seals: SealsOfSymbol[]): Look {
  database.exec('BEGIN')
  try {
    const problems = integrityProblems(database, 'integrity_check', problemsListed)
    const structures = readStructures(database)
    return {
      problems,
      structures,
      misshapen: misshapenCandleTables(database),
      ...readContents(database, seals, structures),
    }
  } finally {
    database.exec('ROLLBACK')
  }
}

/** Where pages are damaged not all of it can be read: what SQLite's check found says so already. */
function readContents(
  database: Database.Database,
  seals: SealsOfSymbol[],
  structures: Structure[],
): Pick<Look, 'broken' | 'rows'> {
  try {
    return { broken: inspectSeals(database, seals), rows: countRows(database, structures) }
  } catch (error) {
    if (error instanceof Database.SqliteError) return { broken: [], rows: [] }
    throw error
  }
}

function countRows(database: Database.Database, structures: Structure[]): Look['rows'] {
  return structures.map(({ table }) => ({
    table,
    rows: database
      .prepare(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
      .pluck()
      .get() as number,
  }))
}

type SchemaRow = { type: string; name: string; table: string; rootPage: number }

/** Tables with their indexes, but for those that a virtual table keeps its content in, and SQLite's own. */
function readStructures(database: Database.Database): Structure[] {
  const rows = database
    .prepare(
      `SELECT type, name, tbl_name AS "table", rootpage AS rootPage FROM sqlite_master
       WHERE type IN ('table', 'index') AND rootpage > 0 ORDER BY name`,
    )
    .all() as SchemaRow[]
  const shadows = new Set(
    database
      .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'")
      .pluck()
      .all() as string[],
  )
  return rows
    .filter(({ type, name }) => type === 'table' && !shadows.has(name) && !name.startsWith('sqlite_'))
    .map(({ name, rootPage }) => {
      const indexes = rows.filter(({ type, table }) => type === 'index' && table === name)
      return {
        table: name,
        rootPage,
        indexes: indexes.map(index => ({ name: index.name, rootPage: index.rootPage })),
      }
    })
}

function misshapenCandleTables(database: Database.Database): string[] {
  return Object.values(intervals).flatMap(({ table }) => {
    if (!hasTable(database, table)) return []
    const there = new Set(database.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table))
    const lacking = columns.filter(column => !there.has(column))
    return lacking.length === 0 ? [] : [`table ${table} has no column ${lacking.join(', ')}`]
  })
}

import Database from 'better-sqlite3'
import { type StorageClass, Text, type Value } from './readable_record.ts'

export type ColumnShape = {
  name: string
  /** Its declaration, without the name, as SQLite has it; '' where there is none. */
  type: string
  affinity: 'TEXT' | 'NUMERIC' | 'REAL' | 'BLOB'
  /** Computed by SQLite and stored all the same: it is not written. */
  generated: boolean
  /** What rows have that are older than the column: its default. */
  missing: Value
}

/** How a table lies in the file, and how it is written to. */
export type TableShape = {
  name: string
  sql: string
  rootPage: number
  /** The columns that are stored, in the order of the record. */
  columns: ColumnShape[]
  /** Index of the column that is the rowid itself, -1 where there is none. */
  alias: number
  /** By what a statement can name the rowid; undefined where there is none, or columns have taken all its names. */
  rowidName: string | undefined
  /** The first columns of the record, by which the table is ordered: only WITHOUT ROWID. */
  key: KeyColumn[] | undefined
}

export type KeyColumn = { collation: string; descending: boolean }

/** The name in a statement, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

type Listed = { name: string; type: string; wr: number }
type Info = { cid: number; name: string; type: string; dflt_value: string | null; pk: number; hidden: number }

/** The tables of a database that hold rows themselves; not SQLite's own. Throws what SQLite throws. */
export function tableShapes(database: Database.Database): TableShape[] {
  return listed(database, 'table').map(({ name, wr }) => shapeOf(database, name, wr === 1))
}

/** Virtual tables and the tables that they keep their content in. */
export function virtualTables(database: Database.Database): string[] {
  return [...listed(database, 'virtual'), ...listed(database, 'shadow')].map(({ name }) => name)
}

function listed(database: Database.Database, type: string): Listed[] {
  return database
    .prepare(
      `SELECT l.name, l.type, l.wr FROM pragma_table_list AS l JOIN sqlite_master AS m USING (name)
       WHERE l.schema = 'main' AND l.type = ? AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         AND m.type = 'table' ORDER BY m.rowid`,
    )
    .all(type) as Listed[]
}

function shapeOf(database: Database.Database, name: string, withoutRowid: boolean): TableShape {
  const { sql, rootpage } = database
    .prepare("SELECT sql, rootpage FROM sqlite_master WHERE type = 'table' AND name = ?")
    .get(name) as { sql: string; rootpage: number }
  const infos = database.prepare('SELECT * FROM pragma_table_xinfo(?)').all(name) as Info[]
  // virtual generated columns (2) are not stored, stored ones (3) are
  const stored = infos.filter(({ hidden }) => hidden !== 2)
  const primary = database
    .prepare("SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'")
    .pluck()
    .get(name) as string | undefined
  const keys = withoutRowid ? keyOf(database, primary as string) : undefined
  const ordered = keys === undefined ? stored : orderOf(database, primary as string, infos)
  const encoding = database.pragma('encoding', { simple: true }) as string
  const columns = ordered.map(({ name: column, type, dflt_value: value, hidden }) => {
    const missing = value === null ? null : defaultOf(type, value, encoding)
    return { name: column, type, affinity: affinityOf(type), generated: hidden === 3, missing }
  })
  const isAlias = !withoutRowid && primary === undefined
  const taken = new Set(infos.map(info => info.name.toLowerCase()))
  return {
    name,
    sql,
    rootPage: rootpage,
    columns,
    alias: isAlias ? stored.findIndex(({ pk }) => pk === 1) : -1,
    rowidName: withoutRowid ? undefined : ['rowid', '_rowid_', 'oid'].find(word => !taken.has(word)),
    key: keys,
  }
}

type IndexInfo = { cid: number; desc: number; coll: string; key: number }

function indexColumns(database: Database.Database, index: string): IndexInfo[] {
  return database.prepare('SELECT * FROM pragma_index_xinfo(?) ORDER BY seqno').all(index) as IndexInfo[]
}

function keyOf(database: Database.Database, index: string): KeyColumn[] {
  const columns = indexColumns(database, index).filter(({ key }) => key === 1)
  return columns.map(({ coll, desc }) => ({ collation: coll, descending: desc === 1 }))
}

/** A record of a WITHOUT ROWID table begins with the key; the other columns follow. */
function orderOf(database: Database.Database, index: string, infos: Info[]): Info[] {
  return indexColumns(database, index).map(({ cid }) => infos.find(info => info.cid === cid) as Info)
}

/** A default as it is stored; of what is no constant, such as the time, there is none that older rows have. */
function defaultOf(type: string, value: string, encoding: string): Value {
  const scratch = new Database(':memory:')
  try {
    scratch.exec(`PRAGMA encoding = '${encoding}'; CREATE TABLE t (a); INSERT INTO t VALUES (1)`)
    scratch.exec(`ALTER TABLE t ADD COLUMN b ${type} DEFAULT (${value})`)
    const [stored, bytes, given] = scratch
      .prepare('SELECT typeof(b), CAST(b AS BLOB), b FROM t')
      .raw()
      .safeIntegers()
      .get() as [string, Buffer, Exclude<Value, Text>]
    return stored === 'text' ? new Text(bytes) : given
  } catch {
    return null
  } finally {
    scratch.close()
  }
}

/** SQLite, "Datatypes", 3.1; INTEGER and NUMERIC store the same. */
function affinityOf(type: string): ColumnShape['affinity'] {
  if (/INT/i.test(type)) return 'NUMERIC'
  if (/CHAR|CLOB|TEXT/i.test(type)) return 'TEXT'
  if (type === '' || /BLOB/i.test(type) || /^ANY$/i.test(type)) return 'BLOB'
  return /REAL|FLOA|DOUB/i.test(type) ? 'REAL' : 'NUMERIC'
}

const usual: Record<ColumnShape['affinity'], readonly StorageClass[]> = {
  TEXT: ['null', 'text'],
  NUMERIC: ['null', 'integer', 'real'],
  REAL: ['null', 'integer', 'real'],
  BLOB: ['null'],
}

/**
 * Whether a column holds values of a class by its declaration. What is not usual (text in a column of integers, anything
 * in one without a type) is right in a table that has such values already.
 */
export function isUsual({ type, affinity }: ColumnShape, stored: StorageClass): boolean {
  if (usual[affinity].includes(stored)) return true
  // dates, times, decimals: what people store under such names is text as often as numbers
  if (affinity === 'NUMERIC' && stored === 'text') return !/INT/i.test(type)
  return affinity === 'BLOB' && /BLOB/i.test(type) && stored === 'blob'
}

import { execFileSync } from 'node:child_process'
import Database from 'better-sqlite3'
import { quoted } from './salvage_databases.ts'

/** Rows by key: rowid, or primary key. Each with all its values, so that not one bit is lost. */
export type Rows = Map<string, string>

/** A database that is sound, as SQLite reads it. */
export class Oracle {
  readonly #database: Database.Database

  constructor(file: string) {
    this.#database = new Database(file, { readonly: true })
  }

  close(): void {
    this.#database.close()
  }

  has(table: string): boolean {
    return this.#all('SELECT 1 FROM sqlite_master WHERE name = ?', table).length > 0
  }

  rows(table: string, columns = this.columns(table)): Rows {
    const values = columns.map(name => exact(quoted(name))).join(" || '|' || ")
    const sql = `SELECT ${this.#key(table)}, ${values} FROM ${quoted(table)} NOT INDEXED`
    return new Map(this.#all(sql) as [string, string][])
  }

  /** How many rows a query of one column finds of each kind. */
  counts(sql: string): Map<string, number> {
    return new Map((this.#all(sql) as [string, bigint][]).map(([kind, n]) => [kind, Number(n)]))
  }

  /** The columns that are written, not computed. */
  columns(table: string): string[] {
    return this.#all('SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0', table).flat() as string[]
  }

  isWithoutRowid(table: string): boolean {
    return this.#all('SELECT 1 FROM pragma_table_list WHERE name = ? AND wr = 1', table).length > 0
  }

  /** The pages of a table's tree with their place in it, as SQLite's own statistics have them. */
  pages(table: string): Page[] {
    const sql = 'SELECT path, pageno, pagetype, ncell FROM dbstat WHERE name = ? ORDER BY path'
    return this.#all(sql, table).map(row => {
      const [path, pageno, pagetype, ncell] = row as [string, bigint, string, bigint]
      return { path, pageno: Number(pageno), pagetype, ncell: Number(ncell) }
    })
  }

  #key(table: string): string {
    if (this.isWithoutRowid(table)) return "id || ' ' || coalesce(rtrim(upper(part)), '')"
    const taken = this.columns(table)
    return `CAST(${['rowid', '_rowid_', 'oid'].find(name => !taken.includes(name)) ?? 'rowid'} AS TEXT)`
  }

  #all(sql: string, ...values: unknown[]): unknown[][] {
    return this.#database
      .prepare(sql)
      .raw()
      .safeIntegers()
      .all(...values) as unknown[][]
  }
}

function exact(expression: string): string {
  return `CASE WHEN typeof(${expression}) IN ('text', 'blob') THEN typeof(${expression}) || hex(CAST(${expression} AS BLOB)) ELSE typeof(${expression}) || quote(${expression}) END`
}

/** What Debian's sqlite3 says. */
export function sqlite3(file: string, sql: string): string {
  return execFileSync('sqlite3', [file, sql], { encoding: 'utf8', maxBuffer: 2 ** 28 }).trim()
}

/** What a row of a table is stored on: all pages from the root to its last byte. */
export type Places = Map<string, Set<number>>

type Page = { path: string; pageno: number; pagetype: string; ncell: number }

/**
 * On which pages the rows of a table lie, by SQLite's own statistics: rows in their order, pages in the tree's order, so
 * many on each.
 */
export function placesOf(oracle: Oracle, table: string): Places {
  const pages = oracle.pages(table)
  const keys = [...oracle.rows(table).keys()]
  const byPath = new Map(pages.map(page => [page.path, page]))
  const overflow = Map.groupBy(
    pages.filter(({ pagetype }) => pagetype === 'overflow'),
    ({ path }) => path.split('+')[0] as string,
  )
  const places: Places = new Map()
  const isIndex = oracle.isWithoutRowid(table)
  let next = 0
  const walk = (here: string, above: number[]) => {
    const page = byPath.get(here) as Page
    const path = [...above, page.pageno]
    for (let i = 0; i < page.ncell; i++) {
      const cell = `${here}${i.toString(16).padStart(3, '0')}`
      if (page.pagetype === 'internal') walk(`${cell}/`, path)
      if (page.pagetype === 'internal' && !isIndex) continue
      const more = overflow.get(cell)?.map(({ pageno }) => pageno) ?? []
      places.set(keys[next++] as string, new Set([...path, ...more]))
    }
    if (page.pagetype === 'internal') walk(`${here}${page.ncell.toString(16).padStart(3, '0')}/`, path)
  }
  walk('/', [])
  return places
}

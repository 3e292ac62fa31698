import Database from 'better-sqlite3'
import type { Layout } from './readable_file.ts'
import type { RowValues } from './salvage_row.ts'
import { quoted, type TableShape } from './salvage_shape.ts'
import { bound, type Statements, statementsOf } from './salvage_statements.ts'

/** Why a row was not brought over. */
export type Reason = 'conflict' | 'refused' | 'distrusted' | 'not sealed'

/** A row of the damaged database; `values` is undefined where its record does not fit the table. */
export type SalvagedRow = { rowid: number | bigint; values: RowValues | undefined; payload: Buffer }

/**
 * The database that rows are put into that were read and not brought over, a table for each, without types or
 * constraints: every value stays as it was found. It is made when the first row comes.
 */
export class Aside {
  readonly #file: string
  readonly #encoding: Layout['encoding']
  readonly #tables = new Map<string, Statements>()
  #database: Database.Database | undefined

  constructor(file: string, encoding: Layout['encoding']) {
    this.#file = file
    this.#encoding = encoding
  }

  /** Throws what SQLite throws. */
  put(shape: TableShape, why: Reason, { rowid, values, payload }: SalvagedRow): void {
    const { columns } = shape
    const given = values ?? columns.map(() => null)
    const all = [
      why,
      shape.key === undefined ? BigInt(rowid) : null,
      ...given,
      values === undefined ? payload : null,
    ]
    const bindings = all.map(value => bound(value ?? null, this.#encoding))
    this.#statements(shape)(bindings)
  }

  /** Makes all of it durable; nothing is left beside the file. */
  close(): void {
    if (this.#database?.inTransaction === true) this.#database.exec('COMMIT')
    this.#database?.close()
  }

  /** Gives all of it up. */
  abandon(): void {
    this.#database?.close()
  }

  #statements(shape: TableShape): Statements {
    const known = this.#tables.get(shape.name)
    if (known !== undefined) return known
    const database = this.#open()
    const taken = new Set(shape.columns.map(({ name }) => name.toLowerCase()))
    const [why, rowid, record] = ['why', 'original_rowid', 'record'].map(word => free(word, taken)) as [
      string,
      string,
      string,
    ]
    const names = [why, rowid, ...shape.columns.map(({ name }) => name), record]
    database.exec(`CREATE TABLE ${quoted(shape.name)} (${names.map(quoted).join(', ')})`)
    const statements = statementsOf(
      database,
      names.length,
      places => `INSERT INTO ${quoted(shape.name)} VALUES (${places.join(', ')})`,
    )
    this.#tables.set(shape.name, statements)
    return statements
  }

  #open(): Database.Database {
    if (this.#database !== undefined) return this.#database
    const database = new Database(this.#file)
    this.#database = database
    database.exec(
      `PRAGMA encoding = '${this.#encoding}'; PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE; BEGIN`,
    )
    return database
  }
}

function free(word: string, taken: Set<string>): string {
  return taken.has(word) ? free(`${word}_`, taken) : word
}

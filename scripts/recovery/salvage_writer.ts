import type Database from 'better-sqlite3'
import { codeOf, messageOf } from '../job/errors.ts'
import type { Layout } from './readable_file.ts'
import type { Value } from './readable_record.ts'
import type { SalvagedRow } from './salvage_aside.ts'
import { quoted, type TableShape } from './salvage_shape.ts'
import { bound, type Statements, statementsOf } from './salvage_statements.ts'

/** Whether an error is about the row or the table, and not about the disk or the database as a whole. */
export function isRefusal(error: unknown): boolean {
  const code = codeOf(error)
  return (
    /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|ERROR|RANGE|AUTH)/.test(code) ||
    /more than one statement|no name/.test(messageOf(error))
  )
}

/** Writes rows of the damaged database into the backup's table, each with the rowid that it had. */
export class TableWriter {
  readonly #database: Database.Database
  readonly #shape: TableShape
  readonly #encoding: Layout['encoding']
  /** By the number of values: the columns that a record is too short for get their default. */
  readonly #inserts = new Map<number, Statements>()
  #update: Statements | undefined

  /** Throws what SQLite throws where the table cannot be written to at all. */
  constructor(database: Database.Database, shape: TableShape, encoding: Layout['encoding']) {
    this.#database = database
    this.#shape = shape
    this.#encoding = encoding
    if (shape.key === undefined && shape.alias < 0 && shape.rowidName === undefined)
      throw new Error('there is no name for its rowid')
    const places = this.#columns(shape.columns.length).map(() => '?')
    database.prepare(this.#insertSql(shape.columns.length, places))
  }

  /** False: a constraint refuses the row. */
  insert({ rowid, values = [] }: SalvagedRow): boolean {
    const count = lengthOf(values)
    const given = this.#columns(count).map(i => values[i] as Value)
    const statements = this.#inserts.get(count) ?? this.#insertStatements(count)
    this.#inserts.set(count, statements)
    const all = this.#named ? [BigInt(rowid), ...given] : given
    return this.#run(statements, all) === 1
  }

  /** Puts a candle in the place of the one of the same time and symbol. False: a constraint refuses it. */
  replace({ values = [] }: SalvagedRow): boolean {
    const { columns, name } = this.#shape
    const isKey = (i: number) => ['timestamp', 'symbol'].includes(columns[i]?.name ?? '')
    const written = this.#columns(lengthOf(values)).filter(i => !isKey(i) && i !== this.#shape.alias)
    const keys = this.#columns(lengthOf(values)).filter(isKey)
    const sqlOf = (places: string[]) => {
      const equals = (i: number, n: number) => `${quoted(columns[i]?.name ?? '')} = ${places[n] ?? '?'}`
      const set = written.map(equals).join(', ')
      const where = keys.map((i, n) => equals(i, written.length + n)).join(' AND ')
      return `UPDATE OR ABORT main.${quoted(name)} SET ${set} WHERE ${where}`
    }
    this.#update ??= statementsOf(this.#database, written.length + keys.length, sqlOf)
    return (
      this.#run(
        this.#update,
        [...written, ...keys].map(i => values[i] as Value),
      ) === 1
    )
  }

  #run(statements: Statements, values: Value[]): number {
    try {
      return statements(values.map(value => bound(value, this.#encoding)))
    } catch (error) {
      if (isRefusal(error)) return 0
      throw error
    }
  }

  get #named(): boolean {
    return this.#shape.key === undefined && this.#shape.alias < 0
  }

  /** The first columns that are written, as indexes. */
  #columns(count: number): number[] {
    return [...this.#shape.columns.keys()].filter(
      i => i < count && this.#shape.columns[i]?.generated !== true,
    )
  }

  #insertStatements(count: number): Statements {
    const places = this.#columns(count).length + (this.#named ? 1 : 0)
    return statementsOf(this.#database, places, given =>
      this.#insertSql(count, given.slice(this.#named ? 1 : 0)),
    )
  }

  /** OR ABORT: a table may say that a row of the backup is to give way. */
  #insertSql(count: number, places: string[]): string {
    const names = this.#columns(count).map(i => quoted(this.#shape.columns[i]?.name ?? ''))
    const rowid = this.#named ? [this.#shape.rowidName ?? ''] : []
    const values = [...rowid.map(() => '?'), ...places]
    return `INSERT OR ABORT INTO main.${quoted(this.#shape.name)} (${[...rowid, ...names].join(', ')}) VALUES (${values.join(', ')})`
  }
}

function lengthOf(values: (Value | undefined)[]): number {
  const end = values.indexOf(undefined)
  return end < 0 ? values.length : end
}

import type Database from 'better-sqlite3'
import type { Layout } from './readable_file.ts'
import { stringOf, Text, type Value } from './readable_record.ts'

/** A value as better-sqlite3 takes it. */
export type Bound = null | bigint | number | string | Buffer | { text: Buffer }

/** Text that a string cannot hold unaltered goes as bytes, and becomes text in the statement. */
export function bound(value: Value | string, encoding: Layout['encoding']): Bound {
  return value instanceof Text ? (stringOf(value, encoding) ?? { text: value.bytes }) : value
}

/** Runs a statement with values; gives the number of rows that it changed. */
export type Statements = (values: readonly Bound[]) => number

/** A statement with so many values, in as many versions as values need that go as bytes. */
export function statementsOf(
  database: Database.Database,
  count: number,
  sqlOf: (places: string[]) => string,
): Statements {
  const prepared = new Map<string, Database.Statement>()
  return values => {
    const places = Array.from({ length: count }, (_, i) =>
      isBytes(values[i] ?? null) ? 'CAST(? AS TEXT)' : '?',
    )
    const kind = places.join()
    const statement = prepared.get(kind) ?? database.prepare(sqlOf(places))
    prepared.set(kind, statement)
    return statement.run(values.map(value => (isBytes(value) ? value.text : value))).changes
  }
}

function isBytes(value: Bound): value is { text: Buffer } {
  return typeof value === 'object' && value !== null && 'text' in value
}

import {
  classOf,
  type Integer,
  readRecord,
  type StorageClass,
  sameValue,
  serialTypes,
  Text,
  type Value,
} from './readable_record.ts'
import { isUsual, type TableShape } from './salvage_shape.ts'

/** The values of a row by the columns of its table; those that its record is too short for are undefined. */
export type RowValues = (Value | undefined)[]

/** A row's values as SQLite gives them; undefined where the payload is no record, or has more fields than columns. */
export function valuesOf(shape: TableShape, rowid: Integer, payload: Buffer): RowValues | undefined {
  const fields = readRecord(payload)
  if (fields === undefined || fields.length > shape.columns.length) return undefined
  return shape.columns.map(({ affinity }, i) => {
    const value = fields[i]
    if (i === shape.alias) return BigInt(rowid)
    // whole numbers in a column of real numbers are stored as integers, to save space
    return affinity === 'REAL' && typeof value === 'bigint' ? Number(value) : value
  })
}

/** Whether a row of the backup is what the damaged database has. Columns that it lacks have to have their default. */
export function sameRow(backup: RowValues, damaged: RowValues, { columns }: TableShape): boolean {
  return damaged.every((value, i) => {
    const [a, b] = [backup[i], value].map(given =>
      given === undefined ? (columns[i]?.missing ?? null) : given,
    )
    return sameValue(a as Value, b as Value)
  })
}

/**
 * Whether two versions of a row have nothing in common: an update leaves something as it was, a row of another table
 * or garbage does not. False where there are too few columns to tell.
 */
export function isAlien(backup: RowValues, damaged: RowValues, { alias, key }: TableShape): boolean {
  const indexes = [...damaged.keys()].filter(i => i !== alias && i >= (key?.length ?? 0) && i < backup.length)
  if (indexes.length < 2) return false
  return indexes.every(i => {
    const [a, b] = [backup[i], damaged[i]]
    return a === undefined || b === undefined || a === null || !sameValue(a, b)
  })
}

/**
 * What a row of the table is not expected to be: a value of some class in a column (`2 text`), or a record that ends
 * before a column (`3 none`), as those do that are older than the column.
 */
export type Oddity = string

export function oddity(column: number, stored: StorageClass | 'none'): Oddity {
  return `${column} ${stored}`
}

/**
 * What is odd about a row: undefined where it cannot be one of the table at all; else the classes of values that the
 * table's declaration does not speak of, which are right if the table has such values already.
 */
export function odditiesOf(shape: TableShape, payload: Buffer): Oddity[] | undefined {
  const types = serialTypes(payload, payload.length)
  const { columns, alias } = shape
  if (types === undefined || types.length > columns.length || types.length === 0) return undefined
  if (alias >= 0 && alias < types.length && types[alias] !== 0) return undefined
  const odd: Oddity[] = types.length < columns.length ? [oddity(types.length, 'none')] : []
  let checked = false
  for (const [i, column] of columns.entries()) {
    const type = types[i]
    if (type === undefined || i === alias) continue
    const stored = classOf(type)
    if (!isUsual(column, stored)) odd.push(oddity(i, stored))
    checked ||= column.affinity === 'NUMERIC' && (stored === 'real' || stored === 'text')
  }
  if (checked && !isAsSqliteStores(shape, payload)) return undefined
  return odd
}

/** SQLite turns what is a whole number or looks like a number into one where the column is for numbers. */
function isAsSqliteStores({ columns }: TableShape, payload: Buffer): boolean {
  const values = readRecord(payload) ?? []
  return values.every((value, i) => {
    if (columns[i]?.affinity !== 'NUMERIC') return true
    if (typeof value === 'number') return !(Number.isInteger(value) && Math.abs(value) < 2 ** 63)
    return (
      !(value instanceof Text) ||
      !/^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value.bytes.toString('latin1'))
    )
  })
}

import Database from 'better-sqlite3'
import type { Layout } from './readable_file.ts'
import type { ReadSchema, SchemaEntry } from './readable_schema.ts'
import { quoted, type TableShape, tableShapes } from './salvage_shape.ts'

/** A table, in the backup or in the damaged file or in both, and what has to be done in the backup first. */
export type Pair = {
  name: string
  backup: TableShape | undefined
  /** How it lies in the damaged file; `roots`: where it may begin there, none where it is not there. */
  damaged: TableShape
  roots: number[]
  /** The first of the roots is what the damaged file itself says. */
  assured: boolean
  /** Statements that make the backup's table what the damaged one is: columns or the whole table are new. */
  changes: string[]
  /** Why it cannot be brought over, if so. */
  unlike: string | null
}

/**
 * Which table of the damaged file belongs to which of the backup. `schema` is undefined where that of the backup has to
 * do: then each table is looked for where the backup has it.
 */
export function pairTables(
  shapes: TableShape[],
  schema: ReadSchema | undefined,
  skipped: Set<string>,
  encoding: Layout['encoding'],
): Pair[] {
  const entries = (schema?.entries ?? []).filter(
    ({ type, name, sql, rootPage }) =>
      type === 'table' &&
      !name.startsWith('sqlite_') &&
      !skipped.has(name) &&
      rootPage > 1 &&
      !/^CREATE VIRTUAL/i.test(sql),
  )
  const byName = new Map(entries.map(entry => [entry.name, entry]))
  const known = shapes.map(backup => {
    const { name } = backup
    const entry = byName.get(name)
    const alike = { name, backup, damaged: backup, changes: [], unlike: null }
    // one that a whole schema does not have was dropped
    if (entry === undefined)
      return { ...alike, roots: schema?.whole === true ? [] : [backup.rootPage], assured: false }
    const roots = [...new Set([entry.rootPage, backup.rootPage])]
    if (entry.sql === backup.sql) return { ...alike, roots, assured: true }
    return { ...alike, ...grown(backup, entry, encoding), roots, assured: true }
  })
  const names = new Set(shapes.map(({ name }) => name))
  const others = entries.filter(({ name }) => !names.has(name))
  return [...known, ...others.flatMap(entry => created(entry, schema as ReadSchema, encoding))]
}

/** A table that has other columns than in the backup: new ones at its end can be added there, too. */
function grown(
  backup: TableShape,
  entry: SchemaEntry,
  encoding: Layout['encoding'],
): Pick<Pair, 'damaged' | 'changes' | 'unlike'> {
  const unlike = 'its definition is not that of the backup, and more than columns were added'
  const shape = shapeFrom([entry.sql], entry.name, encoding)
  if (shape === undefined)
    return { damaged: backup, changes: [], unlike: 'its definition cannot be understood' }
  const changes = addedColumns(backup.sql, entry.sql).map(
    definition => `ALTER TABLE ${quoted(backup.name)} ADD COLUMN ${definition}`,
  )
  // the proof is in what SQLite makes of it
  const made = changes.length > 0 ? shapeFrom([backup.sql, ...changes], entry.name, encoding) : undefined
  if (made?.sql !== entry.sql) return { damaged: shape, changes: [], unlike }
  return { damaged: shape, changes, unlike: null }
}

function created(entry: SchemaEntry, { entries }: ReadSchema, encoding: Layout['encoding']): Pair[] {
  const { name, sql, rootPage } = entry
  const shape = shapeFrom([sql], name, encoding)
  if (shape === undefined) return []
  const indexes = entries.filter(
    ({ type, table, sql: own }) =>
      type === 'index' && table === name && /^CREATE (UNIQUE )?INDEX /i.test(own),
  )
  const changes = [sql, ...indexes.map(index => index.sql)]
  return [
    { name, backup: undefined, damaged: shape, roots: [rootPage], assured: true, changes, unlike: null },
  ]
}

/** The shape that a table has after some statements; undefined where SQLite refuses them. */
function shapeFrom(statements: string[], name: string, encoding: Layout['encoding']): TableShape | undefined {
  const scratch = new Database(':memory:')
  try {
    scratch.exec(`PRAGMA encoding = '${encoding}'; PRAGMA trusted_schema = OFF`)
    for (const statement of statements) {
      // from a damaged schema anything can come, and only this is to be run
      if (!/^(CREATE TABLE|CREATE (UNIQUE )?INDEX|ALTER TABLE) /i.test(statement)) return undefined
      scratch.prepare(statement).run()
    }
    return tableShapes(scratch).find(shape => shape.name === name)
  } catch {
    return undefined
  } finally {
    scratch.close()
  }
}

/** The definitions of the columns that ALTER TABLE has put into a statement; none where it was changed otherwise. */
function addedColumns(before: string, after: string): string[] {
  const length = after.length - before.length
  if (length <= 0) return []
  for (let at = before.length; at > 0; at--) {
    if (!after.endsWith(before.slice(at))) break
    if (!after.startsWith(before.slice(0, at))) continue
    const added = after.slice(at, at + length)
    if (added.startsWith(',')) return splitColumns(added.slice(1))
  }
  return []
}

/** Splits at the commas that are in no parentheses and no quotes. */
function splitColumns(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const [token] of text.matchAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\s\S]/g)) {
    if (token === '(') depth += 1
    if (token === ')') depth -= 1
    if (token === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += token
  }
  return parts.map(part => part.trim())
}

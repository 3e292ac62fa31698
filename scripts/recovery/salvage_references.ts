import type Database from 'better-sqlite3'
import { quoted, type TableShape } from './salvage_shape.ts'

/** A foreign key, by what its rows are that refer to none. */
export type Reference = { table: string; dangling: string }

type KeyPart = { id: number; seq: number; table: string; from: string; to: string | null }

/**
 * The foreign keys that hold for every row: an agent that keeps them has no row that refers to none, and none must come
 * in. One that is broken already is not kept by anybody.
 */
export function keptReferences(database: Database.Database): Reference[] {
  const tables = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%REFERENCES%'")
    .pluck()
    .all() as string[]
  return tables
    .flatMap(table => referencesOf(database, table))
    .filter(({ table, dangling }) => {
      try {
        return database.prepare(`SELECT 1 FROM ${quoted(table)} AS c WHERE ${dangling}`).get() === undefined
      } catch {
        // its parent is not there, or has no such column: SQLite itself cannot check it either
        return false
      }
    })
}

function referencesOf(database: Database.Database, table: string): Reference[] {
  const parts = database
    .prepare('SELECT * FROM pragma_foreign_key_list(?) ORDER BY id, seq')
    .all(table) as KeyPart[]
  return [...Map.groupBy(parts, ({ id }) => id).values()].map(columns => {
    const parent = columns[0]?.table ?? ''
    const primary = database
      .prepare('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk')
      .pluck()
      .all(parent) as string[]
    const isGiven = columns.map(({ from }) => `c.${quoted(from)} IS NOT NULL`)
    const isSame = columns.map(({ from, to }, i) => `p.${quoted(to ?? primary[i] ?? '')} = c.${quoted(from)}`)
    const dangling = `${isGiven.join(' AND ')} AND NOT EXISTS (SELECT 1 FROM ${quoted(parent)} AS p WHERE ${isSame.join(' AND ')})`
    return { table, dangling }
  })
}

/** A statement that takes a row away where it refers to none; its values are those of `keyColumns`. */
export function withdrawalOf(shape: TableShape, references: Reference[]): string {
  const dangling = references.map(one => `(${one.dangling})`).join(' OR ')
  const own = keyColumns(shape).map(name => `c.${name} IS ?`)
  return `DELETE FROM main.${quoted(shape.name)} AS c WHERE ${own.join(' AND ')} AND (${dangling})`
}

function keyColumns({ columns, key, alias, rowidName }: TableShape): string[] {
  if (key !== undefined) return key.map((_, i) => quoted(columns[i]?.name ?? ''))
  return [alias < 0 ? (rowidName ?? '') : quoted(columns[alias]?.name ?? '')]
}

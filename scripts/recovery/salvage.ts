import { statSync } from 'node:fs'
import Database from 'better-sqlite3'
import type { SealsOfSymbol } from '../candles/inspect.ts'
import { headOf } from '../job/database_header.ts'
import { settle } from './graft.ts'
import { type Layout, layoutOf, PageFile, pagesBy } from './readable_file.ts'
import { byKey, unknownCollation } from './readable_key.ts'
import { readTreePage } from './readable_page.ts'
import { byRowid, countRows } from './readable_rows.ts'
import { type ReadSchema, readSchema } from './readable_schema.ts'
import { type Comparison, compareTable } from './salvage_compare.ts'
import { merge } from './salvage_merge.ts'
import { type Pair, pairTables } from './salvage_pairs.ts'
import { type TableShape, tableShapes, virtualTables } from './salvage_shape.ts'

export type SalvageRequest = {
  /** A private copy of the damaged file, with its -wal or -journal beside it if it had one; may be written to. */
  damaged: string
  /** A private restored backup in rollback mode, sound; rows are merged into it. */
  into: string
  /** A database to make only when there is something to put: rows that were not brought over. */
  aside: string
  seals: SealsOfSymbol[]
}

/** What became of a table's rows: `read` is what both had alike, `salvaged`, `conflicts` and `refused` together. */
export type TableSalvage = {
  table: string
  /** Rows of the backup before. */
  inBackup: number
  /** Rows that could be read of the damaged one. */
  read: number
  /** Brought over: the backup lacks them, or has them in a month that is not what its seal says. */
  salvaged: number
  /** Both have the row and it differs: the backup's is kept, the other is in `aside`. */
  conflicts: number
  /** Read and not taken: a constraint, a page or value that cannot be trusted, no match with the seal; in `aside`. */
  refused: number
  /** The backup has them, and the damaged one, where it could be read, had not: deleted since, and back. */
  returned: number
  /** Ranges of rowids (or keys) that could not be read or not be trusted. */
  holes: { from: string; to: string }[]
  /** Upper bound of the rows in holes that neither has. */
  knownLost: number
  /** All of its tree could be read: nothing can be lost. */
  whole: boolean
  /** Why nothing was taken of this table; its readable rows are all in `aside`. */
  distrusted: string | null
}

export type Salvage = {
  /** `grafted`: the header or the schema is the backup's, the damaged file had none any more. */
  how: 'as it is' | 'grafted'
  tables: TableSalvage[]
  /** Tables of which nothing could be read. */
  unreadable: string[]
  /** Virtual tables and the tables that they keep their content in. */
  skipped: string[]
}

/** A table with what the comparison of both files found. */
export type Compared = { pair: Pair; comparison: Comparison }

/**
 * Merges into a restored backup what can still be read of the damaged database that it replaces. The damaged file is
 * read page by page, without SQLite, so that nothing in it can lead further than its own page. `into` is changed in
 * one transaction, and durable at the end. Throws for trouble with `into` or `aside` (a full disk, say) only; `into` and
 * `aside` are worth nothing then.
 */
export function salvage({ damaged, into, aside, seals }: SalvageRequest): Salvage | { nothing: string } {
  const size = statSync(damaged, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0 && (statSync(`${damaged}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0)
    return { nothing: 'the damaged file is missing or empty' }
  const own = layoutOf(headOf(into, 100))
  if (own === undefined) throw new Error(`the backup ${into} is no database`)
  const { shapes, skipped } = lookAtBackup(into)
  const grafted = settle(damaged, into)
  const { file, schema, how } = openDamaged(damaged, into, own, grafted)
  try {
    if (file.count === 0) return { nothing: 'the damaged file has not one whole page' }
    const pairs = pairTables(shapes, schema, new Set(skipped), file.layout.encoding)
    const compared = compareAll(file, into, own, pairs)
    const tables = merge({ file, into, aside, seals, compared, schema })
    const unreadable = tables.filter(({ whole, read }) => !whole && read === 0).map(({ table }) => table)
    return { how, tables, unreadable, skipped }
  } finally {
    file.close()
  }
}

function lookAtBackup(into: string): { shapes: TableShape[]; skipped: string[] } {
  const database = new Database(into, { readonly: true })
  try {
    return { shapes: tableShapes(database), skipped: virtualTables(database) }
  } finally {
    database.close()
  }
}

/**
 * The file is read by its own header, or by that of the backup where that one does not fit it. `schema` is undefined
 * where the backup's has to do: the damaged file's own is gone.
 */
function openDamaged(
  damaged: string,
  into: string,
  backup: Layout,
  grafted: boolean,
): { file: PageFile; schema: ReadSchema | undefined; how: Salvage['how'] } {
  const header = headOf(damaged, 100)
  const own = grafted ? undefined : layoutOf(header)
  const extentOf = ({ pageSize }: Layout) =>
    Math.max(pagesBy(header), Math.ceil(statSync(into).size / pageSize))
  for (const layout of own === undefined ? [backup] : [own, backup]) {
    const file = new PageFile(damaged, layout, extentOf(layout))
    const first = grafted ? undefined : file.page(1)
    const page = first && readTreePage(first, layout.usable, true)
    const schema = page?.sound === true ? readSchema(file) : undefined
    if (schema !== undefined && schema.entries.length > 0)
      return { file, schema, how: layout === own ? 'as it is' : 'grafted' }
    file.close()
  }
  return { file: new PageFile(damaged, backup, extentOf(backup)), schema: undefined, how: 'grafted' }
}

function compareAll(file: PageFile, into: string, layout: Layout, pairs: Pair[]): Compared[] {
  const backup = new PageFile(into, layout)
  try {
    return pairs.map(pair => ({ pair, comparison: comparePair(file, backup, pair) }))
  } finally {
    backup.close()
  }
}

/** A table may begin where its own schema says, or the backup's: what fits the backup better counts. */
function comparePair(file: PageFile, backup: PageFile, pair: Pair): Comparison {
  const { backup: theirs, damaged, roots } = pair
  const collation = unknownCollation(damaged.key ?? [])
  if (collation !== undefined) {
    const distrusted = `it is ordered by the collation ${collation}, which only its own program knows`
    const inBackup = theirs === undefined ? 0 : countRows(backup, theirs.rootPage)
    return { ...nothingRead, inBackup, distrusted }
  }
  const compare = (rootPage: number, i: number) => {
    const shape = { ...damaged, rootPage }
    const assured = pair.assured && i === 0
    if (shape.key === undefined) {
      const side = theirs && { file: backup, shape: theirs, order: byRowid }
      return compareTable({ file, shape, order: byRowid }, side, assured)
    }
    const side = theirs && { file: backup, shape: theirs, order: byKey(backup, shape.key) }
    return compareTable({ file, shape, order: byKey(file, shape.key) }, side, assured)
  }
  if (roots.length > 0) return roots.map(compare).reduce((a, b) => (alike(b) > alike(a) ? b : a))
  // it was dropped since, and is back
  const gone = compare(0, 0)
  return { ...gone, returned: gone.inBackup, holes: [], knownLost: 0, whole: true }
}

const nothingRead: Comparison = {
  root: 0,
  inBackup: 0,
  read: 0,
  conflicts: [],
  additions: [],
  refused: [],
  returned: 0,
  holes: [],
  knownLost: 0,
  whole: false,
  distrusted: null,
}

function alike({ read, conflicts, additions, refused }: Comparison): number {
  return read - conflicts.length - additions.length - refused.length
}

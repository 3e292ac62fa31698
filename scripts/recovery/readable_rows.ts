import type { PageFile } from './readable_file.ts'
import { type Cell, pageKinds, readTreePage, type TreePage } from './readable_page.ts'
import type { Integer } from './readable_record.ts'

/** A row as it lies in the file. `key` is what the tree is ordered by. */
export type Row<K> = { key: K; cell: Cell; index: number }

/**
 * A piece of a tree, in its order: what follows `after` up to `upTo` (undefined: from its beginning, to its end).
 * Pieces follow each other without a gap. `page`: the page that it lies on. Rows of a piece that is not `sound` are
 * what can be told from its page: in any order, and perhaps of another table. Without a page, nothing can be told.
 */
export type Piece<K> = {
  after: K | undefined
  upTo: K | undefined
  page: { number: number; bytes: Buffer } | undefined
  rows: Row<K>[]
  sound: boolean
  /** Of a piece that is not sound, those rows that are in order, in its range and in nobody's way. */
  orderly?: ReadonlySet<Row<K>>
  /** Whether `upTo` itself belongs to it. */
  inclusive: boolean
  /** How many pages of rows the piece can have been at most. */
  pages: number
}

/** By what a tree is ordered, and how that is read from a cell; undefined where it cannot be read. */
export type Order<K> = {
  compare: (a: K, b: K) => number
  keyOf: (bytes: Buffer, cell: Cell) => K | undefined
  /** Kind of its leaves; the pages above them are of the other kind. */
  leaf: typeof pageKinds.tableLeaf | typeof pageKinds.indexLeaf
}

/** The order of a table that has rowids. */
export const byRowid: Order<Integer> = {
  compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  keyOf: (_bytes, { rowid }) => rowid,
  leaf: pageKinds.tableLeaf,
}

const deepest = 20

/**
 * The pieces of a tree in its order. A page counts only where all of it is accounted for and its keys ascend and lie
 * between those of the page above it, so a page that was put in another's place, or an old one of a row that has
 * moved, is noticed. Never goes round in a circle.
 */
export function* piecesOf<K>(file: PageFile, root: number, order: Order<K>): Generator<Piece<K>> {
  const path = new Set<number>()
  const leafDepth = depthOf(file, root, order)
  const inclusive = order.leaf === pageKinds.tableLeaf
  // a pointer and a key of one byte are the least that an inner page needs for a page below it
  const fanOut = Math.floor((file.layout.usable - 12) / 7) + 1
  const mostBelow = (depth: number) =>
    leafDepth === undefined || depth > leafDepth
      ? file.extent
      : Math.min(fanOut ** (leafDepth - depth), file.extent)
  yield* below(root, undefined, undefined, 0)

  function* below(
    number: number,
    after: K | undefined,
    upTo: K | undefined,
    depth: number,
  ): Generator<Piece<K>> {
    const bytes = depth > deepest || path.has(number) ? undefined : file.page(number)
    const page = bytes === undefined ? undefined : readTreePage(bytes, file.layout.usable, number === 1)
    const at = bytes === undefined ? undefined : { number, bytes }
    if (bytes === undefined || page === undefined || !isOf(page, order)) {
      yield { after, upTo, inclusive, page: undefined, rows: [], sound: false, pages: mostBelow(depth) }
      return
    }
    const found = rowsOf(bytes, page, order)
    const rows = page.kind === pageKinds.tableInterior ? mended(file, found, after, upTo, order) : found
    const isLeaf = page.kind === order.leaf
    const sound =
      page.sound &&
      rows.length === page.cells.length &&
      ascends(rows, after, upTo, order) &&
      (rows.length > 0 || depth === 0) &&
      (leafDepth === undefined || isLeaf === (depth === leafDepth))
    const orderly = sound ? rows : orderlyRows(rows, after, upTo, order)
    if (isLeaf) {
      yield { after, upTo, inclusive, page: at, rows, sound, orderly: new Set(orderly), pages: 1 }
      return
    }
    // a page of another height of the tree, or of another tree: what lies below it has no place here
    if (!sound && (orderly.length === 0 || (leafDepth !== undefined && depth >= leafDepth))) {
      // of an index tree's inner page, the rows on it can still be told
      yield { after, upTo, inclusive, page: at, rows: inclusive ? [] : rows, sound, pages: mostBelow(depth) }
      return
    }
    path.add(number)
    let last = after
    for (const row of orderly) {
      yield* below(row.cell.child, last, row.key, depth + 1)
      // in an index tree a row lies between the pages below
      if (!inclusive) {
        const { key } = row
        const one = { rows: [row], orderly: new Set([row]), pages: 1 }
        yield { after: key, upTo: key, inclusive: true, page: at, sound, ...one }
      }
      last = row.key
    }
    yield* below(page.right, last, upTo, depth + 1)
    const lost = page.count - orderly.length
    // which part of the range lay below what cannot be told any more, nobody knows
    if (!sound) {
      const pages = lost * mostBelow(depth + 1)
      yield { after, upTo, inclusive, page: undefined, rows: [], sound, pages }
    }
    path.delete(number)
  }
}

/** How deep most of its leaves lie, of some that are looked for all over the tree; undefined: none was found. */
function depthOf<K>(file: PageFile, root: number, order: Order<K>): number | undefined {
  const found = new Map<number, number>()
  const look = (number: number, depth: number) => {
    const bytes = depth > deepest ? undefined : file.page(number)
    const page = bytes && readTreePage(bytes, file.layout.usable, number === 1)
    if (page === undefined || !isOf(page, order)) return
    if (page.kind === order.leaf) {
      found.set(depth, (found.get(depth) ?? 0) + 1)
      return
    }
    const children = [...page.cells.map(({ child }) => child), page.right]
    const some = new Set([0, Math.floor(children.length / 2), children.length - 1])
    for (const index of some) look(children[index] as number, depth + 1)
  }
  look(root, 0)
  return [...found].sort(([, a], [, b]) => b - a)[0]?.[0]
}

/**
 * An inner page of a table with one key that is not in order, as a flipped bit makes it, has the last key of the page
 * below in its place: no more is lost by it than that page. What cannot be mended stays as it is.
 */
function mended<K>(
  file: PageFile,
  rows: Row<K>[],
  after: K | undefined,
  upTo: K | undefined,
  order: Order<K>,
): Row<K>[] {
  if (ascends(rows, after, upTo, order)) return rows
  const wrong = rows.findIndex((_, i) => !ascends(rows.slice(0, i + 1), after, upTo, order))
  for (const i of [wrong, wrong - 1]) {
    const row = rows[i]
    const key = row && lastKeyBelow(file, row.cell.child, order)
    if (row === undefined || key === undefined) continue
    const changed = rows.with(i, { ...row, key })
    const near = changed.slice(Math.max(0, i - 1), i + 2)
    const fits = near.every(({ key: bound, cell }) => {
      const last = lastKeyBelow(file, cell.child, order)
      return last === undefined || order.compare(last, bound) <= 0
    })
    if (fits && ascends(changed, after, upTo, order)) return changed
  }
  return rows
}

function lastKeyBelow<K>(file: PageFile, number: number, order: Order<K>, depth = 0): K | undefined {
  const bytes = depth > deepest ? undefined : file.page(number)
  const page = bytes && readTreePage(bytes, file.layout.usable, number === 1)
  if (bytes === undefined || page === undefined || !isOf(page, order)) return undefined
  if (page.kind !== order.leaf) return lastKeyBelow(file, page.right, order, depth + 1)
  return rowsOf(bytes, page, order).at(-1)?.key
}

/**
 * The rows of a page that is not sound that can be believed to belong there: within its range, the longest run of them
 * that ascends, and none whose key or whose bytes another one claims as well.
 */
function orderlyRows<K>(
  rows: readonly Row<K>[],
  after: K | undefined,
  upTo: K | undefined,
  order: Order<K>,
): Row<K>[] {
  const inRange = rows.filter((row, i) => ascends([row], after, upTo, order) && !isDisputed(rows, i, order))
  // the ends of the best runs of each length, and what comes before each row in its run
  const ends: Row<K>[] = []
  const before = new Map<Row<K>, Row<K> | undefined>()
  for (const row of inRange) {
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (order.compare((ends[middle] as Row<K>).key, row.key) < 0) low = middle + 1
      else high = middle
    }
    before.set(row, ends[low - 1])
    ends[low] = row
  }
  const run: Row<K>[] = []
  for (let row = ends.at(-1); row !== undefined; row = before.get(row)) run.unshift(row)
  return run
}

function isDisputed<K>(rows: readonly Row<K>[], index: number, order: Order<K>): boolean {
  const { key, cell } = rows[index] as Row<K>
  return rows.some(
    (other, i) =>
      i !== index &&
      (order.compare(other.key, key) === 0 ||
        (cell.local > 0 &&
          other.cell.at < cell.at + cell.local &&
          cell.at < other.cell.at + other.cell.local)),
  )
}

/** How many rows a tree of a sound file has, of whose order nothing is known. */
export function countRows(file: PageFile, root: number): number {
  const bytes = file.page(root)
  const page = bytes && readTreePage(bytes, file.layout.usable, root === 1)
  if (page === undefined) return 0
  const { kind, cells, right } = page
  if (kind === pageKinds.tableLeaf || kind === pageKinds.indexLeaf) return cells.length
  const below = [...cells.map(({ child }) => child), right].reduce(
    (sum, child) => sum + countRows(file, child),
    0,
  )
  return below + (kind === pageKinds.indexInterior ? cells.length : 0)
}

function isOf<K>({ kind }: TreePage, { leaf }: Order<K>): boolean {
  const table = kind === pageKinds.tableLeaf || kind === pageKinds.tableInterior
  return table === (leaf === pageKinds.tableLeaf)
}

function rowsOf<K>(bytes: Buffer, { cells }: TreePage, { keyOf }: Order<K>): Row<K>[] {
  const rows: Row<K>[] = []
  for (const [index, cell] of cells.entries()) {
    const key = keyOf(bytes, cell)
    if (key !== undefined) rows.push({ key, cell, index })
  }
  return rows
}

/** A table's inner page repeats the last key below it; in an index tree each key is there once. */
function ascends<K>(rows: Row<K>[], after: K | undefined, upTo: K | undefined, order: Order<K>): boolean {
  let last = after
  for (const { key } of rows) {
    if (last !== undefined && order.compare(last, key) >= 0) return false
    last = key
  }
  if (last === undefined || upTo === undefined || rows.length === 0) return true
  const end = order.compare(last, upTo)
  return order.leaf === pageKinds.tableLeaf ? end <= 0 : end < 0
}

import type { PageFile } from './readable_file.ts'
import type { Cell } from './readable_page.ts'
import { payloadOf } from './readable_payload.ts'
import { classOf, serialTypes, type Value } from './readable_record.ts'
import { type Order, type Piece, piecesOf, type Row } from './readable_rows.ts'
import { type Hole, Holes } from './salvage_holes.ts'
import { isAlien, type Oddity, odditiesOf, oddity, sameRow, valuesOf } from './salvage_row.ts'
import type { TableShape } from './salvage_shape.ts'

/** Where a row lies in the file: 65,536 times its page, and which of the page's cells it is. */
export type Position = number

export function positionOf(page: number, index: number): Position {
  return page * 65_536 + index
}

/** A table in one of the two files. */
export type Side<K> = { file: PageFile; shape: TableShape; order: Order<K> }

/** What a table of the damaged database is beside that of the backup. */
export type Comparison = {
  /** The page that its tree in the damaged file was taken to begin on. */
  root: number
  inBackup: number
  /** Rows that could be read: those that both have alike, and the four that follow. */
  read: number
  /** Both have it, and it differs. */
  conflicts: Position[]
  /** Only the damaged one has it. */
  additions: Position[]
  /** On pages that cannot be trusted, or no rows that the table can have. */
  refused: Position[]
  /** Only the backup has it, and the place where it would be could be read. */
  returned: number
  holes: Hole[]
  knownLost: number
  whole: boolean
  /** Why none of the rows is to be taken. */
  distrusted: string | null
}

/** Of the rows that both have: so many may have nothing in common before none of the others is believed. */
const alienShare = 0.1
const fewAliens = 3

/**
 * Compares a table of the damaged file with the backup's, row by row, in the order of both. `assured`: the damaged
 * file itself says where the table begins. Throws where the backup itself cannot be read.
 */
export function compareTable<K>(damaged: Side<K>, backup: Side<K> | undefined, assured: boolean): Comparison {
  return new Comparer(damaged, backup, assured).compare()
}

class Comparer<K> {
  readonly #damaged: Side<K>
  readonly #backup: Side<K> | undefined
  readonly #assured: boolean
  readonly #cursor: Cursor<K>
  readonly #holes = new Holes<K>()
  readonly #odd = new Map<Oddity, Set<Position>>()
  #counts = { read: 0, equal: 0, aliens: 0, returned: 0 }
  #conflicts: Position[] = []
  #additions: Position[] = []
  #refused: Position[] = []

  constructor(damaged: Side<K>, backup: Side<K> | undefined, assured: boolean) {
    this.#damaged = damaged
    this.#backup = backup
    this.#assured = assured
    this.#cursor = new Cursor(backup)
  }

  compare(): Comparison {
    const { file, shape, order } = this.#damaged
    for (const piece of piecesOf(file, shape.rootPage, order)) {
      const held = this.#cursor.upTo(piece)
      if (!piece.sound || !this.#merge(piece, held)) this.#doubt(piece, held)
    }
    this.#settleOddities()
    const { read, returned } = this.#counts
    // of a tree that may be another table's, nothing is known
    const found = this.#assured || this.#counts.equal > 0
    return {
      root: shape.rootPage,
      inBackup: this.#cursor.count,
      read,
      conflicts: this.#conflicts,
      additions: this.#additions,
      refused: this.#refused,
      returned: found ? returned : 0,
      holes: found ? this.#holes.list() : allOfIt(),
      knownLost: found ? this.#holes.lost : file.extent * this.#perPage,
      whole: found && this.#holes.none,
      distrusted: this.#distrust(found),
    }
  }

  #distrust(found: boolean): string | null {
    const { equal, aliens } = this.#counts
    const common = equal + this.#conflicts.length
    if (aliens >= fewAliens && aliens > alienShare * common)
      return `${aliens} of the ${common} rows that the backup has too have nothing in common with it`
    if (!found && this.#counts.read > 0)
      return 'where it begins is known from the backup only, and not one row there is as in the backup'
    return null
  }

  /** How many rows a page can have at most. */
  get #perPage(): number {
    const smallestRow = 2 + Math.max(4, 3 + this.#damaged.shape.columns.length)
    return Math.floor((this.#damaged.file.layout.usable - 8) / smallestRow)
  }

  /** Takes the rows of a page that is in order; false, and nothing is taken, where its rows are another table's. */
  #merge(piece: Piece<K>, held: Held<K>[]): boolean {
    const { number, bytes } = piece.page as { number: number; bytes: Buffer }
    const { compare } = this.#damaged.order
    const conflicts: Position[] = []
    const additions: Position[] = []
    const odd: [Oddity, Position][] = []
    const broken: [K, held: number][] = []
    const doubtful: Position[] = []
    let [equal, aliens, matched] = [0, 0, 0]
    let next = 0
    for (const row of piece.rows) {
      while (next < held.length && compare((held[next] as Held<K>).row.key, row.key) < 0) next += 1
      const other = held[next]
      const there = other !== undefined && compare(other.row.key, row.key) === 0 ? other : undefined
      if (there !== undefined) matched += 1
      const verdict = this.#judge(bytes, row, there)
      if (verdict === 'unfit') return false
      if (verdict === 'equal') {
        equal += 1
        continue
      }
      const position = positionOf(number, row.index)
      if (verdict === 'unreadable' || verdict === 'doubtful') {
        broken.push([row.key, there === undefined ? 0 : 1])
        if (verdict === 'doubtful') doubtful.push(position)
        continue
      }
      if (verdict.alien) aliens += 1
      if (there !== undefined) {
        conflicts.push(position)
        continue
      }
      additions.push(position)
      for (const one of verdict.odd) odd.push([one, position])
    }
    if (aliens >= fewAliens && aliens > equal + conflicts.length - aliens) return false
    for (const [key, heldRows] of broken) this.#holes.addKey(key, heldRows)
    for (const position of doubtful) this.#refused.push(position)
    this.#counts.read += piece.rows.length - broken.length + doubtful.length
    this.#counts.equal += equal
    this.#counts.aliens += aliens
    this.#counts.returned += held.length - matched
    // not by spreading: a table may have millions
    for (const position of conflicts) this.#conflicts.push(position)
    for (const position of additions) this.#additions.push(position)
    for (const [one, position] of odd) this.#odd.set(one, (this.#odd.get(one) ?? new Set()).add(position))
    return true
  }

  #judge(page: Buffer, row: Row<K>, held: Held<K> | undefined): Verdict {
    if (held !== undefined && samePayload(page, row.cell, held)) return 'equal'
    const { file, shape } = this.#damaged
    const payload = payloadOf(file, page, row.cell)
    if (payload === undefined) return 'unreadable'
    const theirs = held && this.#cursor.payload(held)
    if (theirs?.equals(payload.bytes) === true) return 'equal'
    const values = valuesOf(shape, row.cell.rowid, payload.bytes)
    const odd = odditiesOf(shape, payload.bytes)
    if (values === undefined || odd === undefined) return 'unfit'
    if (payload.doubtful) return 'doubtful'
    if (theirs === undefined || this.#backup === undefined) return { odd, alien: false }
    const others = valuesOf(this.#backup.shape, (held as Held<K>).row.cell.rowid, theirs)
    if (others === undefined) throw new Error(`a row of ${shape.name} in the backup cannot be read`)
    if (sameRow(others, values, shape)) return 'equal'
    return { odd, alien: isAlien(others, values, shape) }
  }

  /**
   * Of a page that is not sound, rows count that are in order and look like others of the table; but none where those
   * that the backup has too have mostly nothing in common with it.
   */
  #doubt(piece: Piece<K>, held: Held<K>[]): void {
    const { page, rows, orderly } = piece
    const theirs = new Map(held.map(one => [keyText(one.row.key), one]))
    const judged = rows.map(row => {
      const there = theirs.get(keyText(row.key))
      return { row, there, verdict: page ? this.#judge(page.bytes, row, there) : 'unreadable' }
    })
    const differing = judged.filter(
      ({ there, verdict }) => there !== undefined && typeof verdict === 'object',
    )
    const aliens = differing.filter(({ verdict }) => (verdict as { alien: boolean }).alien).length
    const equal = judged.filter(({ verdict }) => verdict === 'equal').length
    const believed = aliens < fewAliens || aliens <= equal + differing.length - aliens
    let added = 0
    for (const { row, there, verdict } of judged) {
      if (verdict === 'unreadable') continue
      this.#counts.read += 1
      if (verdict === 'equal') {
        this.#counts.equal += 1
        continue
      }
      const position = positionOf((page as { number: number }).number, row.index)
      if (typeof verdict !== 'object' || !believed || orderly?.has(row) !== true || verdict.alien) {
        this.#refused.push(position)
      } else if (there !== undefined) this.#conflicts.push(position)
      else {
        this.#additions.push(position)
        for (const one of verdict.odd) this.#odd.set(one, (this.#odd.get(one) ?? new Set()).add(position))
        added += 1
      }
    }
    // a tree of one page that is not what it should be may have been of any size
    const isAll = piece.after === undefined && piece.upTo === undefined
    const pages = isAll ? this.#damaged.file.extent : piece.pages
    this.#holes.add(piece, held.length + added, pages * this.#perPage)
  }

  /** Values of an unexpected class are right where the backup has such ones in that column, or knows nothing of it. */
  #settleOddities(): void {
    if (this.#odd.size === 0) return
    const seen = lookFor(this.#backup, new Set(this.#odd.keys()))
    const wrong = new Set<Position>()
    for (const [one, positions] of this.#odd) {
      if (isAccepted(one, this.#damaged.shape, this.#backup, seen)) continue
      for (const position of positions) wrong.add(position)
    }
    if (wrong.size === 0) return
    for (const position of wrong) this.#refused.push(position)
    this.#additions = this.#additions.filter(position => !wrong.has(position))
  }
}

function allOfIt(): Hole[] {
  const holes = new Holes()
  holes.add({ after: undefined, upTo: undefined }, 0, 0)
  return holes.list()
}

/** `unreadable`, `doubtful`: the pages on which it goes on are not what they should be. */
type Verdict = 'equal' | 'unreadable' | 'doubtful' | 'unfit' | { odd: Oddity[]; alien: boolean }

function isAccepted<K>(
  one: Oddity,
  { columns }: TableShape,
  backup: Side<K> | undefined,
  seen: Seen,
): boolean {
  const [at, what] = one.split(' ')
  const column = Number(at)
  // rows of before a column was added: the backup has it for its last, or has such rows as well
  if (what === 'none') return column >= Math.min(seen.shortest, backup?.shape.columns.length ?? 0)
  if (seen.classes.has(one)) return true
  return columns[column]?.affinity === 'BLOB' && !seen.filled.has(column)
}

/** The classes of values that a table has, which of its columns have any value at all, and its shortest record. */
type Seen = { classes: Set<Oddity>; filled: Set<number>; shortest: number }

function lookFor<K>(side: Side<K> | undefined, wanted: Set<Oddity>): Seen {
  const seen: Seen = { classes: new Set(), filled: new Set(), shortest: Number.POSITIVE_INFINITY }
  if (side === undefined) return seen
  const { file, shape, order } = side
  for (const { page, rows } of piecesOf(file, shape.rootPage, order)) {
    for (const { cell } of rows) {
      const types = payloadTypes(file, (page as { bytes: Buffer }).bytes, cell)
      seen.shortest = Math.min(seen.shortest, types.length)
      for (const [i, type] of types.entries()) {
        if (type === 0) continue
        seen.filled.add(i)
        seen.classes.add(oddity(i, classOf(type)))
      }
    }
    if ([...wanted].every(one => seen.classes.has(one))) break
  }
  return seen
}

function payloadTypes(file: PageFile, page: Buffer, cell: Cell): number[] {
  const payload = payloadOf(file, page, cell)
  return (payload && serialTypes(payload.bytes, payload.bytes.length)) ?? []
}

function keyText(key: unknown): string {
  return Array.isArray(key)
    ? JSON.stringify(key, (_, value: Value) => (typeof value === 'bigint' ? `${value}n` : value))
    : String(key)
}

/** Whether two rows are alike as far as their pages hold them: all of them where nothing is on other pages. */
function samePayload(
  page: Buffer,
  { at, size, local }: Cell,
  { page: other, row: { cell } }: { page: Buffer; row: { cell: Cell } },
): boolean {
  return (
    size === local &&
    cell.size === size &&
    cell.local === size &&
    page.compare(other, cell.at, cell.at + size, at, at + size) === 0
  )
}

/** A row of the backup, with the page that it lies on. */
type Held<K> = { page: Buffer; row: Row<K> }

/** The backup's rows in their order, taken piece by piece. */
class Cursor<K> {
  count = 0
  readonly #side: Side<K> | undefined
  readonly #pieces: Generator<Piece<K>> | undefined
  #waiting: Held<K>[] = []
  #at = 0

  constructor(side: Side<K> | undefined) {
    this.#side = side
    this.#pieces = side && piecesOf(side.file, side.shape.rootPage, side.order)
  }

  /** The rows that follow, as many as belong to a piece of the other tree. */
  upTo({ upTo, inclusive }: Piece<K>): Held<K>[] {
    const rows: Held<K>[] = []
    for (;;) {
      if (this.#at >= this.#waiting.length && !this.#fill()) return rows
      const held = this.#waiting[this.#at] as Held<K>
      if (upTo !== undefined) {
        const end = (this.#side as Side<K>).order.compare(held.row.key, upTo)
        if (end > 0 || (end === 0 && !inclusive)) return rows
      }
      rows.push(held)
      this.#at += 1
      this.count += 1
    }
  }

  payload({ page, row }: Held<K>): Buffer {
    const payload = payloadOf((this.#side as Side<K>).file, page, row.cell)
    if (payload === undefined) throw new Error('a row of the backup cannot be read')
    return payload.bytes
  }

  #fill(): boolean {
    const next = this.#pieces?.next()
    if (next === undefined || next.done === true) return false
    const { page, rows, sound } = next.value
    if (!sound || page === undefined)
      throw new Error(`the backup's table ${this.#side?.shape.name ?? ''} cannot be read`)
    this.#waiting = rows.map(row => ({ page: page.bytes, row }))
    this.#at = 0
    return this.#waiting.length > 0 || this.#fill()
  }
}

import { afterVarint, type Integer, readVarint } from './readable_record.ts'

/** What a page of a b-tree can be, as its first byte says. */
export const pageKinds = { indexInterior: 2, tableInterior: 5, indexLeaf: 10, tableLeaf: 13 } as const

type PageKind = (typeof pageKinds)[keyof typeof pageKinds]

/** A cell of a page; what it has no use for is 0. */
export type Cell = {
  /** The page below it that comes before it. */
  child: number
  /** Of a table only. */
  rowid: Integer
  /** Where its payload begins in the page, how long that is, and how much of it is in the page. */
  at: number
  size: number
  local: number
  /** The page on which its payload goes on. */
  overflow: number
}

export type TreePage = {
  kind: PageKind
  /** Those that can be told from the page; all of them where it is sound. */
  cells: Cell[]
  /** How many there should be. */
  count: number
  /** The page below that comes after all cells. */
  right: number
  /** Whether each byte of the page is accounted for, as SQLite's own check demands. */
  sound: boolean
}

const longest = 1_000_000_000

/** A page of a b-tree, undefined where it is none. `first`: it is page 1, in which the file's header comes before. */
export function readTreePage(page: Buffer, usable: number, first: boolean): TreePage | undefined {
  const start = first ? 100 : 0
  const kind = page[start] as PageKind
  if (!Object.values(pageKinds).includes(kind)) return undefined
  const interior = kind === pageKinds.indexInterior || kind === pageKinds.tableInterior
  const pointers = start + (interior ? 12 : 8)
  const count = page.readUInt16BE(start + 3)
  const content = page.readUInt16BE(start + 5) || 65_536
  const fits = pointers + 2 * count <= content && content <= usable
  const cells: Cell[] = []
  let used = 0
  for (let i = 0; i < count && pointers + 2 * i + 2 <= usable; i++) {
    const at = page.readUInt16BE(pointers + 2 * i)
    const cell = at < pointers + 2 * count ? undefined : readCell(page, at, kind, usable)
    if (cell === undefined) continue
    cells.push(cell)
    used += Math.max(4, cellEnd - at)
  }
  const free = fits ? freeBytes(page, page.readUInt16BE(start + 1), content, usable) : undefined
  const fragments = page.readUInt8(start + 7)
  return {
    kind,
    cells,
    count,
    right: interior ? page.readUInt32BE(start + 8) : 0,
    sound: cells.length === count && free !== undefined && content + used + free + fragments === usable,
  }
}

/** Where the cell that was read last ends. */
let cellEnd = 0

function readCell(page: Buffer, start: number, kind: PageKind, usable: number): Cell | undefined {
  const interior = kind === pageKinds.indexInterior || kind === pageKinds.tableInterior
  if (start + (interior ? 5 : 3) > usable) return undefined
  const child = interior ? page.readUInt32BE(start) : 0
  let at = start + (interior ? 4 : 0)
  if (kind === pageKinds.tableInterior) {
    const rowid = readVarint(page, at)
    cellEnd = afterVarint
    return isNaNumber(rowid) || cellEnd > usable
      ? undefined
      : { child, rowid, at, size: 0, local: 0, overflow: 0 }
  }
  const size = readVarint(page, at)
  if (typeof size !== 'number' || !(size >= 1 && size <= longest)) return undefined
  at = afterVarint
  let rowid: Integer = 0
  if (kind === pageKinds.tableLeaf) {
    rowid = readVarint(page, at)
    if (isNaNumber(rowid)) return undefined
    at = afterVarint
  }
  const local = localSize(size, kind === pageKinds.tableLeaf, usable)
  cellEnd = at + local + (local < size ? 4 : 0)
  if (cellEnd > usable) return undefined
  return { child, rowid, at, size, local, overflow: local < size ? page.readUInt32BE(at + local) : 0 }
}

function isNaNumber(value: Integer): boolean {
  return typeof value === 'number' && Number.isNaN(value)
}

/** How much of a payload is in the page itself (SQLite, "Database File Format", 1.6). */
function localSize(size: number, table: boolean, usable: number): number {
  const most = table ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23
  if (size <= most) return size
  const least = Math.floor(((usable - 12) * 32) / 255) - 23
  const rest = least + ((size - least) % (usable - 4))
  return rest <= most ? rest : least
}

/** Bytes in the page's list of free blocks; undefined where that is no list. */
function freeBytes(page: Buffer, first: number, content: number, usable: number): number | undefined {
  let total = 0
  let end = content
  for (let at = first; at !== 0; ) {
    if (at < end || at + 4 > usable) return undefined
    const size = page.readUInt16BE(at + 2)
    end = at + size
    if (size < 4 || end > usable) return undefined
    total += size
    at = page.readUInt16BE(at)
  }
  return total
}

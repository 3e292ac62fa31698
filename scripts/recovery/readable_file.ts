import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { magic } from '../job/database_header.ts'

/** What the pages of a database have in common. Sizes in bytes. */
export type Layout = {
  pageSize: number
  /** Bytes of each page that hold content: all but those that extensions have reserved at its end. */
  usable: number
  encoding: 'UTF-8' | 'UTF-16le' | 'UTF-16be'
}

const encodings = [undefined, 'UTF-8', 'UTF-16le', 'UTF-16be'] as const

/**
 * What a header says of its database, of its first 100 bytes; undefined where it is none (SQLite, "Database File
 * Format"): a header whose fixed bytes are not what they always are has been overwritten, and says nothing.
 */
export function layoutOf(header: Buffer): Layout | undefined {
  if (header.length < 100 || !header.subarray(0, magic.length).equals(magic)) return undefined
  const written = header.readUInt16BE(16)
  const pageSize = written === 1 ? 65_536 : written
  const usable = pageSize - header.readUInt8(20)
  const encoding = encodings[header.readUInt32BE(56)]
  const fixed = header.subarray(21, 24).equals(Buffer.from([64, 32, 32]))
  const modes = [18, 19].every(at => header.readUInt8(at) === 1 || header.readUInt8(at) === 2)
  const power = pageSize >= 512 && (pageSize & (pageSize - 1)) === 0
  if (!fixed || !modes || !power || usable < 480 || encoding === undefined) return undefined
  return { pageSize, usable, encoding }
}

/** How many pages a header says that the file has; 0 where it does not say so. */
export function pagesBy(header: Buffer): number {
  if (layoutOf(header) === undefined) return 0
  // written by a program that knew of the number, if both counters are the same
  return header.readUInt32BE(24) === header.readUInt32BE(92) ? header.readUInt32BE(28) : 0
}

const blockSize = 1 << 20
const blocksKept = 16

/**
 * A database file read page by page, without SQLite: no damage can mislead more than the page that it is in. Not to be
 * opened in a process that has the file open through SQLite: closing it here drops SQLite's locks.
 */
export class PageFile {
  readonly layout: Layout
  /** Pages that are wholly there; they are numbered from 1. */
  readonly count: number
  /** Pages that it had before anything was cut off, as far as that is known; no fewer than there are. */
  readonly extent: number
  readonly #descriptor: number
  readonly #blocks = new Map<number, Buffer>()

  /** `extent`: how many pages it is known to have had. Throws what the file system says where it cannot be opened. */
  constructor(file: string, layout: Layout, extent = 0) {
    this.layout = layout
    this.#descriptor = openSync(file, 'r')
    this.count = Math.floor(fstatSync(this.#descriptor).size / layout.pageSize)
    this.extent = Math.max(this.count, extent)
  }

  /** undefined: there is no such page, or the disk cannot read it. */
  page(number: number): Buffer | undefined {
    if (number < 1 || number > this.count) return undefined
    const { pageSize } = this.layout
    const from = (number - 1) * pageSize
    const index = Math.floor(from / blockSize)
    const at = from - index * blockSize
    const page = this.#block(index).subarray(at, at + pageSize)
    return page.length === pageSize ? page : this.#read(from, pageSize)
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #block(index: number): Buffer {
    const kept = this.#blocks.get(index)
    if (kept !== undefined) return kept
    // where the disk fails in the middle of a block, its pages are read one by one
    const block = this.#read(index * blockSize, blockSize) ?? Buffer.alloc(0)
    this.#blocks.set(index, block)
    if (this.#blocks.size > blocksKept) this.#blocks.delete(this.#blocks.keys().next().value as number)
    return block
  }

  #read(from: number, length: number): Buffer | undefined {
    const buffer = Buffer.allocUnsafe(length)
    try {
      const got = readSync(this.#descriptor, buffer, 0, length, from)
      return got === 0 ? undefined : buffer.subarray(0, got)
    } catch {
      return undefined
    }
  }
}

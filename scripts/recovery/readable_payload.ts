import type { PageFile } from './readable_file.ts'
import type { Cell } from './readable_page.ts'

/** What a row is stored as. `doubtful`: a part of it is nothing but zeros, as a page is that was lost. */
export type Payload = { bytes: Buffer; doubtful: boolean }

/** The payload of a cell, with the pages on which it goes on; undefined where one of them cannot be what it should. */
export function payloadOf(file: PageFile, page: Buffer, cell: Cell): Payload | undefined {
  const { at, size, local } = cell
  if (local === size) return { bytes: page.subarray(at, at + size), doubtful: false }
  const bytes = Buffer.allocUnsafe(size)
  page.copy(bytes, 0, at, at + local)
  const room = file.layout.usable - 4
  let [next, filled, doubtful] = [cell.overflow, local, false]
  // bounded before it is followed: a chain may lead round in a circle
  while (filled < size) {
    const piece = file.page(next)
    if (piece === undefined) return undefined
    const length = Math.min(room, size - filled)
    const content = piece.subarray(4, 4 + length)
    content.copy(bytes, filled)
    doubtful ||= content.every(byte => byte === 0)
    filled += length
    next = piece.readUInt32BE(0)
    if (next === 0 && filled < size) return undefined
  }
  return next === 0 ? { bytes, doubtful } : undefined
}

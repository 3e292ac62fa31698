import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

const mebibyte = 1 << 20
const mostParts = 10_000

/** The size of the parts that an object of so many bytes is uploaded in: that of the cheat sheet, unless S3 has no room for so many. */
export function partSize(bytes: number, partMb: number): number {
  return Math.max(partMb, Math.ceil(bytes / mostParts / mebibyte)) * mebibyte
}

/** What S3 is to say about a file, and what we say. */
export type Digests = {
  /** Hexadecimal, of the whole. */
  sha256: string
  /** As S3 has it: of the whole in base64; of an object in parts, of the digests of the parts, and how many they are. */
  checksum: string
}

/** Reads a file in full. */
export async function digestInParts(file: string, size: number, signal: AbortSignal): Promise<Digests> {
  const whole = createHash('sha256')
  const parts: Buffer[] = []
  let part = createHash('sha256')
  let room = size
  for await (const piece of createReadStream(file, { highWaterMark: mebibyte, signal })) {
    let rest = piece as Buffer
    whole.update(rest)
    while (rest.length > 0) {
      if (room === 0) {
        parts.push(part.digest())
        part = createHash('sha256')
        room = size
      }
      const fits = rest.subarray(0, room)
      part.update(fits)
      room -= fits.length
      rest = rest.subarray(fits.length)
    }
  }
  parts.push(part.digest())
  const digest = parts.length === 1 ? parts[0] : createHash('sha256').update(Buffer.concat(parts)).digest()
  const count = parts.length === 1 ? '' : `-${parts.length}`
  return { sha256: whole.digest('hex'), checksum: `${digest?.toString('base64')}${count}` }
}

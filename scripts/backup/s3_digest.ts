import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

const mebibyte = 1 << 20
const mostParts = 10_000

/** How large the parts of so many bytes are: as the cheat sheet has it, unless S3 does not take so many. */
export function partSize(bytes: number, partMb: number): number {
  return Math.max(partMb * mebibyte, Math.ceil(bytes / mostParts))
}

/** Of a file that is to be uploaded. */
export type Digests = {
  /** Of the whole, hexadecimal: as we say it. */
  sha256: string
  /** Of each part, in base64. */
  parts: string[]
  /** As S3 says it: of the whole, or of an object in parts that of their digests, with how many they are. */
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
  const inBase64 = parts.map(digest => digest.toString('base64'))
  const ofParts = createHash('sha256').update(Buffer.concat(parts)).digest('base64')
  return {
    sha256: whole.digest('hex'),
    parts: inBase64,
    checksum: parts.length === 1 ? String(inBase64[0]) : `${ofParts}-${parts.length}`,
  }
}

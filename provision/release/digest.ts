import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'

/** Digest of a file: SHA-256 in hexadecimal, unless told otherwise. */
export async function digestOf(
  file: string,
  signal: AbortSignal,
  algorithm = 'sha256',
  encoding: 'hex' | 'base64' = 'hex',
): Promise<string> {
  const hash = createHash(algorithm)
  await pipeline(createReadStream(file, { highWaterMark: 1 << 18 }), hash, { signal })
  return hash.digest(encoding)
}

/** Digest of some lines of text, `length` hexadecimal digits of it. */
export function shortDigest(lines: string[], length: number): string {
  return createHash('sha256').update(JSON.stringify(lines)).digest('hex').slice(0, length)
}

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { crcs } from './crc.ts'
import { S3Error } from './errors.ts'

/** The checksums that the double knows; their headers are `x-amz-checksum-` and the name. */
export const algorithms = ['sha256', 'sha1', 'crc32', 'crc32c', 'crc64nvme'] as const

export type Algorithm = (typeof algorithms)[number]

export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

/** In base64; a composite one has `-N` for its N parts at the end. */
export type Checksum = { algorithm: Algorithm; value: string; type: ChecksumType }

function digest(algorithm: Algorithm, data: Buffer): Buffer {
  if (algorithm === 'sha256' || algorithm === 'sha1') return createHash(algorithm).update(data).digest()
  return crcs[algorithm](data)
}

/** Of the whole of `data`. */
export function checksumOf(algorithm: Algorithm, data: Buffer): Checksum {
  return { algorithm, value: digest(algorithm, data).toString('base64'), type: 'FULL_OBJECT' }
}

/** The checksum of the checksums of the parts. */
export function compositeOf(algorithm: Algorithm, parts: string[]): Checksum {
  const digests = parts.map(part => Buffer.from(part, 'base64'))
  const value = `${digest(algorithm, Buffer.concat(digests)).toString('base64')}-${parts.length}`
  return { algorithm, value, type: 'COMPOSITE' }
}

export function algorithmNamed(name: string, header: string): Algorithm {
  const found = algorithms.find(algorithm => algorithm === name.toLowerCase())
  if (!found) throw new S3Error('InvalidRequest', `Value for ${header} header is invalid.`)
  return found
}

type Given = { algorithm: Algorithm; value: string }

/** The one checksum that came with a request, in a header or in a trailer; undefined where none came. */
export function givenChecksum(
  headers: IncomingHttpHeaders,
  trailers: Record<string, string>,
): Given | undefined {
  const all = { ...headers, ...trailers }
  const given = algorithms.filter(algorithm => all[`x-amz-checksum-${algorithm}`] !== undefined)
  if (given.length > 1) {
    const message = 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.'
    throw new S3Error('InvalidRequest', message)
  }
  const announced = headers['x-amz-sdk-checksum-algorithm']
  const [algorithm] = given
  if (typeof announced === 'string') {
    const header = 'x-amz-sdk-checksum-algorithm'
    const expected = algorithmNamed(announced, header)
    if (!algorithm) {
      const found = 'but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.'
      throw new S3Error('InvalidRequest', `${header} specified, ${found}`)
    }
    if (algorithm !== expected) throw new S3Error('InvalidRequest', `Value for ${header} header is invalid.`)
  }
  if (!algorithm) return undefined
  return { algorithm, value: String(all[`x-amz-checksum-${algorithm}`]) }
}

/** Throws where the checksum is not that of `data`. */
export function checkChecksum({ algorithm, value }: Given, data: Buffer): Checksum {
  const actual = digest(algorithm, data)
  const bytes = Buffer.from(value, 'base64')
  if (bytes.length !== actual.length || bytes.toString('base64') !== value)
    throw new S3Error('InvalidRequest', `Value for x-amz-checksum-${algorithm} header is invalid.`)
  if (!bytes.equals(actual)) {
    const message = `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`
    throw new S3Error('BadDigest', message)
  }
  return { algorithm, value, type: 'FULL_OBJECT' }
}

/** Throws where Content-MD5 is there and is not that of `data`. */
export function checkMd5(header: string | undefined, data: Buffer): void {
  if (header === undefined) return
  const bytes = Buffer.from(header, 'base64')
  if (bytes.length !== 16 || bytes.toString('base64') !== header) throw new S3Error('InvalidDigest')
  if (bytes.toString('hex') !== md5(data))
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.')
}

export function md5(data: Buffer): string {
  return createHash('md5').update(data).digest('hex')
}

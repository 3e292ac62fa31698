import type { IncomingHttpHeaders } from 'node:http'
import { algorithms } from './checksums.ts'
import { S3Error } from './errors.ts'
import type { Operation } from './routes.ts'

const understood = new Set([
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-user-agent',
  'x-amz-decoded-content-length',
  'x-amz-trailer',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-type',
  'x-amz-checksum-mode',
  ...algorithms.map(algorithm => `x-amz-checksum-${algorithm}`),
  'x-amz-storage-class',
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-bypass-governance-retention',
  'x-amz-mp-object-size',
])

const reads: (Operation | undefined)[] = ['GetObject', 'HeadObject']
const writes: (Operation | undefined)[] = ['PutObject', 'CompleteMultipartUpload']

/** Refuses what the double would have to take no notice of: a test would take it for done. */
export function refuseUnknownHeaders(operation: Operation | undefined, headers: IncomingHttpHeaders): void {
  for (const [name, value] of Object.entries(headers)) {
    const isOurs = understood.has(name) || name.startsWith('x-amz-meta-')
    // S3 encrypts so in any case
    const isUsual = name === 'x-amz-server-side-encryption' && value === 'AES256'
    const isForeign = name.startsWith('x-amz-') && !isOurs && !isUsual
    if (isForeign || !isHeeded(operation, name, value))
      throw new S3Error('NotImplemented', undefined, { Header: name })
  }
  const isFramed = String(headers['x-amz-content-sha256']).startsWith('STREAMING-')
  if (headers['transfer-encoding'] !== undefined && !isFramed)
    throw new S3Error('NotImplemented', undefined, { Header: 'Transfer-Encoding' })
}

function isHeeded(operation: Operation | undefined, name: string, value: unknown): boolean {
  if (name === 'if-match') return reads.includes(operation)
  // S3 itself takes no ETag here when an object is written
  if (name === 'if-none-match')
    return reads.includes(operation) || (writes.includes(operation) && value === '*')
  return name !== 'if-modified-since' && name !== 'if-unmodified-since' && name !== 'if-range'
}

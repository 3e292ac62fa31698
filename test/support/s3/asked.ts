import type { IncomingHttpHeaders } from 'node:http'
import { storageClassOf } from './archive.ts'
import { type Checksum, checkChecksum, checkMd5, givenChecksum } from './checksums.ts'
import { type Unwrapped, unwrapChunks } from './chunked.ts'
import { S3Error } from './errors.ts'
import type { Turn } from './faults.ts'
import { lockOf } from './lock.ts'
import type { Operation, Target } from './routes.ts'
import { type Signed, sha256 } from './signature.ts'
import type { About, Bucket } from './store.ts'

/** A request that has been found genuine, with its body out of any framing and as its checksums want it. */
export type Asked = {
  operation: Operation
  bucket: Bucket
  key: string
  query: Map<string, string>
  headers: IncomingHttpHeaders
  body: Buffer
  /** The one that came with the body. */
  checksum: Checksum | undefined
  turn: Turn
  now: number
  limits: Limits
}

export type Limits = { minPartSize: number; restoreMs: number }

export type Answer = {
  status: number
  headers: Record<string, string>
  body: Buffer
}

export function answer(status: number, headers: Record<string, string> = {}, body = ''): Answer {
  const type: Record<string, string> = body === '' ? {} : { 'content-type': 'application/xml' }
  return { status, headers: { ...type, ...headers }, body: Buffer.from(body) }
}

/** Takes the body of a request as it came, and checks it with all that the request says about it. */
export function receive(
  { operation }: Target,
  headers: IncomingHttpHeaders,
  raw: Buffer,
  signed: Signed,
  turn: Turn,
): { body: Buffer; checksum: Checksum | undefined } {
  const hasData = operation === 'PutObject' || operation === 'UploadPart'
  const isOld = minds(operation, headers) && turn.take('ignoreChecksums') !== undefined
  const { body, trailers } = unframed(headers, raw, signed)
  const length = headers['x-amz-decoded-content-length']
  if (length !== undefined && Number(length) !== body.length) throw new S3Error('IncompleteBody')
  checkMd5(headers['content-md5']?.toString(), body)
  if (isOld) return { body: hasData ? withFraming(turn, headers, raw, body) : body, checksum: undefined }
  const announced = headers['x-amz-trailer']
  const missing = String(announced ?? '')
    .split(',')
    .filter(name => name && trailers[name.trim()] === undefined)
  if (missing.length > 0 || (announced === undefined && Object.keys(trailers).length > 0))
    throw new S3Error('MalformedTrailerError')
  // with the completion of an upload comes the checksum of the whole object instead
  const given = operation === 'CompleteMultipartUpload' ? undefined : givenChecksum(headers, trailers)
  const checksum = given && checkChecksum(given, body)
  return { body: hasData ? withFraming(turn, headers, raw, body) : body, checksum }
}

/** Whether a request has to do with checksums, so that not to know them makes a difference. */
function minds(operation: Operation | undefined, headers: IncomingHttpHeaders): boolean {
  const writes = ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']
  const isAsked = Object.keys(headers).some(name => /^x-amz-(checksum-|sdk-checksum-|trailer$)/.test(name))
  return isAsked || writes.includes(operation ?? '')
}

function unframed(headers: IncomingHttpHeaders, raw: Buffer, signed: Signed): Unwrapped {
  const payload = headers['x-amz-content-sha256']
  switch (payload) {
    case undefined:
      throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
    case 'UNSIGNED-PAYLOAD':
      return { body: raw, trailers: {} }
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return unwrapChunks(raw, undefined)
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return unwrapChunks(raw, signed)
    default:
      if (payload !== sha256(raw)) throw new S3Error('XAmzContentSHA256Mismatch')
      return { body: raw, trailers: {} }
  }
}

function withFraming(turn: Turn, headers: IncomingHttpHeaders, raw: Buffer, body: Buffer): Buffer {
  const isFramed = String(headers['x-amz-content-sha256']).startsWith('STREAMING-')
  return isFramed && turn.take('keepFraming') ? raw : body
}

const kept = ['content-type', 'cache-control', 'content-disposition', 'content-language', 'expires'] as const

/** What the headers of a new object say about it. */
export function aboutOf({ headers, bucket, now }: Asked): About {
  const metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-amz-meta-')) metadata[name.slice('x-amz-meta-'.length)] = String(value)
  }
  const size = Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size > 2048) throw new S3Error('MetadataTooLarge')
  const own: Record<string, string> = { 'content-type': 'binary/octet-stream' }
  for (const name of kept) if (headers[name] !== undefined) own[name] = headers[name]
  const encoding = (headers['content-encoding'] ?? '').split(',').map(part => part.trim())
  const encodings = encoding.filter(part => part !== '' && part !== 'aws-chunked')
  if (encodings.length > 0) own['content-encoding'] = encodings.join(',')
  return { storageClass: storageClassOf(headers), metadata, headers: own, lock: lockOf(headers, bucket, now) }
}

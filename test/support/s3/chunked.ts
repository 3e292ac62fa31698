import { S3Error } from './errors.ts'
import { nextSignature, type Signed } from './signature.ts'

export type Unwrapped = { body: Buffer; trailers: Record<string, string> }

/** Of all chunks but the last; S3 has no smaller ones. */
const leastChunk = 8192

/**
 * Takes a body out of S3's own `aws-chunked` framing: `SIZE[;chunk-signature=HEX]`, that many bytes, and again, up to a
 * chunk of 0 bytes and the trailers. Where `signed` is given, each chunk has to have its signature, and so have trailers.
 */
export function unwrapChunks(raw: Buffer, signed: Signed | undefined): Unwrapped {
  const parts: Buffer[] = []
  let at = 0
  let previous = signed?.signature ?? ''

  const line = () => {
    const end = raw.indexOf('\r\n', at)
    if (end < 0) throw new S3Error('IncompleteBody')
    const text = raw.toString('latin1', at, end)
    at = end + 2
    return text
  }

  const check = (of: 'PAYLOAD' | 'TRAILER', data: Buffer, signature: string | undefined) => {
    if (!signed) return
    const expected = nextSignature(signed, previous, of, data)
    if (signature !== expected) throw new S3Error('SignatureDoesNotMatch')
    previous = expected
  }

  for (;;) {
    const [, size, signature] = /^([0-9a-fA-F]+)(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line()) ?? []
    if (size === undefined) throw new S3Error('IncompleteBody')
    const length = Number.parseInt(size, 16)
    const data = raw.subarray(at, at + length)
    if (data.length < length) throw new S3Error('IncompleteBody')
    check('PAYLOAD', data, signature)
    if (length === 0) break
    parts.push(data)
    at += length
    if (line() !== '') throw new S3Error('IncompleteBody')
  }
  const small = parts.slice(0, -1).findIndex(part => part.length < leastChunk)
  if (small >= 0) {
    const details = { Chunk: String(small + 1), BadChunkSize: String(parts[small]?.length) }
    throw new S3Error('InvalidChunkSizeError', undefined, details)
  }

  const trailers: Record<string, string> = {}
  let text = ''
  let areSigned = false
  while (at < raw.length) {
    const trailer = line().trim()
    if (trailer === '') continue
    const [, name = '', value = ''] = /^([a-zA-Z0-9-]+):\s*(.*)$/.exec(trailer) ?? []
    if (name === '') throw new S3Error('MalformedTrailerError')
    if (name === 'x-amz-trailer-signature') {
      check('TRAILER', Buffer.from(text), value)
      areSigned = true
      continue
    }
    trailers[name.toLowerCase()] = value
    text += `${name.toLowerCase()}:${value}\n`
  }
  if (signed && text !== '' && !areSigned) throw new S3Error('SignatureDoesNotMatch')
  return { body: Buffer.concat(parts), trailers }
}

import { createHash, createHmac } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { S3Error } from './errors.ts'

export const region = 'us-east-1'

export type Credentials = { accessKeyId: string; secretAccessKey: string }

/** A request as it was signed. */
type Asked = { method: string; path: string; query: [string, string][]; headers: IncomingHttpHeaders }

/** What the signatures of the chunks of a body go on from. */
export type Signed = { signature: string; date: string; scope: string; key: Buffer }

const allowedSkewMs = 15 * 60_000

/** Checks AWS Signature Version 4 in the Authorization header; that it is the body's own hash is for others to see. */
export function verifySignature(asked: Asked, credentials: Credentials, now: number): Signed {
  const { headers } = asked
  const authorization = headers.authorization
  if (authorization === undefined) throw new S3Error('AccessDenied')
  const [, credential = '', names = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? []
  const scope = credential.split('/').slice(-4)
  const [day = '', scopeRegion, service, end] = scope
  if (service !== 's3' || end !== 'aws4_request') throw new S3Error('AuthorizationHeaderMalformed')
  if (scopeRegion !== region) {
    const message = `The authorization header is malformed; the region '${scopeRegion}' is wrong; expecting '${region}'`
    throw new S3Error('AuthorizationHeaderMalformed', message, { Region: region })
  }
  if (credential.slice(0, -scope.join('/').length - 1) !== credentials.accessKeyId)
    throw new S3Error('InvalidAccessKeyId')

  const date = String(headers['x-amz-date'])
  const at = Date.parse(
    date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, (_, ...parts: string[]) => {
      const [year, month, dayOfMonth, hour, minute, second] = parts
      return `${year}-${month}-${dayOfMonth}T${hour}:${minute}:${second}Z`
    }),
  )
  if (Number.isNaN(at))
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
  if (Math.abs(now - at) > allowedSkewMs) {
    const details = { RequestTime: date, ServerTime: new Date(now).toISOString() }
    throw new S3Error('RequestTimeTooSkewed', undefined, details)
  }
  if (!date.startsWith(`${day}T`))
    throw new S3Error('AuthorizationHeaderMalformed', 'Invalid credential date')

  const signedNames = names.split(';')
  const unsigned = Object.keys(headers).filter(name => {
    return (name === 'host' || name.startsWith('x-amz-')) && !signedNames.includes(name)
  })
  if (unsigned.length > 0) {
    const message = 'There were headers present in the request which were not signed'
    throw new S3Error('AccessDenied', message, { HeadersNotSigned: unsigned.join(', ') })
  }

  const canonical = canonicalRequest(asked, signedNames)
  const scopeText = scope.join('/')
  const stringToSign = ['AWS4-HMAC-SHA256', date, scopeText, sha256(canonical)].join('\n')
  const key = scope.reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${credentials.secretAccessKey}`,
  )
  const expected = hmac(key, stringToSign).toString('hex')
  if (expected !== signature) {
    const details = { StringToSign: stringToSign, CanonicalRequest: canonical, SignatureProvided: signature }
    throw new S3Error('SignatureDoesNotMatch', undefined, details)
  }
  return { signature, date, scope: scopeText, key: key as Buffer }
}

function canonicalRequest({ method, path, query, headers }: Asked, signedNames: string[]): string {
  const pairs = query.map(([name, value]) => [encoded(name), encoded(value)] as const)
  pairs.sort(([name, value], [otherName, otherValue]) => {
    return name === otherName ? compare(value, otherValue) : compare(name, otherName)
  })
  const lines = signedNames.map(
    name =>
      `${name}:${String(headers[name] ?? '')
        .trim()
        .replace(/ +/g, ' ')}\n`,
  )
  return [
    method,
    path.split('/').map(encoded).join('/'),
    pairs.map(([name, value]) => `${name}=${value}`).join('&'),
    lines.join(''),
    signedNames.join(';'),
    String(headers['x-amz-content-sha256']),
  ].join('\n')
}

/** The signature of the next chunk of a body, or of its trailers, after the one that has `previous`. */
export function nextSignature(
  signed: Signed,
  previous: string,
  of: 'PAYLOAD' | 'TRAILER',
  data: Buffer,
): string {
  const { date, scope, key } = signed
  const empty = of === 'PAYLOAD' ? [sha256('')] : []
  const lines = [`AWS4-HMAC-SHA256-${of}`, date, scope, previous, ...empty, sha256(data)]
  return hmac(key, lines.join('\n')).toString('hex')
}

/** All but the characters that RFC 3986 leaves as they are. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, character => {
    return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  })
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

export function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

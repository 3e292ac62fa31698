// A double of Amazon S3, written from the API documentation of AWS: no real service, and not taken from one. It does what
// no server at hand can do (checksums, storage classes and restoring, Object Lock, conditional writes) and what no server
// would do on demand (faults). Tests use it beside a real OpenStack Swift, not in its place; what both can do is tested
// against both. What it does not know it refuses (501), so that a test cannot take for done what was only passed over.

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Answer, type Limits, receive } from './asked.ts'
import { deliver, errorAnswer, type Ids, newIds } from './delivery.ts'
import { type ErrorCode, S3Error } from './errors.ts'
import { type ActiveS3Fault, activate, type S3Fault, type S3FaultRule, Turn } from './faults.ts'
import { refuseUnknownHeaders } from './headers.ts'
import { operations } from './operations.ts'
import { type Operation, type Target, targetOf } from './routes.ts'
import { type Credentials, region, verifySignature } from './signature.ts'
import { Bucket, S3Store, type StoredObject, type StoredUpload } from './store.ts'

export type S3DoubleOptions = {
  /** Made where the store has them not; `candlekeep` where not given. */
  buckets?: string[] | undefined
  /** That of an earlier double, to go on with. */
  store?: S3Store | undefined
  /** New buckets have Object Lock, and so keep all versions. */
  objectLock?: boolean | undefined
  /** Its clock; the machine's where not given. */
  now?: (() => number) | undefined
  credentials?: Credentials | undefined
  port?: number | undefined
  /** By its clock, from the request to restore an archived object until it can be read: 0 where not given. */
  restoreMs?: number | undefined
  /** Of all parts of an upload but the last: 5 MiB where not given, as S3 has it. */
  minPartSize?: number | undefined
  faults?: S3FaultRule[] | undefined
}

type RequestRecord = {
  method: string
  operation: Operation | undefined
  bucket: string
  key: string
  query: Record<string, string>
  headers: IncomingHttpHeaders
  /** Of the body as it came. */
  bytes: number
  /** Of the answer; 0 as long as there is none, and where the connection ended before one. */
  status: number
  /** Of an error. */
  code: string | undefined
  /** The faults that befell it. */
  faults: S3Fault['kind'][]
}

export type S3Double = {
  /** Such as `http://127.0.0.1:40123`; it wants buckets in the path. */
  readonly url: string
  readonly region: string
  /** The first of them. */
  readonly bucket: string
  readonly buckets: string[]
  readonly credentials: Credentials
  /** The credentials and the region, for the environment of a command. */
  readonly env: Record<string, string>
  readonly store: S3Store
  /** All requests, in the order of their arrival. */
  readonly requests: RequestRecord[]
  /** The rules at work, each with how often it fired. */
  readonly faults: readonly ActiveS3Fault[]
  /** Puts new rules in place of the old ones, with counters at 0. */
  setFaults(rules: S3FaultRule[]): readonly ActiveS3Fault[]
  /** What a listing would show, with all that is known about it. */
  objects(bucket?: string): StoredObject[]
  /** All versions and delete markers, the newest of each key first. */
  versions(bucket?: string): Bucket['versions']
  /** Multipart uploads that are neither complete nor aborted. */
  uploads(bucket?: string): StoredUpload[]
  /** Ends all connections, also those in the middle of something. */
  close(): Promise<void>
}

export async function startS3Double(options: S3DoubleOptions = {}): Promise<S3Double> {
  const {
    buckets = ['candlekeep'],
    store = new S3Store(),
    objectLock = false,
    now = Date.now,
    port = 0,
  } = options
  const {
    credentials = { accessKeyId: 'AKIADOUBLE0000000000', secretAccessKey: 'double+secret/of/candlekeep' },
  } = options
  const limits: Limits = {
    restoreMs: options.restoreMs ?? 0,
    minPartSize: options.minPartSize ?? 5 * 1024 * 1024,
  }
  for (const name of buckets)
    if (!store.buckets.has(name)) store.buckets.set(name, new Bucket(name, objectLock))
  const closing = new AbortController()
  const requests: RequestRecord[] = []
  let faults = activate(options.faults ?? [])

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const ids = newIds()
    const { target, error } = targetOrError(request)
    const turn = new Turn(faults, target)
    const record = recordOf(request, target, turn)
    requests.push(record)
    const send = (reply: Answer, code?: string) => {
      Object.assign(record, { status: reply.status, code })
      return deliver(response, reply, { turn, ids, now: now(), closing: closing.signal })
    }
    const refuse = (why: S3Error) => send(errorAnswer(why, ids, target.path), why.code)

    const scripted = turn.take('error')
    if (scripted?.early) {
      request.resume()
      await refuse(new S3Error(scripted.code, scripted.message))
      return
    }
    if (turn.take('stall')) return
    const raw = await read(request, turn.take('cutRequest'))
    // the connection has ended: nothing of it counts
    if (!raw) return
    record.bytes = raw.length
    try {
      if (scripted) throw new S3Error(scripted.code, scripted.message)
      if (error) throw error
      const in200 = turn.take('errorIn200')
      const reply = in200 ? errorIn200(in200.code, ids, target) : carryOut(request, raw, target, turn)
      await send(reply, in200?.code)
    } catch (failure) {
      if (!(failure instanceof S3Error)) throw failure
      await refuse(failure)
    }
  }

  const carryOut = (request: IncomingMessage, raw: Buffer, target: Target, turn: Turn): Answer => {
    const { headers, method = '' } = request
    const at = now()
    const signed = verifySignature(
      { method, headers, path: target.path, query: target.query },
      credentials,
      at,
    )
    const { operation, key } = target
    if (!operation) {
      const message = 'The double does not know this operation or one of its parameters.'
      throw new S3Error('NotImplemented', message)
    }
    refuseUnknownHeaders(operation, headers)
    const bucket = store.buckets.get(target.bucket)
    if (!bucket) throw new S3Error('NoSuchBucket', undefined, { BucketName: target.bucket })
    if (Buffer.byteLength(key) > 1024) throw new S3Error('KeyTooLongError')
    const isPut = operation === 'PutObject' || operation === 'UploadPart'
    const hasLength = headers['content-length'] ?? headers['transfer-encoding']
    if (isPut && hasLength === undefined) throw new S3Error('MissingContentLength')
    const received = receive(target, headers, raw, signed, turn)
    const query = new Map(target.query)
    return operations[operation]({
      operation,
      bucket,
      key,
      query,
      headers,
      ...received,
      turn,
      now: at,
      limits,
    })
  }

  // An idle connection that the server ends, or a slow one that it gives up, would look like a fault to a client.
  const server = createServer({ keepAliveTimeout: 300_000, requestTimeout: 0 }, (request, response) => {
    handle(request, response).catch((failure: unknown) => {
      // A failure of the double itself must not pass for one of its faults.
      process.emitWarning(
        `The S3 double failed: ${failure instanceof Error ? failure.stack : String(failure)}`,
      )
      response.destroy()
    })
  })
  await once(server.listen(port, '127.0.0.1'), 'listening')

  const named = (name = buckets[0] ?? '') => {
    const found = store.buckets.get(name)
    if (!found) throw new Error(`The S3 double has no bucket ${name}`)
    return found
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region,
    bucket: buckets[0] ?? '',
    buckets,
    credentials,
    env: {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: region,
    },
    store,
    requests,
    get faults() {
      return faults
    },
    setFaults(rules) {
      faults = activate(rules)
      return faults
    },
    objects: name => named(name).objects,
    versions: name => named(name).versions,
    uploads: name => [...named(name).uploads.values()],
    async close() {
      closing.abort()
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

function targetOrError(request: IncomingMessage): { target: Target; error?: S3Error } {
  try {
    return { target: targetOf(request.method ?? 'GET', request.url ?? '/') }
  } catch (error) {
    if (!(error instanceof S3Error)) throw error
    return {
      target: { operation: undefined, bucket: '', key: '', path: request.url ?? '/', query: [] },
      error,
    }
  }
}

function recordOf({ method = 'GET', headers }: IncomingMessage, target: Target, turn: Turn): RequestRecord {
  const { operation, bucket, key, query } = target
  const about = { method, operation, bucket, key, query: Object.fromEntries(query), headers }
  return { ...about, bytes: 0, status: 0, code: undefined, faults: turn.happened }
}

/** The whole body of a request; undefined where its connection ended before, be it by a fault. */
async function read(
  request: IncomingMessage,
  cut: Extract<S3Fault, { kind: 'cutRequest' }> | undefined,
): Promise<Buffer | undefined> {
  const { headers } = request
  const length = Number(headers['x-amz-decoded-content-length'] ?? headers['content-length'] ?? 0)
  const most = cut ? (cut.after ?? length >> 1) : Infinity
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      parts.push(part)
      bytes += part.length
      if (bytes >= most) break
    }
  } catch {
    return undefined
  }
  if (!cut) return Buffer.concat(parts)
  request.socket.destroy()
  return undefined
}

function errorIn200(code: ErrorCode, ids: Ids, target: Target): Answer {
  return { ...errorAnswer(new S3Error(code), ids, target.path), status: 200 }
}

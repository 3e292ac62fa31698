import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, answer } from './asked.ts'
import type { S3Error } from './errors.ts'
import type { Turn } from './faults.ts'
import { errorDocument } from './xml.ts'

/** The ids that S3 gives each request, for its support. */
export type Ids = { requestId: string; hostId: string }

export function newIds(): Ids {
  return {
    requestId: randomBytes(8).toString('hex').toUpperCase(),
    hostId: randomBytes(32).toString('base64'),
  }
}

export function errorAnswer(error: S3Error, ids: Ids, resource: string): Answer {
  const body = errorDocument({
    Code: error.code,
    Message: error.message,
    ...error.details,
    Resource: resource,
    RequestId: ids.requestId,
    HostId: ids.hostId,
  })
  return answer(error.status, error.headers, body)
}

/** Sends it, with what befalls it on its way; `closing` ends all waiting. */
export async function deliver(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { turn, ids, now, closing }: { turn: Turn; ids: Ids; now: number; closing: AbortSignal },
): Promise<void> {
  const late = turn.take('late')
  if (late) await delay(late.ms, undefined, { signal: closing }).catch(() => undefined)
  if (closing.aborted || response.destroyed) return
  if (turn.take('loseAnswer')) {
    response.destroy()
    return
  }
  const hasBody = response.req.method !== 'HEAD' && status !== 204 && status !== 304
  const length: Record<string, string> = hasBody ? { 'content-length': String(body.length) } : {}
  const own = {
    'x-amz-request-id': ids.requestId,
    'x-amz-id-2': ids.hostId,
    date: new Date(now).toUTCString(),
  }
  const isCut = turn.take('cutAnswer') !== undefined
  if (!isCut && !turn.take('stallAnswer')) {
    response.writeHead(status, { ...own, ...headers, ...length }).end(hasBody ? body : undefined)
    return
  }
  if (hasBody && body.length > 0) {
    response.writeHead(status, { ...own, ...headers, ...length })
    await new Promise<void>(resolve => response.write(body.subarray(0, body.length >> 1), () => resolve()))
  }
  if (isCut) response.destroy()
}

import type { ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Fault } from './faults.ts'
import { namedAnswer } from './named_answers.ts'
import { htmlReply, jsonReply, type Reply } from './reply.ts'
import { rowMutations } from './row_mutations.ts'

/** A reply and what happens on its way. */
export type Delivery = {
  reply: Reply
  /** The connection ends before the answer, or in mid-body. */
  cut?: 'start' | 'body'
  stall?: { ms: number; where: 'start' | 'body' }
}

/** The true reply spoilt by the fault; undefined where the fault has nothing to bite on (rows in an error answer). */
export function spoil(fault: Fault, reply: Reply, now: number): Delivery | undefined {
  switch (fault.kind) {
    case 'status':
      return { reply: statusReply(fault) }
    case 'named':
      return { reply: namedAnswer(fault.name, { now, retryAfter: fault.retryAfter ?? 1 }) }
    case 'html200':
      return { reply: namedAnswer('html-200') }
    case 'object200':
      return { reply: namedAnswer('odd-envelope') }
    case 'null200':
      return { reply: jsonReply(null) }
    case 'truncated200':
      return { reply: { ...reply, status: 200, body: reply.body.slice(0, reply.body.length >> 1) } }
    case 'emptyPage':
      return reply.rows && { reply: jsonReply([]) }
    case 'rows':
      return spoilRows(fault.mutate, reply)
    case 'clockOffset':
      return spoilClock(fault.ms, reply)
    case 'cut':
      return { reply, cut: 'body' }
    case 'refuse':
      return { reply, cut: 'start' }
    case 'stall':
      return { reply, stall: { ms: fault.ms, where: fault.where ?? 'start' } }
    default:
      return fault satisfies never
  }
}

function statusReply({ status, headers, json, text }: Extract<Fault, { kind: 'status' }>): Reply {
  const reply = text === undefined ? jsonReply(json ?? {}, status) : htmlReply(status, text)
  return { ...reply, headers: { ...reply.headers, ...headers } }
}

function spoilRows(mutate: Extract<Fault, { kind: 'rows' }>['mutate'], reply: Reply): Delivery | undefined {
  if (!reply.rows) return undefined
  const change = typeof mutate === 'string' ? rowMutations[mutate] : mutate
  const changed = change(reply.rows)
  return changed === reply.rows ? undefined : { reply: jsonReply(changed) }
}

function spoilClock(ms: number, reply: Reply): Delivery | undefined {
  const body = reply.body.replace(/"serverTime":(\d+)/, (_, time) => `"serverTime":${Number(time) + ms}`)
  return body === reply.body ? undefined : { reply: { ...reply, body } }
}

/** Sends it, with real delays; `closing` ends the waiting. */
export async function deliver(
  response: ServerResponse,
  { reply, cut, stall }: Delivery,
  latencyMs: number,
  closing: AbortSignal,
): Promise<void> {
  const wait = (ms: number) => delay(ms, undefined, { signal: closing }).catch(() => undefined)
  const before = latencyMs + (stall?.where === 'start' ? stall.ms : 0)
  if (before > 0) await wait(before)
  if (closing.aborted || response.destroyed) return
  if (cut === 'start') {
    response.destroy()
    return
  }
  const body = Buffer.from(reply.body)
  response.writeHead(reply.status, { ...reply.headers, 'Content-Length': body.length })
  if (cut === undefined && stall?.where !== 'body') {
    response.end(body)
    return
  }
  const half = body.length >> 1
  await new Promise<void>(resolve => response.write(body.subarray(0, half), () => resolve()))
  if (cut) response.destroy()
  else if (stall) {
    await wait(stall.ms)
    if (!response.destroyed) response.end(body.subarray(half))
  }
}

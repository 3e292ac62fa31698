import { formingAt } from './forming.ts'
import { namedAnswer } from './named_answers.ts'
import { errorReply, klinesReply, type Reply } from './reply.ts'
import type { CandleSource, Interval } from './source.ts'

const defaultLimit = 500
const highestLimit = 1500

/** The `limit` that a request's weight is counted by. */
export function limitOf(params: URLSearchParams): number {
  return Number(params.get('limit') || defaultLimit)
}

/**
 * Binance futures REST, `/fapi/v1/klines`: startTime and endTime are inclusive on the open time; with startTime the
 * rows begin there, without it they are the newest; the candle that is forming at `now` is among them.
 */
export function klines(source: CandleSource, params: URLSearchParams, now: number): Reply {
  const symbol = params.get('symbol')
  const interval = params.get('interval')
  if (!symbol) return missing('symbol')
  if (!interval) return missing('interval')
  for (const name of ['startTime', 'endTime', 'limit']) {
    if (!/^[0-9]{0,20}$/.test(params.get(name) ?? '')) return illegal(name)
  }
  const limit = limitOf(params)
  if (limit < 1 || limit > highestLimit) {
    return errorReply(400, -1130, "Data sent for parameter 'limit' is not valid.")
  }
  if (!source.has(symbol)) return namedAnswer('bad-symbol')
  if (!isOneOf(source.intervals, interval)) return namedAnswer('bad-interval')
  const from = timeOf(params, 'startTime')
  const until = timeOf(params, 'endTime')
  if (from !== undefined && until !== undefined && from > until) {
    return errorReply(400, -1023, 'Start time is greater than end time.')
  }
  const rows = source.candles(symbol, interval, { from, to: Math.min(until ?? now, now), limit })
  const last = rows.at(-1)
  return klinesReply(last && now <= last[6] ? [...rows.slice(0, -1), formingAt(last, now)] : rows)
}

function timeOf(params: URLSearchParams, name: string): number | undefined {
  const text = params.get(name)
  return text ? Number(text) : undefined
}

function isOneOf(intervals: readonly Interval[], text: string): text is Interval {
  return (intervals as readonly string[]).includes(text)
}

function missing(name: string): Reply {
  return errorReply(400, -1102, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`)
}

function illegal(name: string): Reply {
  return errorReply(
    400,
    -1100,
    `Illegal characters found in parameter '${name}'; legal range is '^[0-9]{1,20}$'.`,
  )
}

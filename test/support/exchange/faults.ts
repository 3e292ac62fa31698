import type { AnswerName } from './named_answers.ts'
import type { RowMutation, RowMutationName } from './row_mutations.ts'

/** What can go wrong with one request. All but a `rows` function can be written as JSON. */
export type Fault =
  /** Any answer: `json` or `text` is its body. */
  | { kind: 'status'; status: number; headers?: Record<string, string>; json?: unknown; text?: string }
  /** One of the answers seen from Binance; `retryAfter` in seconds (default 1) where it has such a header. */
  | { kind: 'named'; name: AnswerName; retryAfter?: number }
  | { kind: 'html200' }
  /** The true body cut off in the middle, otherwise a sound answer with status 200. */
  | { kind: 'truncated200' }
  | { kind: 'object200' }
  | { kind: 'null200' }
  /** Klines: no rows. */
  | { kind: 'emptyPage' }
  /** The connection ends in the middle of the body, after headers with the full content-length. */
  | { kind: 'cut' }
  /** The connection ends before any answer. */
  | { kind: 'refuse' }
  /** Silence for `ms` real milliseconds, before the headers or in mid-body; then the true answer goes on. */
  | { kind: 'stall'; ms: number; where?: 'start' | 'body' }
  /** Klines: rows spoilt by a function, or by a named one of `rowMutations`. */
  | { kind: 'rows'; mutate: RowMutation | RowMutationName }
  /** The server's clock is off by `ms`, as told by `time` and `exchangeInfo`. */
  | { kind: 'clockOffset'; ms: number }

/** Which requests. What is left out matches all. */
type When = {
  /** Last part of the path: `klines`, `time`, `exchangeInfo`, `ping`. */
  path?: string
  symbol?: string
  /** The request's startTime, both ends inclusive; requests without one do not match. */
  startTime?: { from?: number; to?: number }
  /** From the nth matching request on, counted from 1. */
  nth?: number
  /** Of those, only each `every`th. */
  every?: number
  /** How often at most: once where `nth` is given, else without end. */
  times?: number
}

export type FaultRule = { when?: When; do: Fault }

/** A rule at work. */
export type ActiveRule = FaultRule & {
  /** Matching requests so far. */
  seen: number
  /** How often the fault really happened to an answer. */
  fired: number
}

type Asked = { path: string; symbol: string | undefined; startTime: number | undefined }

export function activate(rules: FaultRule[]): ActiveRule[] {
  return rules.map(rule => ({ ...rule, seen: 0, fired: 0 }))
}

/** Counts the request with each rule that it matches and gives those whose turn it is, in order. */
export function rulesFor(rules: ActiveRule[], asked: Asked): ActiveRule[] {
  return rules.filter(rule => {
    if (!matches(rule.when ?? {}, asked)) return false
    rule.seen++
    const { nth = 1, every = 1, times = rule.when?.nth === undefined ? Infinity : 1 } = rule.when ?? {}
    return rule.seen >= nth && (rule.seen - nth) % every === 0 && rule.fired < times
  })
}

function matches({ path, symbol, startTime }: When, asked: Asked): boolean {
  if (path !== undefined && path !== asked.path) return false
  if (symbol !== undefined && symbol !== asked.symbol) return false
  if (startTime === undefined) return true
  const { from = -Infinity, to = Infinity } = startTime
  return asked.startTime !== undefined && asked.startTime >= from && asked.startTime <= to
}

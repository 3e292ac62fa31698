import { codeOf, messageOf, UserError } from '../job/errors.ts'
import type { Answer } from './http.ts'

/** What a request can fail of, and so what is done about it. */
export type FailureKind =
  /** No answer in time, or the connection was cut or refused. */
  | 'timeout'
  /** 429: too many requests. */
  | 'rate_limit'
  /** 418: this address is banned. */
  | 'ban'
  /** 5xx, overload, or an answer that is not what was asked for. */
  | 'server_error'
  /** 403, 451: this address, or its country, is refused. */
  | 'refused'
  /** The exchange says that the request is wrong (unknown symbol, unknown interval). */
  | 'rejected'

/** What a person can do about each, where it ends the whole run. */
const hints: Record<FailureKind, string> = {
  timeout: 'Check the network of this machine; the next run makes up for this one.',
  rate_limit: 'See what else asks the exchange from this address; the next run makes up for this one.',
  ban: 'Nothing is asked until it ends; see what else asks the exchange from this address.',
  server_error: 'The exchange has a problem of its own; the next run makes up for this one.',
  refused: 'The exchange does not serve this address: check where this machine stands, and its proxy.',
  rejected: 'Check the symbols (npx zx scripts/symbols.mts) and the interval.',
}

/** A request that failed, with everything that decides what happens next. */
export class ExchangeFailure extends UserError {
  override name = 'ExchangeFailure'
  readonly kind: FailureKind
  /** HTTP status of the answer; 0 where none came. */
  readonly httpStatus: number
  /** Milliseconds to wait, where the exchange said so. */
  readonly retryAfter: number | undefined

  constructor(kind: FailureKind, message: string, httpStatus = 0, retryAfter?: number) {
    super(message, { hint: hints[kind] })
    this.kind = kind
    this.httpStatus = httpStatus
    this.retryAfter = retryAfter
  }
}

/** Binance futures REST, error codes: the server could not do it now, asking again is right. */
const serverCodes = new Set([-1000, -1001, -1006, -1007, -1008, -1016])

/**
 * What an answer means: undefined where it is a success. By the HTTP status first and Binance's own code second,
 * since ccxt folds a geo-block, an outage and a missing page into one error.
 */
export function failureIn({ status, headers, body }: Answer): ExchangeFailure | undefined {
  const { code, msg } = errorBody(body)
  const said = msg === undefined ? plainText(body) : `${code} ${msg}`
  const failure = (kind: FailureKind, text: string, wait?: number) =>
    new ExchangeFailure(kind, `${text}${said === '' ? '' : `: ${said}`}`, status, wait)

  if (status === 418) return failure('ban', 'this address is banned (418)', banLength(headers, body))
  if (status === 429 || code === -1003)
    return failure('rate_limit', 'too many requests (429)', waitAsked(headers))
  if (status === 451) return failure('refused', 'refused where this server stands (451)')
  if (status === 403) return failure('refused', 'refused to this address (403)')
  if (status >= 500 || status === 408 || (code !== undefined && serverCodes.has(code))) {
    return failure('server_error', `server error (${status})`)
  }
  if (status >= 400) return failure('rejected', `rejected (${status})`)
  return status >= 300 ? failure('server_error', `redirected (${status})`) : undefined
}

/** What a transport error means: whatever the connection failed of, asking again may help. */
export function transportFailure(error: unknown, timeoutMs: number): ExchangeFailure {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new ExchangeFailure('timeout', `no answer within ${timeoutMs / 1000} s`)
  }
  return new ExchangeFailure('timeout', `the connection failed (${codeOf(error) || messageOf(error)})`)
}

function errorBody(body: string): { code?: number; msg?: string } {
  try {
    const { code, msg } = JSON.parse(body) as { code?: unknown; msg?: unknown }
    return { ...(typeof code === 'number' ? { code } : {}), ...(typeof msg === 'string' ? { msg } : {}) }
  } catch {
    return {}
  }
}

/** The beginning of a body that is not Binance's own error, without markup, for a message. */
function plainText(body: string): string {
  const text = body.replace(/<!--.*?-->|<[^>]*>/gs, ' ').replace(/\s+/g, ' ')
  return text.trim().slice(0, 80)
}

/** `Retry-After`, in milliseconds; undefined where it is not a number of seconds: none, or 0, is no wait at all. */
function waitAsked(headers: Answer['headers']): number | undefined {
  const seconds = headers.get('retry-after') ?? ''
  return /^[1-9]\d{0,8}$/.test(seconds) ? Number(seconds) * 1000 : undefined
}

/** How long a ban lasts; one without an end is taken for the shortest that Binance gives, two minutes. */
function banLength(headers: Answer['headers'], body: string): number {
  const until = Number(/banned until (\d{13})/.exec(body)?.[1] ?? Number.NaN)
  const sent = Date.parse(headers.get('date') ?? '')
  const left = until - (Number.isNaN(sent) ? Date.now() : sent)
  return waitAsked(headers) ?? (left > 0 ? left : 120_000)
}

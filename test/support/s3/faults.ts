import type { ErrorCode } from './errors.ts'
import type { Operation } from './routes.ts'

/** What can go wrong with one request. */
export type S3Fault =
  /** An error instead of anything else; with `early`, it comes before the request's body has been read. */
  | { kind: 'error'; code: ErrorCode; message?: string; early?: boolean }
  /** Status 200 with an error in its body, as S3 has it for CompleteMultipartUpload; nothing is carried out. */
  | { kind: 'errorIn200'; code: ErrorCode }
  /** The connection ends after so many bytes of the request's body (half of them where not given). */
  | { kind: 'cutRequest'; after?: number }
  /** It is carried out, but the connection ends in the middle of the answer's body; before it where it has none. */
  | { kind: 'cutAnswer' }
  /** It is carried out, but the connection ends before the answer. */
  | { kind: 'loseAnswer' }
  /** No answer, ever: the request's body is not read and nothing is carried out. */
  | { kind: 'stall' }
  /** It is carried out, and half of the answer's body comes (nothing where it has none), and then no more, ever. */
  | { kind: 'stallAnswer' }
  /** It is carried out and answered `ms` real milliseconds later. */
  | { kind: 'late'; ms: number }
  /**
   * Only the first `keep` bytes (half of them where not given) are stored, and the answer is 200. ETag and checksum are
   * those of what is `stored`, or with `sent` those of what should be there; those of a multipart upload stay those of its
   * parts.
   */
  | { kind: 'truncateStored'; keep?: number; tells?: 'stored' | 'sent' }
  /** A bit of what is stored is another than what was sent; ETag and checksum are right. */
  | { kind: 'flipStored'; at?: number }
  /** A bit of an answer with an object is another than what is stored. */
  | { kind: 'flipAnswer'; at?: number }
  /** As an old service: `x-amz-checksum-` headers and trailers are neither heeded, kept nor told. */
  | { kind: 'ignoreChecksums' }
  /** As Swift: If-None-Match gets 501. */
  | { kind: 'refuseIfNoneMatch' }
  /** As a service that does not know `aws-chunked`: its framing is stored as part of the object. */
  | { kind: 'keepFraming' }

type Kind = S3Fault['kind']

/** Which requests. What is left out matches all. */
type When = {
  operation?: Operation | Operation[]
  bucket?: string
  /** The whole key, or a pattern. Requests about a bucket have the key ''. */
  key?: string | RegExp
  /** From the nth matching request on, counted from 1. */
  nth?: number
  /** Of those, only each `every`th. */
  every?: number
  /** How often at most: once where `nth` is given, else without end. */
  times?: number
}

export type S3FaultRule = { when?: When; do: S3Fault }

/** A rule at work. */
export type ActiveS3Fault = S3FaultRule & {
  /** Matching requests so far. */
  seen: number
  /** How often the fault really happened. */
  fired: number
}

export function activate(rules: S3FaultRule[]): ActiveS3Fault[] {
  return rules.map(rule => ({ ...rule, seen: 0, fired: 0 }))
}

type Asked = { operation: Operation | undefined; bucket: string; key: string }

/** The faults that one request may meet. Several of different kinds can befall it. */
export class Turn {
  /** Those that did. */
  readonly happened: Kind[] = []
  readonly #rules: ActiveS3Fault[]

  /** Counts the request with each rule that it matches. */
  constructor(rules: readonly ActiveS3Fault[], asked: Asked) {
    this.#rules = rules.filter(rule => {
      if (!matches(rule.when ?? {}, asked)) return false
      rule.seen++
      const { nth = 1, every = 1 } = rule.when ?? {}
      return rule.seen >= nth && (rule.seen - nth) % every === 0
    })
  }

  /** The fault of that kind, if there is one: it counts as happened. */
  take<K extends Kind>(kind: K): Extract<S3Fault, { kind: K }> | undefined {
    const rule = this.#rules.find(({ when, do: fault, fired }) => {
      return fault.kind === kind && fired < (when?.times ?? (when?.nth === undefined ? Infinity : 1))
    })
    if (!rule) return undefined
    rule.fired++
    this.happened.push(kind)
    return rule.do as Extract<S3Fault, { kind: K }>
  }
}

function matches({ operation, bucket, key }: When, asked: Asked): boolean {
  if (operation !== undefined && !([operation].flat() as (string | undefined)[]).includes(asked.operation))
    return false
  if (bucket !== undefined && bucket !== asked.bucket) return false
  return key === undefined || (typeof key === 'string' ? key === asked.key : key.test(asked.key))
}

/** A copy with one bit changed, in the middle where it is not said at which byte. */
export function flipped(data: Buffer, at = data.length >> 1): Buffer {
  const copy = Buffer.from(data)
  if (at < copy.length) copy[at] = (copy[at] as number) ^ 1
  return copy
}

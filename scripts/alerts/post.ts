import { isLoopback } from '../job/clock.ts'
import { codeOf } from '../job/errors.ts'
import { second } from '../job/time.ts'

/**
 * Whether a message has arrived. `why` is for the log: never an address or an error's own text, which can have a
 * secret in it. `again`: it may help to try again soon, after `afterMs` where the other side has said so.
 */
export type Verdict =
  | { sent: true; but?: string }
  | { sent: false; why: string; again: boolean; afterMs?: number }

/** What an answer says; whether to try again is told by its status. */
type Judge = (status: number, text: string) => { sent: true } | { sent: false; why: string }

/** Posts JSON, once. Redirects are not followed: the message and its secret are for the named address only. */
export async function post(url: string, body: object, signal: AbortSignal, judge: Judge): Promise<Verdict> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'manual',
      signal,
    })
    const verdict = judge(answer.status, await beginning(answer))
    if (verdict.sent) return verdict
    const afterMs = retryAfter(answer.headers.get('retry-after'))
    const again = answer.status === 429 || answer.status >= 500
    return { ...verdict, again, ...(again && afterMs !== undefined ? { afterMs } : {}) }
  } catch (error) {
    return { sent: false, why: unreachable(error), again: true }
  }
}

const mostText = 4096

/** The beginning of an answer's text, whatever its length. */
async function beginning(answer: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const part of answer.body ?? []) {
    text += decoder.decode(part as Uint8Array, { stream: true })
    if (text.length > mostText) break
  }
  return text.slice(0, mostText).trim()
}

/** `Retry-After` in milliseconds, where it is a number of seconds (RFC 9110, 10.2.3; a date is not used here). */
function retryAfter(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) * second : undefined
}

/** Why there was no answer. */
function unreachable(error: unknown): string {
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError'))
    return 'no answer in time'
  const code = error instanceof Error ? codeOf(error.cause) : ''
  return /^[A-Z][A-Z0-9_]*$/.test(code) ? code : 'it cannot be reached'
}

/** Whether a secret may be sent there: by TLS, or to a server on this machine. */
export function isSafeAddress(url: string): boolean {
  const { protocol, username } = URL.parse(url) ?? {}
  return username === '' && (protocol === 'https:' || (protocol === 'http:' && isLoopback(url)))
}

import { hostname } from 'node:os'
import { codeOf } from './errors.ts'
import type { Log } from './log.ts'
import { readSecret } from './secret.ts'

/** Pings a dead man's switch: the run has started; the run has ended with an exit status (0 is success). */
export type Heartbeat = { started(): void; ended(exitStatus: number, text: string): Promise<void> }

const budgetMs = 10_000

/**
 * Pings in the healthchecks.io form: `URL/start`, then `URL/EXIT_STATUS` with the report as its body, both with a
 * run id. All pings of a run together take at most ten seconds, and one that fails is a line in the log.
 */
export function openHeartbeat(urlVariable: string, log: Log): Heartbeat {
  const { secret: url, problem } = readSecret(urlVariable)
  if (problem !== undefined) log.warn(`no heartbeat: ${problem}`)
  const run = crypto.randomUUID()
  let left = budgetMs
  let start: Promise<void> = Promise.resolve()

  async function ping(path: string, body: string): Promise<void> {
    if (url === undefined || left <= 0) return
    const began = performance.now()
    try {
      const address = `${url.reveal().replace(/\/$/, '')}/${path}?rid=${run}`
      const answer = await fetch(address, {
        method: 'POST',
        body,
        signal: AbortSignal.timeout(Math.ceil(left)),
      })
      await answer.body?.cancel()
      if (!answer.ok) log.warn(`heartbeat ${path} was refused: status ${answer.status}`)
    } catch (error) {
      log.warn(`heartbeat ${path} did not arrive: ${reason(error)}`)
    } finally {
      left -= performance.now() - began
    }
  }
  return {
    started() {
      start = ping('start', hostname())
    },
    async ended(exitStatus, text) {
      await start
      await ping(String(exitStatus), text)
    },
  }
}

/** Why a request failed. No error's own text: it can have the address in it, which is a secret. */
function reason(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'no answer in time'
  const code = error instanceof Error ? codeOf(error.cause) : ''
  return code === '' ? 'its address cannot be used' : code
}

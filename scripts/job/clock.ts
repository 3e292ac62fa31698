import { setTimeout as delay } from 'node:timers/promises'
import { UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'

/** Time as a run sees it. Waits end early, by throwing the signal's reason, when the signal is aborted. */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** A clock that runs as the machine's does, `offset` milliseconds away from it. */
function shiftedClock(offset: number): Clock {
  return {
    now: () => Date.now() + offset,
    async sleep(ms, signal) {
      signal.throwIfAborted()
      try {
        await delay(ms, undefined, { signal })
      } catch {
        signal.throwIfAborted()
      }
    },
  }
}

/**
 * The machine's clock; or, for the demo and for tests, one that starts at `CANDLEKEEP_NOW`. Candles that a wrong
 * clock lets in would be half-formed, so a made-up time is only accepted together with an exchange on this machine.
 */
export function clockFor(exchangeUrl: string | null): Clock {
  const start = process.env.CANDLEKEEP_NOW
  if (start === undefined || start === '') return shiftedClock(0)
  const at = Date.parse(start)
  if (Number.isNaN(at)) {
    throw new UserError(`CANDLEKEEP_NOW=${start} is not a time`, { status: exitStatus.configuration })
  }
  if (exchangeUrl === null || !isLoopback(exchangeUrl)) {
    throw new UserError('CANDLEKEEP_NOW is set, but the exchange is a real one', {
      hint: 'A made-up time is for the demo and for tests: unset CANDLEKEEP_NOW.',
      status: exitStatus.configuration,
    })
  }
  return shiftedClock(at - Date.now())
}

/** Whether an address is one on this machine. */
export function isLoopback(url: string): boolean {
  return ['127.0.0.1', 'localhost', '[::1]'].includes(URL.parse(url)?.hostname ?? '')
}

import { Stopped } from './errors.ts'
import { formatDuration, second } from './time.ts'

const graceMs = 5 * second

export type Stopping = { signal: AbortSignal; end(): void }

/**
 * A signal that is aborted at the deadline (a `Stopped`, exit status 124) and on SIGINT and SIGTERM (130). A run that
 * does not stop within five seconds of that, or is interrupted twice, is ended by force through `kill`.
 */
export function whenToStop(deadlineMs: number, kill: (reason: Stopped) => void): Stopping {
  const controller = new AbortController()
  let force: NodeJS.Timeout | undefined

  const stop = (reason: Stopped) => {
    // what stopped it first is what is recorded
    if (controller.signal.aborted) return kill(controller.signal.reason as Stopped)
    controller.abort(reason)
    force = setTimeout(() => kill(reason), graceMs)
  }
  const interrupted = (name: string) => stop(new Stopped('interrupted', `interrupted by ${name}`))
  const passed = () =>
    stop(new Stopped('deadline', `the deadline of ${formatDuration(deadlineMs)} has passed`))

  // a timer longer than 2^31 ms would fire at once
  const deadline = setTimeout(passed, Math.min(deadlineMs, 2 ** 31 - 1))
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  return {
    signal: controller.signal,
    end() {
      clearTimeout(deadline)
      clearTimeout(force)
      process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
    },
  }
}

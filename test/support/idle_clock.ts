import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Test } from 'tap'
import type { Clock } from '../../scripts/job/clock.ts'

/** A clock that can be set: `ReplayClock` with rate 0. */
type Settable = { now(): number; set(time: number): void }

type Sleeper = { until: number; wake: () => void }

/** Turns of the event loop without a request under way after which everybody is taken to be asleep. */
const idleTurns = 50

/**
 * Time that only passes when everybody sleeps: a client in this process that waits for a minute gets it at once, as
 * soon as no HTTP request is under way, and the exchange's clock moves along. However slow the machine is, the same
 * thing happens. `busy` says that another part of the test is still at work.
 */
export function idleClock(test: Test, clock: Settable, busy: () => boolean = () => false): Clock {
  const sleepers: Sleeper[] = []
  let underWay = 0
  let watching = false
  const begun = () => void underWay++
  const over = () => void underWay--
  const channels: [string, () => void][] = [
    ['http.client.request.start', begun],
    ['http.client.request.error', over],
    ['http.client.response.finish', over],
  ]
  for (const [name, listener] of channels) subscribe(name, listener)
  test.teardown(() => channels.forEach(([name, listener]) => unsubscribe(name, listener)))

  async function watch(): Promise<void> {
    watching = true
    while (sleepers.length > 0) {
      const count = sleepers.length
      let idle = 0
      while (idle < idleTurns && sleepers.length === count) {
        await new Promise(resolve => setImmediate(resolve))
        idle = underWay > 0 || busy() ? 0 : idle + 1
      }
      if (sleepers.length !== count) continue
      sleepers.sort((a, b) => a.until - b.until)
      const first = sleepers.shift() as Sleeper
      clock.set(Math.max(clock.now(), first.until))
      first.wake()
    }
    watching = false
  }

  return {
    now: () => clock.now(),
    async sleep(ms, signal) {
      signal.throwIfAborted()
      await new Promise<void>(wake => {
        sleepers.push({ until: clock.now() + ms, wake })
        if (!watching) void watch()
      })
      signal.throwIfAborted()
    },
  }
}

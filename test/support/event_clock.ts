import type { Clock } from '../../scripts/job/clock.ts'

type Event = { at: number; order: number; act: () => void }

/** More than any test has: time that never comes to an end would hang without a word. */
const mostEvents = 2_000_000

/**
 * Time that goes from one event to the next: nothing waits in earnest. `run` carries out what is due in order of time,
 * and lets everything that follows from it settle before it goes on.
 */
export class EventClock implements Clock {
  #now: number
  #order = 0
  #events: Event[] = []

  constructor(at: number) {
    this.#now = at
  }

  now(): number {
    return this.#now
  }

  /** Carries `act` out at `time`; the result takes it back. */
  at(time: number, act: () => void): () => void {
    const event = { at: Math.max(time, this.#now), order: this.#order++, act }
    this.#push(event)
    return () => {
      event.act = () => undefined
    }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error)
      const abort = () => {
        cancel()
        reject(signal?.reason as Error)
      }
      const cancel = this.at(this.#now + ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /** Lets time pass until nothing is due any more, or up to `until`. */
  async run(until = Number.POSITIVE_INFINITY): Promise<void> {
    let count = 0
    await settled()
    for (let next = this.#events[0]; next !== undefined && next.at <= until; next = this.#events[0]) {
      if (++count > mostEvents) throw new Error(`no end after ${mostEvents} events`)
      this.#pop()
      this.#now = next.at
      next.act()
      await settled()
    }
    if (Number.isFinite(until)) this.#now = Math.max(this.#now, until)
  }

  // a heap: a list kept in order would be too slow for the many waits of a run

  #push(event: Event): void {
    const heap = this.#events
    let i = heap.push(event) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(event, heap[parent] as Event)) break
      heap[i] = heap[parent] as Event
      i = parent
    }
    heap[i] = event
  }

  #pop(): void {
    const heap = this.#events
    const event = heap.pop() as Event
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!isBefore(heap[child] as Event, event)) break
      heap[i] = heap[child] as Event
      i = child
    }
    heap[i] = event
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** Resolves when every promise that was ready, and what followed from it, has been seen to. */
function settled(): Promise<void> {
  return new Promise(resolve => process.nextTick(resolve))
}

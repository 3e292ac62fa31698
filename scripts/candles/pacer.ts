import type { Clock } from '../job/clock.ts'
import { formatTime, minute } from '../job/time.ts'
import { ExchangeFailure } from './failure.ts'

/** A request of ours: its weight and when it was under way, on the exchange's clock. */
type Spent = { weight: number; sent: number; answered: number | undefined }

/**
 * What the exchange said it has counted for this address, ours and others', when it counted a request that was `sent`
 * then. A late answer may tell of the minute in which it was asked: taken for the next minute's, it would stop us there.
 */
type Counted = { sent: number; used: number }

/** Called when a request is over, with the weight that the exchange says is used; undefined where it did not say. */
type Settle = (used: number | undefined) => void

/** The weight that we may spend: Binance counts by address, in minutes of its own clock. */
export type WeightLimits = {
  /** What the address has a minute, from `rateLimits` of exchangeInfo. */
  limit: number
  /** Share of the limit that is ours to spend. */
  budgetRatio: number
}

/**
 * How far the exchange's clock may be from what we take it for, at the least. A request within this of a minute's end may be
 * counted in either minute, so it is charged to both.
 */
const leastUncertainty = 250

/** Of the limit, what is left free for another client's requests that we have not heard of yet. */
const headroom = 0.05

/** Keeps our requests within our share of the weight, and the address as a whole within its limit. */
export class WeightPacer {
  #clock: Clock
  #limits: WeightLimits
  /** Exchange's clock minus ours, in milliseconds. */
  #offset = 0
  #uncertainty = leastUncertainty
  #spent: Spent[] = []
  #counted: Counted = { sent: 0, used: 0 }
  #pausedUntil = 0
  #onWait: (text: string) => void

  constructor(clock: Clock, limits: WeightLimits, onWait: (text: string) => void) {
    this.#clock = clock
    this.#limits = limits
    this.#onWait = onWait
  }

  /**
   * Takes over what the exchange itself said: its clock, to within `error` milliseconds (half of the time that the
   * answer took), and its limit.
   */
  learn({ serverTime, error = 0, limit }: { serverTime?: number; error?: number; limit?: number }): void {
    if (serverTime !== undefined) {
      this.#setOffset(serverTime - this.#clock.now())
      this.#uncertainty = Math.max(leastUncertainty, error + leastUncertainty / 2)
    }
    if (limit !== undefined) this.#limits = { ...this.#limits, limit }
  }

  /** Lets no request go before `time` (our clock). */
  pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time)
  }

  /**
   * Waits until `weight` may be spent, and charges it. Call the result when the answer is there, with the used
   * weight that its headers name. Throws an ExchangeFailure where the wait would not end before `giveUpAt`.
   */
  async take(weight: number, giveUpAt: number, signal: AbortSignal): Promise<Settle> {
    for (;;) {
      signal.throwIfAborted()
      const now = this.#clock.now()
      const free = Math.max(this.#pausedUntil, this.#whenFree(weight, now))
      if (free <= now) break
      if (free >= giveUpAt) {
        throw new ExchangeFailure('refused', `not asked: no request may go before ${formatTime(free)}`)
      }
      this.#onWait(
        now < this.#pausedUntil
          ? 'told to wait by the exchange'
          : 'waiting for the weight of the next minute',
      )
      await this.#clock.sleep(free - now, signal)
    }
    this.#onWait('')
    const request: Spent = { weight, sent: this.#clock.now() + this.#offset, answered: undefined }
    this.#spent.push(request)
    return used => {
      request.answered = this.#clock.now() + this.#offset
      if (used !== undefined) this.#hear({ sent: request.sent, used })
    }
  }

  /** Answers overtake each other: of one minute the highest count is the newest. */
  #hear(told: Counted): void {
    const known = this.#counted
    const age = windowOf(told.sent - this.#uncertainty) - windowOf(known.sent - this.#uncertainty)
    if (age > 0) this.#counted = told
    if (age !== 0) return
    this.#counted = { sent: Math.max(told.sent, known.sent), used: Math.max(told.used, known.used) }
  }

  /** The moment (our clock) from which `weight` fits; `now` where it fits already. */
  #whenFree(weight: number, now: number): number {
    const there = now + this.#offset
    this.#forget(there)
    const windows = [windowOf(there - this.#uncertainty), windowOf(there + this.#uncertainty)]
    const full = windows.filter(window => !this.#fits(weight, window))
    if (full.length === 0) return now
    return (Math.max(...full) + 1) * minute + this.#uncertainty - this.#offset
  }

  #fits(weight: number, window: number): boolean {
    const { limit, budgetRatio } = this.#limits
    const ours = this.#sum(window, () => true)
    const others =
      windowOf(this.#counted.sent - this.#uncertainty) === window
        ? Math.max(0, this.#counted.used - this.#sum(window, ({ answered }) => answered !== undefined))
        : 0
    // a weight larger than the whole budget must still go through, alone
    const budget = Math.max(weight, Math.floor(limit * budgetRatio))
    return ours + weight <= budget && others + ours + weight <= limit * (1 - headroom)
  }

  #sum(window: number, which: (request: Spent) => boolean): number {
    let sum = 0
    for (const request of this.#spent) {
      const { weight, sent, answered } = request
      const last = windowOf((answered ?? this.#clock.now() + this.#offset) + this.#uncertainty)
      if (windowOf(sent - this.#uncertainty) <= window && window <= last && which(request)) sum += weight
    }
    return sum
  }

  #forget(there: number): void {
    const oldest = windowOf(there) - 1
    this.#spent = this.#spent.filter(
      ({ answered }) => answered === undefined || windowOf(answered + this.#uncertainty) >= oldest,
    )
  }

  /** Moves what was spent so far along: it was at the same moment, which the exchange's clock calls otherwise. */
  #setOffset(offset: number): void {
    const change = offset - this.#offset
    this.#offset = offset
    this.#counted.sent += change
    for (const request of this.#spent) {
      request.sent += change
      if (request.answered !== undefined) request.answered += change
    }
  }
}

function windowOf(time: number): number {
  return Math.floor(time / minute)
}

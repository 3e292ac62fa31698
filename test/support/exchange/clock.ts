/**
 * The exchange's own clock: stands where a test puts it, then runs on with real time times `rate`
 * (0 stands still, 30 makes one real second half a minute). Milliseconds since 1970.
 */
export class ReplayClock {
  readonly rate: number
  #at = 0
  #since = 0

  constructor({ at = Date.now(), rate = 1 }: { at?: number | string; rate?: number } = {}) {
    this.rate = rate
    this.set(at)
  }

  /** Puts the clock to `time`: milliseconds or anything that `Date` reads. */
  set(time: number | string): void {
    const at = new Date(time).getTime()
    if (Number.isNaN(at)) throw new TypeError(`Not a time: ${time}`)
    this.#at = at
    this.#since = performance.now()
  }

  advance(milliseconds: number): void {
    this.set(this.now() + milliseconds)
  }

  now(): number {
    return Math.floor(this.#at + (performance.now() - this.#since) * this.rate)
  }
}

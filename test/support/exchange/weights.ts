/** Request weights as documented (Binance futures REST, "IP limits" and the weight of each endpoint). */

/** Weight of a klines request by its `limit`. */
export function klinesWeight(limit: number): number {
  if (limit < 100) return 1
  if (limit < 500) return 2
  if (limit <= 1000) return 5
  return 10
}

export type LimiterOptions = {
  /** Weight that an address may use a minute. */
  weightLimit?: number | undefined
  /** Requests after the first 429 that are still answered 429; the next one brings the ban. */
  toleratedAfter429?: number | undefined
  /** Length of the first ban; each later one is twice as long, up to Binance's three days. */
  banSeconds?: number | undefined
  /** False counts and announces, but refuses nothing. */
  enforce?: boolean | undefined
}

export type Verdict = { status: 200 } | { status: 429 | 418; retryAfter: number; until: number }

const minute = 60_000
const longestBan = 3 * 24 * 60 * minute

/**
 * Binance's limiter for one address: weight is counted in whole minutes of the exchange's clock, refused requests
 * count too, and who does not stop is banned. While a ban lasts nothing is counted.
 */
export class Limiter {
  readonly weightLimit: number
  #tolerated: number
  #firstBan: number
  #enforce: boolean
  #window = -1
  #used = 0
  #refusedInWindow = 0
  #bans = 0
  #bannedUntil = 0

  constructor({
    weightLimit = 2400,
    toleratedAfter429 = 10,
    banSeconds = 120,
    enforce = true,
  }: LimiterOptions = {}) {
    this.weightLimit = weightLimit
    this.#tolerated = toleratedAfter429
    this.#firstBan = banSeconds * 1000
    this.#enforce = enforce
  }

  /** Weight used in the minute of `now`. */
  used(now: number): number {
    return Math.floor(now / minute) === this.#window ? this.#used : 0
  }

  take(weight: number, now: number): Verdict {
    if (this.#enforce && now < this.#bannedUntil) return refusal(418, this.#bannedUntil, now)
    this.#count(weight, now)
    if (!this.#enforce || this.#used <= this.weightLimit) return { status: 200 }
    this.#refusedInWindow++
    if (this.#refusedInWindow <= 1 + this.#tolerated) return refusal(429, (this.#window + 1) * minute, now)
    this.#bannedUntil = now + Math.min(longestBan, this.#firstBan * 2 ** this.#bans)
    this.#bans++
    this.#refusedInWindow = 0
    return refusal(418, this.#bannedUntil, now)
  }

  #count(weight: number, now: number): void {
    const window = Math.floor(now / minute)
    if (window !== this.#window) {
      this.#window = window
      this.#used = 0
      this.#refusedInWindow = 0
    }
    this.#used += weight
  }
}

function refusal(status: 429 | 418, until: number, now: number): Verdict {
  return { status, until, retryAfter: Math.max(1, Math.ceil((until - now) / 1000)) }
}

import type { Clock } from '../job/clock.ts'
import type { Config } from '../job/config.ts'
import { messageOf, UserError } from '../job/errors.ts'
import type { Log } from '../job/log.ts'
import { formatDuration, formatTime } from '../job/time.ts'
import { type BanMemory, openBanMemory } from './ban.ts'
import { type CcxtClient, openCcxt } from './ccxt_client.ts'
import { ExchangeFailure, failureIn, transportFailure } from './failure.ts'
import { openHttp } from './http.ts'
import type { Interval } from './intervals.ts'
import { WeightPacer } from './pacer.ts'
import type { Range } from './range.ts'
import { type FailureCounts, waitBeforeRetry } from './retry.ts'
import { infoWeight, klinesWeight } from './weight.ts'

/** A contract as exchangeInfo lists it. */
export type Contract = { symbol: string; status: string; baseAsset: string; quoteAsset: string }

/** A page of klines: at most `limit` open times within `range`, which may hold more. */
export type KlinesQuestion = {
  symbol: string
  interval: Interval
  range: Range
  limit: number
  /** Where the symbol may have no candle at all; elsewhere an empty page is a bad answer. */
  mayBeEmpty: boolean
}

/** What the exchange cost and how often it failed, for the report. */
export type Usage = { requests: number; weight: number; retries: number; rateLimitHits: number }

export type ExchangeOptions = {
  config: Config
  clock: Clock
  signal: AbortSignal
  log: Log
  /** No wait goes beyond this moment: there would be no time left to use the answer. */
  giveUpAt: number
}

/** Binance allows this much a minute until its exchangeInfo says otherwise. */
const usualLimit = 2400

/** After so many refusals in a row (403, 451) no more is asked: going on would turn a refusal into a ban. */
const refusalsBeforeSilence = 3

/**
 * Binance USDT-M futures, public market data only. Every request is paced by weight, tried again by kind of failure,
 * and stops at once when the run does. A ban is sat out where there is time for it and remembered for later runs.
 */
export class Exchange {
  /** Told what is being waited for; '' when it goes on. */
  onWait: (text: string) => void = () => undefined
  readonly usage: Usage = { requests: 0, weight: 0, retries: 0, rateLimitHits: 0 }
  #options: ExchangeOptions
  #client: Promise<CcxtClient>
  #http = openHttp()
  #pacer: WeightPacer
  #bans: BanMemory
  #refusals = 0
  /** How long the last answer took. */
  #transitMs = 0

  constructor(options: ExchangeOptions) {
    const { config, clock } = options
    const { exchange, base_url, weight_budget_ratio } = config.sync
    this.#options = options
    const limits = { limit: usualLimit, budgetRatio: weight_budget_ratio }
    this.#pacer = new WeightPacer(clock, limits, text => this.onWait(text))
    this.#bans = openBanMemory(config.paths.state, base_url ?? exchange)
    this.#heedRememberedBan()
    this.#client = openCcxt({
      exchange,
      baseUrl: base_url,
      state: config.paths.state,
      transport: (url, init) => this.#carry(url, init.headers),
    })
    // awaited at the first request: a failed import must not count as unhandled until then
    this.#client.catch(() => undefined)
  }

  /** The exchange's clock: milliseconds since the epoch, and how far it is ahead of ours. */
  async time(troubles: string[] = []): Promise<{ serverTime: number; skew: number }> {
    return this.#ask('time', troubles, async client => {
      const { serverTime } = objectIn(await client.fapiPublicGetTime())
      if (typeof serverTime !== 'number' || !Number.isFinite(serverTime)) throw badAnswer('no time in it')
      const error = this.#transitMs / 2
      this.#pacer.learn({ serverTime: serverTime + error, error })
      return { serverTime, skew: serverTime - this.#options.clock.now() }
    })
  }

  /** Every contract that the exchange lists, trading or not. */
  async contracts(troubles: string[] = []): Promise<Contract[]> {
    return this.#ask('exchangeInfo', troubles, async client => {
      const { symbols, rateLimits } = objectIn(await client.fapiPublicGetExchangeInfo())
      if (!Array.isArray(symbols) || symbols.length === 0) throw badAnswer('no symbols in it')
      if (!symbols.every(isContract)) throw badAnswer('an entry that is no symbol')
      const limit = weightLimit(rateLimits)
      if (limit !== undefined) this.#pacer.learn({ limit })
      return symbols.map(({ symbol, status, baseAsset, quoteAsset }) => {
        return { symbol, status, baseAsset, quoteAsset }
      })
    })
  }

  /**
   * One page of raw kline rows, oldest first. They are as they came and have to be validated. `troubles` gets a line
   * for each failure on the way.
   */
  async klines(
    { symbol, interval, range, limit, mayBeEmpty }: KlinesQuestion,
    troubles: string[],
  ): Promise<unknown[]> {
    const params = { symbol, interval, startTime: range.from, endTime: range.to, limit }
    return this.#ask('klines', troubles, async client => {
      const rows = await client.fapiPublicGetKlines(params)
      if (!Array.isArray(rows)) throw badAnswer(describeAnswer(rows))
      if (rows.length === 0 && !mayBeEmpty) throw badAnswer('no candles where there must be some')
      return rows
    })
  }

  close(): void {
    this.#http.close()
  }

  /** One question, asked again as the policy allows; what went wrong on the way goes to `troubles`. */
  async #ask<T>(what: string, troubles: string[], question: (client: CcxtClient) => Promise<T>): Promise<T> {
    const { config, clock, signal, log, giveUpAt } = this.#options
    const client = await this.#client
    const counts: FailureCounts = {}
    const tries: FailedTry[] = []
    try {
      for (;;) {
        signal.throwIfAborted()
        try {
          const answer = await question(client)
          this.#refusals = 0
          return answer
        } catch (error) {
          signal.throwIfAborted()
          if (!(error instanceof ExchangeFailure)) throw error
          const wait = waitBeforeRetry(config.sync.retry, error, counts, Math.random())
          const again = wait !== undefined && clock.now() + wait < giveUpAt
          tries.push({ message: error.message, wait: again ? wait : undefined })
          log.info(`${what}: ${error.message}`, {
            kind: error.kind,
            status: error.httpStatus,
            wait: again ? wait : null,
          })
          if (!again) throw error
          counts[error.kind] = (counts[error.kind] ?? 0) + 1
          this.usage.retries += 1
          if (error.kind === 'rate_limit') this.#pacer.pauseUntil(clock.now() + wait)
          await clock.sleep(wait, signal)
        }
      }
    } finally {
      troubles.push(...describeTries(tries))
    }
  }

  /** The one place that requests go through: paced, timed, counted, and judged. */
  async #carry(url: string, headers: Record<string, string>) {
    const { config, clock, signal, giveUpAt } = this.#options
    if (this.#refusals >= refusalsBeforeSilence) {
      throw new ExchangeFailure('refused', 'not asked: the exchange refuses this address')
    }
    const weight = weightOf(new URL(url))
    const settle = await this.#pacer.take(weight, giveUpAt, signal)
    this.usage.requests += 1
    this.usage.weight += weight
    const timeoutMs = Math.ceil(config.sync.request_timeout_seconds * 1000)
    const sent = clock.now()
    let used: number | undefined
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
      const answer = await this.#http.get(url, headers, within)
      used = Number(answer.headers.get('x-mbx-used-weight-1m') ?? Number.NaN)
      this.#transitMs = clock.now() - sent
      const failure = failureIn(answer)
      if (failure !== undefined) throw this.#heed(failure)
      return { ...answer, statusText: '', text: async () => answer.body }
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof ExchangeFailure ? error : transportFailure(error, timeoutMs)
    } finally {
      settle(used === undefined || Number.isNaN(used) ? undefined : used)
    }
  }

  /** What a failure means for all requests, not just for its own. */
  #heed(failure: ExchangeFailure): ExchangeFailure {
    const { clock, log } = this.#options
    const until = clock.now() + (failure.retryAfter ?? 0)
    if (failure.kind === 'refused') this.#refusals += 1
    if (failure.kind === 'rate_limit') this.usage.rateLimitHits += 1
    if (failure.kind === 'rate_limit' || failure.kind === 'ban') this.#pacer.pauseUntil(until)
    if (failure.kind === 'ban') {
      log.error(`the exchange bans this address until ${formatTime(until)}: all requests stop`)
      this.#rememberBan(until)
    }
    return failure
  }

  /** A ban that cannot be written down is still kept by this run. */
  #rememberBan(until: number): void {
    try {
      this.#bans.remember(until)
    } catch (error) {
      this.#options.log.error(`the ban cannot be remembered for later runs: ${messageOf(error)}`)
    }
  }

  #heedRememberedBan(): void {
    const { clock, giveUpAt, log } = this.#options
    const until = this.#bans.until() ?? 0
    if (until <= clock.now()) return
    if (until >= giveUpAt) {
      throw new UserError(`the exchange bans this address until ${formatTime(until)}: nothing was asked`, {
        hint: 'An earlier run was told so. The next run after that time makes up for this one.',
      })
    }
    log.warn(`the exchange bans this address until ${formatTime(until)}: waiting for that`)
    this.#pacer.pauseUntil(until)
  }
}

/** A try that failed, and how long was waited before the next one; undefined: there was none. */
type FailedTry = { message: string; wait: number | undefined }

/** A line for each kind of failure in a row: `server error (500); asked again after 2.0 s, 4.0 s; given up`. */
function describeTries(tries: FailedTry[]): string[] {
  const lines: { message: string; waits: string[]; givenUp: boolean }[] = []
  for (const { message, wait } of tries) {
    const last = lines.at(-1)
    const line = last?.message === message ? last : { message, waits: [], givenUp: false }
    if (line !== last) lines.push(line)
    if (wait === undefined) line.givenUp = true
    else line.waits.push(formatDuration(wait))
  }
  return lines.map(({ message, waits, givenUp }) => {
    const again = waits.length === 0 ? [] : [`asked again after ${waits.join(', ')}`]
    return [message, ...again, ...(givenUp ? ['given up'] : [])].join('; ')
  })
}

function badAnswer(what: string): ExchangeFailure {
  return new ExchangeFailure('server_error', `a bad answer with status 200: ${what}`, 200)
}

function objectIn(answer: unknown): Record<string, unknown> {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
    throw badAnswer(describeAnswer(answer))
  return answer as Record<string, unknown>
}

/** What came instead of what was asked for. ccxt hands on as text what is not JSON. */
function describeAnswer(answer: unknown): string {
  if (typeof answer !== 'string') return answer === null ? 'null' : `not a list but ${typeof answer}`
  if (answer === '' || answer === 'null') return answer === '' ? 'nothing' : 'null'
  return answer.trimStart().startsWith('<') ? 'HTML instead of JSON' : 'cut-off JSON'
}

function weightOf(url: URL): number {
  return url.pathname.endsWith('/klines') ? klinesWeight(Number(url.searchParams.get('limit'))) : infoWeight
}

function isContract(entry: unknown): entry is Contract {
  const { symbol, status } = (entry ?? {}) as Partial<Record<string, unknown>>
  return typeof symbol === 'string' && typeof status === 'string'
}

/** The weight a minute from exchangeInfo's `rateLimits`; undefined where it has none. */
function weightLimit(rateLimits: unknown): number | undefined {
  if (!Array.isArray(rateLimits)) return undefined
  for (const entry of rateLimits as unknown[]) {
    const { rateLimitType, interval, intervalNum, limit } = (entry ?? {}) as Record<string, unknown>
    if (rateLimitType === 'REQUEST_WEIGHT' && interval === 'MINUTE' && intervalNum === 1) {
      return typeof limit === 'number' && limit > 0 ? limit : undefined
    }
  }
  return undefined
}

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ReplayClock } from './clock.ts'
import { type Control, controlPrefix } from './control.ts'
import { type Delivery, deliver, spoil } from './delivery.ts'
import { type ActiveRule, activate, type Fault, type FaultRule, rulesFor } from './faults.ts'
import { klines, limitOf } from './klines.ts'
import { namedAnswer } from './named_answers.ts'
import { errorReply, jsonReply, type Reply } from './reply.ts'
import type { CandleSource } from './source.ts'
import { klinesWeight, Limiter, type LimiterOptions } from './weights.ts'

export type ReplayOptions = LimiterOptions & {
  source: CandleSource
  clock?: ReplayClock | undefined
  faults?: FaultRule[] | undefined
  /** Real milliseconds before each answer. */
  latencyMs?: number | undefined
  port?: number | undefined
  /** What answers under `/__replay/`; nothing without it. */
  control?: Control | undefined
}

type RequestRecord = {
  path: string
  symbol: string | undefined
  params: Record<string, string>
  weight: number
  /** Of the answer as sent; 0 where the connection ended before one. */
  status: number
  /** The fault that befell it. */
  fault?: Fault['kind'] | undefined
  /** The exchange's clock. */
  at: number
}

type ReplayStats = {
  requests: number
  totalWeight: number
  /** By the minute of the exchange's clock, ISO 8601. Requests during a ban weigh nothing. */
  weightByMinute: Record<string, number>
  /** What the limiter refused; scripted faults are not in these two. */
  count429: number
  count418: number
}

export type Replay = {
  /** Such as `http://127.0.0.1:40123`; the API is at `/fapi/v1` below it. */
  readonly url: string
  readonly clock: ReplayClock
  /** All requests since the start or the last reset, in the order of their arrival. */
  readonly requests: RequestRecord[]
  readonly stats: ReplayStats
  /** The rules at work, each with how often it fired. */
  readonly faults: readonly ActiveRule[]
  /** Puts new rules in place of the old ones, with counters at 0. */
  setFaults(rules: FaultRule[]): readonly ActiveRule[]
  /** As just started, without faults: limiter, requests and stats begin anew; the clock goes on. */
  reset(): void
  close(): Promise<void>
}

type Endpoint = {
  weight(params: URLSearchParams): number
  reply(params: URLSearchParams, now: number): Reply
}

/** A local exchange on 127.0.0.1 with the semantics of Binance futures REST for ping, time, exchangeInfo and klines. */
export async function startReplay(options: ReplayOptions): Promise<Replay> {
  const { source, clock = new ReplayClock(), latencyMs = 0, port = 0 } = options
  const closing = new AbortController()
  let limiter = new Limiter(options)
  let faults = activate(options.faults ?? [])

  const endpoints: Record<string, Endpoint> = {
    ping: { weight: () => 1, reply: () => jsonReply({}) },
    time: { weight: () => 1, reply: (_, now) => jsonReply({ serverTime: now }) },
    exchangeInfo: {
      weight: () => 1,
      reply: (_, now) => jsonReply(withLimit(source, now, limiter.weightLimit)),
    },
    klines: {
      weight: params => klinesWeight(limitOf(params)),
      reply: (params, now) => klines(source, params, now),
    },
  }

  const answer = (method: string, url: URL): Delivery => {
    const now = clock.now()
    const params = url.searchParams
    const name = url.pathname.replace(/^\/fapi\/v1\//, '')
    const endpoint = method === 'GET' && Object.hasOwn(endpoints, name) ? endpoints[name] : undefined
    const weight = endpoint?.weight(params) ?? 0
    const record: RequestRecord = {
      path: url.pathname,
      symbol: params.get('symbol') ?? undefined,
      params: Object.fromEntries(params),
      weight,
      status: 0,
      at: now,
    }
    replay.requests.push(record)
    const verdict = limiter.take(weight, now)
    count(replay.stats, verdict.status, weight, now)

    let delivery: Delivery
    if (verdict.status !== 200) {
      const refusal = verdict.status === 429 ? 'rate-429-futures' : 'ban-418-futures-recorded-2021'
      delivery = {
        reply: namedAnswer(refusal, { ...verdict, now }),
      }
    } else if (!endpoint) {
      delivery = { reply: errorReply(404, -5000, `Path ${url.pathname}, Method ${method} is invalid`) }
    } else {
      const reply = endpoint.reply(params, now)
      const startTime = params.has('startTime') ? Number(params.get('startTime')) : undefined
      const turn = rulesFor(faults, { path: name, symbol: record.symbol, startTime })
      delivery = firstFault(turn, reply, now, record) ?? { reply }
    }
    delivery.reply.headers['X-MBX-USED-WEIGHT-1M'] = String(limiter.used(now))
    record.status = delivery.cut === 'start' ? 0 : delivery.reply.status
    return delivery
  }

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://replay')
    if (options.control && url.pathname.startsWith(controlPrefix)) {
      const reply = await options.control(replay, url.pathname.slice(controlPrefix.length), request)
      await deliver(response, { reply }, 0, closing.signal)
      return
    }
    await deliver(response, answer(request.method ?? 'GET', url), latencyMs, closing.signal)
  }

  // Longer than any pause of a test: an idle connection that the server ends looks like a fault to a client.
  const server = createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
    handle(request, response).catch((error: unknown) => {
      // A failure of the replay itself must not pass for one of its faults.
      process.emitWarning(
        `The exchange replay failed: ${error instanceof Error ? error.stack : String(error)}`,
      )
      response.destroy()
    })
  })
  const boundPort = await listen(server, port)

  const replay: Replay = {
    url: `http://127.0.0.1:${boundPort}`,
    clock,
    requests: [],
    stats: emptyStats(),
    get faults() {
      return faults
    },
    setFaults(rules) {
      faults = activate(rules)
      return faults
    },
    reset() {
      limiter = new Limiter(options)
      faults = []
      replay.requests.length = 0
      Object.assign(replay.stats, emptyStats())
    },
    async close() {
      closing.abort()
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return replay
}

function firstFault(
  rules: ActiveRule[],
  reply: Reply,
  now: number,
  record: RequestRecord,
): Delivery | undefined {
  for (const rule of rules) {
    const spoilt = spoil(rule.do, reply, now)
    if (!spoilt) continue
    rule.fired++
    record.fault = rule.do.kind
    return spoilt
  }
  return undefined
}

function withLimit(source: CandleSource, now: number, limit: number) {
  const info = source.exchangeInfo(now)
  const rateLimits = info.rateLimits.map(each =>
    each.rateLimitType === 'REQUEST_WEIGHT' ? { ...each, limit } : each,
  )
  return { ...info, rateLimits }
}

function emptyStats(): ReplayStats {
  return { requests: 0, totalWeight: 0, weightByMinute: {}, count429: 0, count418: 0 }
}

function count(stats: ReplayStats, verdict: 200 | 429 | 418, weight: number, now: number): void {
  stats.requests++
  if (verdict === 429) stats.count429++
  if (verdict === 418) {
    stats.count418++
    return
  }
  const minute = `${new Date(now).toISOString().slice(0, 16)}Z`
  stats.totalWeight += weight
  stats.weightByMinute[minute] = (stats.weightByMinute[minute] ?? 0) + weight
}

/** Gives the port that the server got. */
async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address ? address.port : port
}

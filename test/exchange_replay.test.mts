import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { ReplayClock } from './support/exchange/clock.ts'
import type { Fault, FaultRule } from './support/exchange/faults.ts'
import { formingAt } from './support/exchange/forming.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { type AnswerName, namedAnswers } from './support/exchange/named_answers.ts'
import {
  hasMarketData,
  marketDataDir,
  recordedCandles,
  recordedSource,
  skipWithoutMarketData,
} from './support/exchange/recorded.ts'
import { type Replay, type ReplayOptions, startReplay } from './support/exchange/replay.ts'
import { type RowMutationName, rowMutations } from './support/exchange/row_mutations.ts'
import type { ExchangeInfo, Interval, KlineRow } from './support/exchange/source.ts'
import { klinesWeight } from './support/exchange/weights.ts'

const step = 14_400_000
const noon = Date.parse('2024-05-05T12:00:00Z')
const skip = skipWithoutMarketData()

// What the tests share: a replay with a clock that stands still, and a plain client.

const symbols = ['BTCUSDT', 'ETHUSDT', 'GONEUSDT', '币安人生USDT']
const settling = { GONEUSDT: '2024-03-01T08:00:00Z' }
const generated = generatedSource({ symbols, settling })

async function replayFor(test: Test, options: Partial<ReplayOptions> = {}): Promise<Replay> {
  const clock = new ReplayClock({ at: noon, rate: 0 })
  const replay = await startReplay({ source: generated, clock, ...options })
  test.teardown(() => replay.close())
  return replay
}

type Params = Record<string, string | number>

async function get(replay: { url: string }, path: string, params: Params = {}) {
  const query = new URLSearchParams(Object.entries(params).map(([name, value]) => [name, String(value)]))
  const response = await fetch(`${replay.url}/fapi/v1/${path}?${query.toString()}`)
  const text = await response.text()
  const body: unknown = parsed(text)
  return { status: response.status, headers: response.headers, text, body }
}

function parsed(text: string) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function klines(replay: { url: string }, params: Params = {}) {
  const answer = await get(replay, 'klines', { symbol: 'BTCUSDT', interval: '4h', ...params })
  const body: KlineRow[] = parsed(answer.text)
  return { ...answer, body }
}

async function exchangeInfo(replay: { url: string }) {
  const body: ExchangeInfo = parsed((await get(replay, 'exchangeInfo')).text)
  return body
}

/** The final candles of BTCUSDT, 4h. */
const final = (page: { from?: number; to: number; limit?: number }) =>
  generated.candles('BTCUSDT', '4h', { limit: 1500, ...page })

const cell = (row: KlineRow, column: number) => Number(row[column])

/** The lines of a recorded file, without its header. */
const linesOf = (file: string) =>
  gunzipSync(readFileSync(join(marketDataDir(), file)))
    .toString()
    .trimEnd()
    .split('\n')
    .slice(1)

/** An error's text without its address and moment, which differ by nature. */
const blur = (text: string) =>
  text.replace(/\(<ip>\)|\([*.]+\)|\(127[\d.]+\)/g, '(ip)').replace(/\d{13}/g, 'T')

const isNamed = (name: string): name is AnswerName => Object.hasOwn(namedAnswers, name)

const times = (rows: KlineRow[]) => rows.map(([openTime]) => openTime)

await t.test('clock', async test => {
  const frozen = new ReplayClock({ at: '2024-05-05T12:00:00Z', rate: 0 })
  test.equal(frozen.now(), noon, 'a time is read as Date reads it')
  frozen.advance(1500)
  test.equal(frozen.now(), noon + 1500, 'a clock of rate 0 stands where it was put')
  frozen.set(noon)
  test.equal(frozen.now(), noon)
  test.throws(() => frozen.set('yesterday'), { message: 'Not a time: yesterday' })

  const fast = new ReplayClock({ at: noon, rate: 1e6 })
  const before = fast.now()
  while (fast.now() === before) await new Promise(setImmediate)
  test.ok(fast.now() > before, 'any other clock goes on by itself')
})

await t.test('generated candles', async group => {
  const intervals: Interval[] = ['1h', '4h', '1d']
  const anySymbol = fc.constantFrom('BTCUSDT', 'ETHUSDT', 'PEPEUSDT', 'XUSDT')
  const anyInterval = fc.constantFrom(...intervals)
  const anyTime = fc.integer({ min: Date.parse('2019-12-01'), max: Date.parse('2030-01-01') })
  const source = generatedSource({ symbols: ['BTCUSDT', 'ETHUSDT', 'PEPEUSDT', 'XUSDT'] })

  await group.test(
    'hold low ≤ open, close ≤ high, go on where the last one ended, and lack none',
    async test => {
      fc.assert(
        fc.property(anySymbol, anyInterval, anyTime, (symbol, interval, from) => {
          const rows = source.candles(symbol, interval, { from, to: Infinity, limit: 50 })
          test.equal(rows.length, 50)
          rows.forEach((row, n) => {
            const [open, high, low, close, volume] = [row[1], row[2], row[3], row[4], row[5]].map(Number)
            const sound = low! <= Math.min(open!, close!) && Math.max(open!, close!) <= high! && low! > 0
            if (!sound || !(volume! > 0)) throw new Error(`unsound: ${row.join()}`)
            const next = rows[n + 1]
            if (next && (next[1] !== row[4] || next[0] !== row[6] + 1))
              throw new Error(`a jump: ${next.join()}`)
          })
        }),
        { numRuns: 40 },
      )
    },
  )

  await group.test('are the same whichever range they are asked in, and by whichever source', async test => {
    const range = fc.record({ from: anyTime, before: fc.nat(100), size: fc.integer({ min: 1, max: 40 }) })
    fc.assert(
      fc.property(anySymbol, anyInterval, range, (symbol, interval, { from, before, size }) => {
        const whole = source.candles(symbol, interval, { from, to: Infinity, limit: 150 })
        const [first, last] = [whole[before], whole[before + size - 1]]
        const page = { from: first?.[0], to: last![0], limit: 1500 }
        const part = generatedSource({ symbols: [symbol] }).candles(symbol, interval, page)
        test.same(part, whole.slice(before, before + size))
        test.same(
          source.candles(symbol, interval, { to: last![0], limit: size }),
          part,
          'and counted from the end',
        )
      }),
      { numRuns: 25 },
    )
  })

  await group.test(
    'of 4h and 1d are their hours added up, also where a listing or its end cuts them',
    async test => {
      const from = Date.parse('2024-01-30')
      const cut = generatedSource({
        symbols,
        onboard: '2024-01-30T10:30:00Z',
        settling: { BTCUSDT: '2024-03-01T09:00Z' },
      })
      for (const [interval, length] of [
        ['4h', step],
        ['1d', 6 * step],
      ] as const) {
        const hours = cut.candles('BTCUSDT', '1h', { from, to: Infinity, limit: 1500 })
        const rows = cut.candles('BTCUSDT', interval, { from, to: Infinity, limit: 1500 })
        test.same(rows, sums(hours, length), interval)
      }
    },
  )

  await group.test('begin some hours after the listing and end with the settlement', async test => {
    const hours = (symbol: string, page: { from?: number; to: number }) =>
      generated.candles(symbol, '1h', { ...page, limit: 1500 })
    const [first] = hours('BTCUSDT', { from: 0, to: noon })
    const listed = generated.exchangeInfo(noon).symbols.find(({ symbol }) => symbol === 'BTCUSDT')
    test.equal(listed?.onboardDate, Date.parse('2020-01-01'))
    test.ok(first![0] > Date.parse('2020-01-01'))
    test.same(hours('BTCUSDT', { from: 0, to: first![0] - 1 }), [])
    test.equal(hours('GONEUSDT', { to: Infinity }).at(-1)?.[6], Date.parse(settling.GONEUSDT) - 1)
    test.same(generated.candles('NONEUSDT', '1h', { to: noon, limit: 5 }), [], 'what is not listed has none')
  })
})

/** Candles of `length` from finer ones, by plain arithmetic on whole numbers. */
function sums(rows: KlineRow[], length: number): KlineRow[] {
  const groups = Object.groupBy(rows, row => String(Math.floor(row[0] / length) * length))
  return Object.entries(groups).map(([openTime, group = []]) => {
    const by = (column: 2 | 3) => group.map(row => row[column]).toSorted((a, b) => Number(a) - Number(b))
    const sum = (column: 5 | 7 | 9 | 10) => {
      const decimals = Math.max(...group.map(row => row[column].split('.')[1]?.length ?? 0))
      const units = group.map(row => BigInt(Math.round(Number(row[column]) * 10 ** decimals)))
      const digits = String(units.reduce((a, b) => a + b)).padStart(decimals + 1, '0')
      return decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits
    }
    return [
      Number(openTime),
      group[0]![1],
      by(2).at(-1)!,
      by(3)[0]!,
      group.at(-1)![4],
      sum(5),
      Number(openTime) + length - 1,
      sum(7),
      group.reduce((trades, row) => trades + row[8], 0),
      sum(9),
      sum(10),
      '0',
    ]
  })
}

await t.test('klines', async group => {
  const replay = await replayFor(group, { enforce: false })

  await group.test('startTime and endTime are inclusive on the open time', async test => {
    const [from, to] = [noon - 50 * step, noon - 40 * step]
    const { status, headers, body } = await klines(replay, { startTime: from, endTime: to })
    test.equal(status, 200)
    test.equal(headers.get('content-type'), 'application/json')
    test.same(body, final({ from, to }))
    test.equal(body.length, 11)
    test.same(
      times((await klines(replay, { startTime: from + 1, endTime: to - 1 })).body),
      times(body).slice(1, -1),
    )
  })

  await group.test('with startTime the rows begin there, without it they are the newest', async test => {
    const from = noon - 5000 * step
    test.same((await klines(replay, { startTime: from, limit: 3 })).body, final({ from, to: noon, limit: 3 }))
    test.same(times((await klines(replay, { limit: 3 })).body), [noon - 2 * step, noon - step, noon])
    const to = noon - 7 * step
    test.same(times((await klines(replay, { endTime: to, limit: 2 })).body), [to - step, to])
    test.same(
      (await klines(replay, { startTime: 0, limit: 1 })).body,
      final({ from: 0, to: noon, limit: 1 }),
      'a probe',
    )
    test.same((await klines(replay, { startTime: noon + 1 })).body, [], 'nothing has begun after now')
    test.same(times((await klines(replay, { startTime: noon, endTime: noon + 9 * step })).body), [noon])
  })

  await group.test('a page has 500 rows by default and 1500 at most', async test => {
    test.equal((await klines(replay, { startTime: 0 })).body.length, 500)
    test.equal((await klines(replay, { startTime: 0, limit: 1500 })).body.length, 1500)
    for (const limit of [0, 1501]) {
      const { status, body } = await klines(replay, { limit })
      test.equal(status, 400)
      test.strictSame(body, { code: -1130, msg: "Data sent for parameter 'limit' is not valid." })
    }
  })

  await group.test('the newest candle is still forming, and is final once it has closed', async test => {
    const [whole] = final({ from: noon, to: noon })
    const at = async (time: number) => {
      replay.clock.set(time)
      return (await klines(replay, { limit: 1 })).body[0]!
    }
    const begun = await at(noon)
    test.same([begun[1], begun[2], begun[3], begun[4]].map(Number), Array(4).fill(Number(whole![1])))
    test.equal(Number(begun[5]), 0)
    const early = await at(noon + step / 4)
    test.same(await at(noon + step / 4), early, 'the same moment looks the same')
    test.notSame(early, whole)
    test.same([early[0], early[1], early[6]], [whole![0], whole![1], whole![6]])
    test.same(
      await at(noon + step - 1),
      formingAt(whole!, noon + step - 1),
      'forming up to its last millisecond',
    )
    test.equal((await at(noon + step))[0], noon + step)
    test.same((await klines(replay, { limit: 2 })).body[0], whole)
    replay.clock.set(noon)
  })

  await group.test('a forming candle is sound and never reaches beyond the final one', async () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(step - 1), fc.nat(step - 1), (n, a, b) => {
        const [row] = final({ from: noon - n * step, to: noon })
        const [one, two] = [Math.min(a, b), Math.max(a, b)].map(ms => formingAt(row!, row![0] + ms))
        for (const seen of [one!, two!]) {
          const ends = [cell(seen, 1), cell(seen, 4)]
          if (cell(seen, 3) > Math.min(...ends) || cell(seen, 2) < Math.max(...ends))
            throw new Error(seen.join())
        }
        const grows = [one!, two!, row!]
        grows.slice(1).forEach((later, k) => {
          const wider = cell(later, 2) >= cell(grows[k]!, 2) && cell(later, 3) <= cell(grows[k]!, 3)
          const more = [5, 7, 8, 9, 10].every(column => cell(later, column) >= cell(grows[k]!, column))
          if (!wider || !more) throw new Error(`${grows[k]!.join()} then ${later.join()}`)
        })
      }),
      { numRuns: 200 },
    )
  })

  await group.test('a SETTLING symbol still answers, up to its end', async test => {
    const { status, body } = await klines(replay, { symbol: 'GONEUSDT', limit: 2 })
    const end = Date.parse(settling.GONEUSDT)
    test.equal(status, 200)
    test.same(times(body), [end - 2 * step, end - step])
    test.same(
      body,
      generated.candles('GONEUSDT', '4h', { to: noon, limit: 2 }),
      'and nothing of it is forming',
    )
  })

  await group.test('a symbol may have letters of any script', async test => {
    test.equal((await klines(replay, { symbol: '币安人生USDT' })).body.length, 500)
  })

  await group.test('a bad request is refused with the code that Binance has for it', async test => {
    const cases: [Params, { code: number; msg: string }][] = [
      [{ symbol: 'JTOУСDT' }, { code: -1121, msg: 'Invalid symbol.' }],
      [{ interval: '7m' }, { code: -1120, msg: 'Invalid interval.' }],
      [
        { symbol: '' },
        { code: -1102, msg: "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed." },
      ],
      [
        { interval: '' },
        { code: -1102, msg: "Mandatory parameter 'interval' was not sent, was empty/null, or malformed." },
      ],
      [
        { limit: 'ten' },
        {
          code: -1100,
          msg: "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        },
      ],
      [
        { startTime: 2, endTime: 1 },
        { code: -1023, msg: 'Start time is greater than end time.' },
      ],
    ]
    for (const [params, body] of cases) {
      const answer = await klines(replay, params)
      test.equal(answer.status, 400)
      test.strictSame(answer.body, body)
    }
  })
})

await t.test('the other endpoints', async test => {
  const replay = await replayFor(test, { weightLimit: 1200 })
  test.strictSame((await get(replay, 'ping')).body, {})
  test.strictSame((await get(replay, 'time')).body, { serverTime: noon })
  const info = await exchangeInfo(replay)
  test.equal(info.serverTime, noon)
  test.equal(
    info.rateLimits.find(each => each.rateLimitType === 'REQUEST_WEIGHT')?.limit,
    1200,
    'announces its limit',
  )
  test.same(
    info.symbols.map(({ symbol, status }) => [symbol, status]),
    symbols.map(symbol => [symbol, symbol === 'GONEUSDT' ? 'SETTLING' : 'TRADING']),
  )
  replay.clock.set('2024-02-01')
  const before = await exchangeInfo(replay)
  test.ok(
    before.symbols.every(({ status }) => status === 'TRADING'),
    'a symbol trades until its end',
  )
  const unknown = await get(replay, 'depth')
  test.equal(unknown.status, 404)
  test.strictSame(unknown.body, { code: -5000, msg: 'Path /fapi/v1/depth, Method GET is invalid' })
  test.equal(
    (await fetch(`${replay.url}/__replay/stats`)).status,
    404,
    'nothing steers it from outside unless asked for',
  )
  test.same(
    replay.requests.slice(0, 3).map(({ path, weight, status, at }) => ({ path, weight, status, at })),
    ['ping', 'time', 'exchangeInfo'].map(name => ({
      path: `/fapi/v1/${name}`,
      weight: 1,
      status: 200,
      at: noon,
    })),
  )
})

await t.test('the limiter', async group => {
  await group.test('weighs klines by their limit, as documented', async test => {
    const documented = { 1: 1, 99: 1, 100: 2, 499: 2, 500: 5, 1000: 5, 1001: 10, 1500: 10 }
    for (const [limit, weight] of Object.entries(documented))
      test.equal(klinesWeight(Number(limit)), weight, limit)
    const replay = await replayFor(test)
    test.equal(
      (await klines(replay)).headers.get('x-mbx-used-weight-1m'),
      '5',
      'the default limit of 500 weighs 5',
    )
    test.equal((await klines(replay, { limit: 499 })).headers.get('x-mbx-used-weight-1m'), '7')
    test.equal((await get(replay, 'nothing')).headers.get('x-mbx-used-weight-1m'), '7', 'every answer tells')
    replay.clock.advance(60_000)
    test.equal(
      (await get(replay, 'ping')).headers.get('x-mbx-used-weight-1m'),
      '1',
      'a new minute begins at 0',
    )
    test.same(replay.stats.weightByMinute, { '2024-05-05T12:00Z': 7, '2024-05-05T12:01Z': 1 })
    test.equal(replay.stats.totalWeight, 8)
  })

  await group.test('answers 429 over the limit until the minute ends', async test => {
    const replay = await replayFor(test, { weightLimit: 10 })
    replay.clock.set(noon + 15_000)
    for (let n = 0; n < 5; n++) test.equal((await klines(replay, { limit: 499 })).status, 200)
    const refused = await klines(replay, { limit: 499 })
    test.equal(refused.status, 429)
    test.equal(refused.headers.get('retry-after'), '45')
    test.equal(refused.headers.get('x-mbx-used-weight-1m'), '12', 'what is refused counts too')
    test.match(refused.body, { code: -1003, msg: /^Too many requests/ })
    replay.clock.advance(45_000)
    test.equal((await klines(replay)).status, 200)
    test.equal(replay.stats.count429, 1)
    test.equal(replay.stats.count418, 0)
  })

  await group.test('bans who does not stop, and for longer each time', async test => {
    const replay = await replayFor(test, { weightLimit: 1, toleratedAfter429: 2, banSeconds: 120 })
    const ping = async () => {
      const { status, headers, text } = await get(replay, 'ping')
      return [status, headers.get('retry-after'), /banned until (\d+)/.exec(text)?.[1]]
    }
    const statuses = async (count: number) => {
      const seen: unknown[] = []
      for (let n = 0; n < count; n++) seen.push((await ping())[0])
      return seen
    }
    test.same(await statuses(4), [200, 429, 429, 429])
    test.same(await ping(), [418, '120', String(noon + 120_000)])
    replay.clock.advance(119_000)
    test.same(await ping(), [418, '1', String(noon + 120_000)], 'a new minute does not end a ban')
    replay.clock.advance(1000)
    test.same(await statuses(4), [200, 429, 429, 429], 'its own end does')
    test.same(await ping(), [418, '240', String(noon + 360_000)])
    test.equal(replay.stats.count418, 3)
    test.equal(replay.stats.requests, 11)
    replay.reset()
    test.same([await ping(), replay.stats.count418, replay.requests.length], [[200, null, undefined], 0, 1])
  })

  await group.test('only counts where it is told not to enforce', async test => {
    const replay = await replayFor(test, { weightLimit: 1, enforce: false })
    for (let n = 0; n < 30; n++) test.equal((await get(replay, 'ping')).status, 200)
    test.equal(replay.stats.totalWeight, 30)
  })
})

await t.test('scripted faults', async group => {
  const replay = await replayFor(group, { enforce: false })
  const clean = (await klines(replay, { limit: 9 })).text

  /** Sets the rule, runs `act`, and sees that the rule fired as often as it should and left no trace after. */
  const under = async <T,>(test: Test, rule: FaultRule, act: () => Promise<T>, firings = 1): Promise<T> => {
    replay.setFaults([rule])
    const result = await act()
    test.equal(replay.faults[0]?.fired, firings, 'fired')
    test.equal(replay.requests.at(-1)?.fault, rule.do.kind)
    replay.setFaults([])
    test.equal((await klines(replay, { limit: 9 })).text, clean, 'and is gone')
    return result
  }
  const page = () => klines(replay, { limit: 9 })

  await group.test('answer with a status, headers and a body', async test => {
    const headers = { 'Retry-After': '7' }
    const json = await under(
      test,
      { do: { kind: 'status', status: 503, headers, json: { code: -1008 } } },
      page,
    )
    test.equal(json.status, 503)
    test.equal(json.headers.get('retry-after'), '7')
    test.equal(json.headers.get('x-mbx-used-weight-1m'), String(replay.stats.totalWeight - 1))
    test.strictSame(json.body, { code: -1008 })
    const text = await under(test, { do: { kind: 'status', status: 502, text: '<b>no</b>' } }, page)
    test.same([text.status, text.headers.get('content-type'), text.text], [502, 'text/html', '<b>no</b>'])
  })

  await group.test('answer as Binance was seen to answer', { skip }, async test => {
    type Case = {
      name: string
      status: number
      headers?: Record<string, string>
      body?: unknown
      bodyText?: string
    }
    const cases: Case[] = JSON.parse(readFileSync(join(marketDataDir(), 'api/errors.json'), 'utf8'))
    let compared = 0
    for (const { name, status, headers = {}, body, bodyText = JSON.stringify(body) } of cases) {
      if (!isNamed(name)) continue
      const seen = await under(test, { do: { kind: 'named', name, retryAfter: 30 } }, page)
      test.equal(seen.status, status, name)
      test.equal(blur(seen.text), blur(bodyText), name)
      if (headers['Retry-After']) test.equal(seen.headers.get('retry-after'), '30', name)
      if (headers['Server']) test.equal(seen.headers.get('server'), headers['Server'], name)
      compared++
    }
    test.equal(compared, 18, 'all of them but the one that is no error')
  })

  await group.test('answer with a page of the gateway', async test => {
    for (const status of [502, 503, 504] as const) {
      const seen = await under(test, { do: { kind: 'named', name: `gateway-${status}` } }, page)
      test.equal(seen.status, status)
      test.equal(seen.headers.get('content-type'), 'text/html')
    }
  })

  await group.test('say 200 and are no list of rows', async test => {
    const seen = async (kind: 'html200' | 'truncated200' | 'object200' | 'null200' | 'emptyPage') => {
      const answer = await under(test, { do: { kind } }, page)
      test.equal(answer.status, 200, kind)
      return answer
    }
    test.match((await seen('html200')).text, /^<html>/)
    const cut = (await seen('truncated200')).text
    test.ok(cut.length > 0 && clean.startsWith(cut) && parsed(cut) === undefined)
    test.notOk(Array.isArray((await seen('object200')).body))
    test.equal((await seen('null200')).text, 'null')
    test.equal((await seen('emptyPage')).text, '[]')
  })

  await group.test('cut the connection before the answer or in the middle of it', async test => {
    await under(test, { do: { kind: 'refuse' } }, () => test.rejects(page(), { message: 'fetch failed' }))
    test.equal(replay.requests.find(({ fault }) => fault === 'refuse')?.status, 0)
    await under(test, { do: { kind: 'cut' } }, async () => {
      const response = await fetch(`${replay.url}/fapi/v1/klines?symbol=BTCUSDT&interval=4h&limit=9`)
      test.equal(response.status, 200)
      test.equal(Number(response.headers.get('content-length')), clean.length)
      await test.rejects(response.text(), { message: 'terminated' })
    })
  })

  await group.test('stall before the answer or in the middle of it, and go on in the end', async test => {
    for (const where of ['start', 'body'] as const) {
      const slow = await under(test, { do: { kind: 'stall', ms: 20, where } }, page)
      test.equal(slow.text, clean, where)
      await under(test, { do: { kind: 'stall', ms: 600_000, where } }, async () => {
        const signal = AbortSignal.timeout(150)
        const url = `${replay.url}/fapi/v1/klines?symbol=BTCUSDT&interval=4h&limit=9`
        const answer = fetch(url, { signal })
        if (where === 'start') await test.rejects(answer, { name: 'TimeoutError' })
        else await test.rejects((await answer).text(), { name: 'TimeoutError' }, 'the headers came')
      })
    }
  })

  await group.test('spoil rows in each of the named ways', async test => {
    const from = noon - 8 * step
    // Each way of being spoilt, by itself: what it looks like from outside.
    const looks: Record<RowMutationName, (row: KlineRow, before: KlineRow | undefined) => boolean> = {
      nullRow: row => row === null,
      objectRow: row => row !== null && !Array.isArray(row),
      shortRow: row => Array.isArray(row) && row.at(11) === undefined,
      misaligned: row => row[0] % step !== 0,
      outsideRange: row => row[0] % step === 0 && row[0] < from,
      future: row => row[0] % step === 0 && row[0] > noon,
      nanText: row => row[4] === 'NaN',
      emptyText: row => row[4] === '',
      nullCell: row => row[4] === null,
      infinite: row => row[2] === 'Infinity',
      numberForString: row => typeof row[4] === 'number',
      negativeVolume: row => row[5].startsWith('-'),
      lowAboveHigh: row => Number(row[3]) > Number(row[2]),
      closeAboveHigh: row => Number(row[4]) > Number(row[2]),
      wrongOrder: (row, before) => before !== undefined && row[0] === before[0] - step,
      duplicateRow: (row, before) => before !== undefined && row[0] === before[0],
      hole: (row, before) => before !== undefined && row[0] > before[0] + step,
    }
    const spotted = (rows: KlineRow[], name: RowMutationName) =>
      rows.filter((row, n) => looks[name](row, rows[n - 1])).length
    const sound: KlineRow[] = JSON.parse(clean)
    test.strictSame(Object.keys(looks).sort(), Object.keys(rowMutations).sort())
    for (const name of Object.keys(rowMutations).filter((key): key is RowMutationName => key in looks)) {
      test.equal(spotted(sound, name), 0, `a sound page shows no ${name}`)
      const { body } = await under(test, { do: { kind: 'rows', mutate: name } }, page)
      test.equal(spotted(body, name), 1, `one ${name}`)
    }
  })

  await group.test('spoil rows by any function, and leave alone what has none to spoil', async test => {
    const reversed = await under(test, { do: { kind: 'rows', mutate: rows => rows.toReversed() } }, page)
    test.same(reversed.body, parsed(clean).toReversed())
    replay.setFaults([{ do: { kind: 'rows', mutate: 'wrongOrder' } }, { do: { kind: 'emptyPage' } }])
    test.equal((await get(replay, 'time')).status, 200)
    test.equal((await klines(replay, { symbol: 'NONEUSDT' })).status, 400)
    test.same(
      (await klines(replay, { limit: 1 })).body,
      [],
      'one row cannot be out of order: the next rule has its turn',
    )
    test.same(
      replay.faults.map(({ fired }) => fired),
      [0, 1],
      'what did not happen is not counted',
    )
  })

  await group.test(
    'set the clock wrong that the exchange tells, not the one that it lives by',
    async test => {
      const offset = 5 * 3_600_000
      replay.setFaults([{ do: { kind: 'clockOffset', ms: offset } }])
      test.strictSame((await get(replay, 'time')).body, { serverTime: noon + offset })
      test.equal((await exchangeInfo(replay)).serverTime, noon + offset)
      test.equal((await page()).text, clean)
      test.equal(replay.faults[0]?.fired, 2)
    },
  )

  await group.test('befall the requests that they are meant for', async test => {
    const fault: Fault = { kind: 'status', status: 500 }
    const fired = async (when: NonNullable<FaultRule['when']>, requests: Params[]) => {
      replay.setFaults([{ when, do: fault }])
      const seen: boolean[] = []
      for (const params of requests) seen.push((await klines(replay, { limit: 1, ...params })).status === 500)
      return seen
    }
    const same: Params[] = Array.from({ length: 5 }, () => ({}))
    test.same(await fired({}, same), [true, true, true, true, true])
    test.same(await fired({ nth: 2 }, same), [false, true, false, false, false])
    test.same(await fired({ nth: 2, times: 2 }, same), [false, true, true, false, false])
    test.same(await fired({ times: 1 }, same), [true, false, false, false, false])
    test.same(await fired({ every: 2 }, same), [true, false, true, false, true])
    test.same(await fired({ path: 'time' }, same), Array(5).fill(false))
    test.same(await fired({ path: 'klines', symbol: 'ETHUSDT' }, [{}, { symbol: 'ETHUSDT' }]), [false, true])
    const startTimes = [{}, { startTime: 9 }, { startTime: 10 }, { startTime: 20 }, { startTime: 21 }]
    test.same(await fired({ startTime: { from: 10, to: 20 } }, startTimes), [false, false, true, true, false])
    replay.setFaults([])
  })
})

await t.test('the recordings', { skip }, async group => {
  group.ok(hasMarketData(), `are in ${marketDataDir()}`)
  const end = Date.parse('2026-03-16T04:00:00Z')
  const clock = new ReplayClock({ at: end, rate: 0 })
  const replay = await replayFor(group, {
    source: recordedSource({ withDelisted: true }),
    clock,
    enforce: false,
  })

  await group.test('come back text for text, page by page', async test => {
    for (const symbol of ['BTCUSDT', '1000BONKUSDT', 'PENGUUSDT']) {
      const served: string[] = []
      for (let startTime = 0; ; ) {
        const { body } = await klines(replay, { symbol, startTime, limit: 1499 })
        served.push(...body.map(row => [...row.slice(0, 6), row[7]].join()))
        if (body.length < 1499) break
        startTime = body.at(-1)![0] + 1
      }
      test.strictSame(served, linesOf(`candles/${symbol}-4h.csv.gz`), symbol)
      test.strictSame(
        recordedCandles(symbol).map(row => Object.values(row).join()),
        served,
        'the oracle for tests too',
      )
    }
  })

  await group.test('have trades and taker columns made up from the volume, always the same', async test => {
    const { body, text } = await klines(replay, { limit: 100 })
    test.equal((await klines(replay, { limit: 100 })).text, text)
    for (const row of body) {
      test.ok(Number.isInteger(row[8]) && row[8] > 0)
      test.ok(Number(row[9]) < Number(row[5]) && Number(row[10]) < Number(row[7]))
    }
  })

  await group.test('add up to days; hours were not recorded and are refused', async test => {
    // BTCUSDT goes from four digits to five and back in 2020: highest and lowest are not those of its texts.
    for (const symbol of ['PENGUUSDT', 'BTCUSDT']) {
      const { body } = await klines(replay, { symbol, interval: '1d', startTime: 0, limit: 1500 })
      const fine = await klines(replay, { symbol, startTime: 0, limit: 1500 })
      test.same(body.slice(0, 200), sums(fine.body, 6 * step).slice(0, 200), symbol)
      const newest = await klines(replay, { symbol, interval: '1d', endTime: body.at(-1)![0], limit: 3 })
      test.same(newest.body, body.slice(-3))
    }
    test.match((await klines(replay, { interval: '1h' })).body, { code: -1120 })
  })

  await group.test('end where they end, and the last candle forms before', async test => {
    replay.clock.set(end - step / 2)
    const [before, forming] = (await klines(replay, { limit: 2 })).body
    replay.clock.set(end + 100 * step)
    const [last, whole] = (await klines(replay, { limit: 2 })).body
    test.same(before, last)
    test.notSame(forming, whole)
    test.equal(whole?.[0], end - step)
    replay.clock.set(end)
  })

  await group.test('list 608 symbols and the delisted one', async test => {
    const { symbols: listed, serverTime } = await exchangeInfo(replay)
    test.equal(serverTime, end)
    test.equal(listed.length, 609)
    test.equal(listed.filter(({ status }) => status === 'SETTLING').length, 66)
    test.same((await klines(replay, { symbol: 'POLUSDT' })).body, [], 'listed without recorded candles: none')
    test.match((await klines(replay, { symbol: 'LPUSDT' })).body, { code: -1121 })
    test.match((await klines(replay, { symbol: '../symbols' })).body, { code: -1121 })

    const matic = (await klines(replay, { symbol: 'MATICUSDT', limit: 1 })).body
    test.same(times(matic), [Date.parse('2024-09-11T08:00:00Z')])
    const strict = recordedSource()
    test.notOk(strict.has('MATICUSDT'))
    test.equal(strict.exchangeInfo(end).symbols.length, 608)
  })

  await group.test(
    'of all twelve columns come back whole, but for the candle that was recorded while it formed',
    async test => {
      const { body } = await klines(replay, { symbol: 'SKRUSDT', limit: 1500 })
      const served = body.map(row => row.slice(0, 11).join())
      test.strictSame(served, linesOf('faults/SKRUSDT-4h.12col.csv.gz').slice(0, -1))
    },
  )
})

await t.test('ccxt reads klines and markets from it', async group => {
  const { default: binanceusdm } = await import(
    new URL('./src/binanceusdm.js', import.meta.resolve('ccxt')).href
  )
  const client = (replay: Replay) => {
    const exchange = new binanceusdm({ enableRateLimit: false })
    exchange.urls.api.fapiPublic = `${replay.url}/fapi/v1`
    return exchange
  }
  const replay = await replayFor(group)
  const exchange = client(replay)
  const request = { symbol: 'BTCUSDT', interval: '4h', startTime: noon - 9 * step, limit: 5 }
  const rows: KlineRow[] = await exchange.fapiPublicGetKlines(request)
  group.strictSame(rows, (await klines(replay, request)).body)
  group.equal(exchange.last_response_headers['X-Mbx-Used-Weight-1m'], '1')
  await exchange.loadMarkets()
  group.same(
    symbols.map(symbol => exchange.market(symbol).active),
    [true, true, false, true],
  )
  const [candle]: number[][] = await exchange.fetchOHLCV('BTC/USDT:USDT', '4h', noon - 9 * step, 5)
  group.strictSame(candle, rows[0]?.slice(0, 6).map(Number))

  replay.setFaults([
    { do: { kind: 'refuse' }, when: { nth: 1 } },
    { do: { kind: 'named', name: 'bad-symbol' } },
  ])
  await group.rejects(exchange.fapiPublicGetKlines(request), { name: 'NetworkError' })
  await group.rejects(exchange.fapiPublicGetKlines(request), { name: 'BadSymbol' })

  await group.test('the recorded listing too', { skip }, async test => {
    const recorded = client(await replayFor(test, { source: recordedSource() }))
    await recorded.loadMarkets()
    test.equal(Object.keys(recorded.markets).length, 608)
    test.equal(recorded.market('BTCUSDT').active, true)
  })
})

await t.test('a process of its own serves and is steered from outside', async test => {
  const script = fileURLToPath(new URL('./support/exchange/serve.mts', import.meta.url))
  const flags = '--symbols AUSDT,BUSDT --at 2024-05-05T12:00:00Z --rate 0 --weight-limit 50'.split(' ')
  const child = spawn(process.execPath, [script, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] })
  test.teardown(() => child.kill('SIGKILL'))
  const [line]: string[] = await once(createInterface(child.stdout), 'line')
  const ready: { url: string; pid: number } = JSON.parse(line ?? '')
  test.equal(ready.pid, child.pid)
  test.strictSame((await get(ready, 'time')).body, { serverTime: noon })
  test.equal((await klines(ready, { symbol: 'BUSDT', limit: 2 })).body.length, 2)

  const steer = async (action: string, body?: unknown) => {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const response = await fetch(`${ready.url}/__replay/${action}`, init)
    return { status: response.status, state: parsed(await response.text()) }
  }
  test.equal((await steer('clock', { at: noon + step })).state.now, noon + step)
  test.strictSame((await get(ready, 'time')).body, { serverTime: noon + step })
  await steer('faults', [{ when: { times: 1 }, do: { kind: 'rows', mutate: 'nullRow' } }])
  test.ok((await klines(ready, { symbol: 'AUSDT', limit: 5 })).text.includes('null'))
  test.match((await steer('stats')).state, {
    requests: 4,
    totalWeight: 4,
    count429: 0,
    faults: [{ fired: 1 }],
  })
  const bad = [{ kind: 'rows', mutate: 'nulRow' }, { kind: 'named', name: 'geo-452' }, { kind: 'flood' }]
  for (const fault of bad)
    test.equal((await steer('faults', [{ do: fault }])).status, 400, JSON.stringify(fault))
  test.equal((await steer('nothing')).status, 400)
  test.match((await steer('reset', {})).state, { requests: 0, faults: [] })

  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  test.same(await ended, [0, null])
})

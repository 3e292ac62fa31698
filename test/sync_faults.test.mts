import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { execute, query, storedCandles } from './support/agent_database.ts'
import { expectStatus } from './support/command.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import type { Fault, FaultRule } from './support/exchange/faults.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { type RowMutationName, rowMutations } from './support/exchange/row_mutations.ts'
import type { KlineRow } from './support/exchange/source.ts'
import { makeWorkspace } from './support/workspace.ts'

// Each fault befalls one symbol of three (or the whole exchange), by the real command: what is said of it, what is
// stored, the exit status, and that the next run makes it good.

const now = '2024-05-05T01:00:00Z'
const step = 14_400_000
const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
const source = generatedSource({ symbols })
const replay = await startReplay({ source, clock: new ReplayClock({ at: now, rate: 0 }) })
t.teardown(() => replay.close())

/** A week of candles: what a sound sync stores. */
const lastClosed = Date.parse('2024-05-04T20:00:00Z')
const week = { from: lastClosed - 7 * 86_400_000 + step, to: lastClosed, limit: 1500 }
const truth = (symbol: string) => source.candles(symbol, '4h', week)

/** The open times of a symbol's candles that are stored exactly as the exchange has them. */
function soundTimes(database: string, symbol: string): number[] {
  const right = new Map(truth(symbol).map(row => [row[0], row]))
  const stored = storedCandles(database, 'ohlcv_h4', symbol)
  return stored
    .filter(row => {
      const [, open, high, low, close, volume, , quoteVolume, trades] = right.get(row.timestamp) ?? []
      const { open: o, high: h, low: l, close: c, volume: v, quote_volume: q, trades_count: n } = row
      return (
        [o, h, l, c, v, q, n].join() ===
        [open, high, low, close, volume, quoteVolume, trades].map(Number).join()
      )
    })
    .map(({ timestamp }) => timestamp)
}

type Expected = {
  status: number
  /** What the symbol's line in the report says. */
  says: RegExp
  /** Candles of the symbol that are stored, of 42. */
  stored: number
  quarantined?: number
}

type Case = Expected & { title: string; fault: Fault; when?: FaultRule['when'] }

const once = { nth: 1 }
/** Beyond the one request and all its further tries. */
const always = {}

const cases: Case[] = [
  {
    title: 'HTML with status 200, once',
    fault: { kind: 'html200' },
    when: once,
    status: 0,
    says: /HTML instead of JSON; asked again after .*complete all the same/,
    stored: 42,
  },
  {
    title: 'HTML with status 200, always',
    fault: { kind: 'html200' },
    when: always,
    status: 2,
    says: /HTML instead of JSON; asked again after 10 ms, 20 ms; given up; .*nothing stored/,
    stored: 0,
  },
  {
    title: 'cut-off JSON with status 200, once',
    fault: { kind: 'truncated200' },
    when: once,
    status: 0,
    says: /cut-off JSON; asked again/,
    stored: 42,
  },
  {
    title: 'cut-off JSON with status 200, always',
    fault: { kind: 'truncated200' },
    when: always,
    status: 2,
    says: /cut-off JSON; .*given up/,
    stored: 0,
  },
  {
    title: 'an object where a list is expected',
    fault: { kind: 'object200' },
    when: always,
    status: 2,
    says: /not a list but object; .*given up/,
    stored: 0,
  },
  { title: 'null', fault: { kind: 'null200' }, when: always, status: 2, says: /null; .*given up/, stored: 0 },
  {
    title: 'an empty page, once',
    fault: { kind: 'emptyPage' },
    when: { nth: 2 },
    status: 0,
    says: /no candles where there must be some; asked again/,
    stored: 42,
  },
  {
    title: 'empty pages, always',
    fault: { kind: 'emptyPage' },
    when: { nth: 2, times: 99 },
    status: 2,
    says: /no candles where there must be some; .*given up/,
    stored: 0,
  },
  {
    title: 'a connection cut in mid-body, once',
    fault: { kind: 'cut' },
    when: once,
    status: 0,
    says: /the connection failed \(ECONNRESET\); asked again/,
    stored: 42,
  },
  {
    title: 'connections cut in mid-body, always',
    fault: { kind: 'cut' },
    when: always,
    status: 2,
    says: /the connection failed .*given up/,
    stored: 0,
  },
  {
    title: 'connections closed before the answer',
    fault: { kind: 'refuse' },
    when: always,
    status: 2,
    says: /the connection failed .*given up/,
    stored: 0,
  },
  {
    title: 'a 10-second stall before the answer, once',
    fault: { kind: 'stall', ms: 10_000 },
    when: once,
    status: 0,
    says: /no answer within 2 s; asked again/,
    stored: 42,
  },
  {
    title: 'a 10-second stall in mid-body, once',
    fault: { kind: 'stall', ms: 10_000, where: 'body' },
    when: once,
    status: 0,
    says: /no answer within 2 s; asked again/,
    stored: 42,
  },
  {
    title: 'stalls, always',
    fault: { kind: 'stall', ms: 10_000 },
    when: always,
    status: 2,
    says: /no answer within 2 s; .*given up/,
    stored: 0,
  },
  {
    title: '429 with Retry-After, once',
    fault: { kind: 'named', name: 'rate-429-futures', retryAfter: 1 },
    when: once,
    status: 0,
    says: /too many requests \(429\).*asked again after 1\.0 s/,
    stored: 42,
  },
  {
    title: '429 without an end',
    fault: { kind: 'status', status: 429, json: { code: -1003, msg: 'Too many requests' } },
    when: always,
    status: 2,
    says: /too many requests \(429\): -1003 .*given up/,
    stored: 0,
  },
  {
    title: '451',
    fault: { kind: 'named', name: 'geo-451' },
    when: always,
    status: 2,
    says: /refused where this server stands \(451\).*given up/,
    stored: 0,
  },
  {
    title: '403 with HTML',
    fault: { kind: 'named', name: 'geo-403-cloudfront' },
    when: always,
    status: 2,
    says: /refused to this address \(403\): .*The request could not be satisfied/,
    stored: 0,
  },
  {
    title: '500, once',
    fault: { kind: 'named', name: 'internal' },
    when: once,
    status: 0,
    says: /server error \(500\): -1001 .*asked again/,
    stored: 42,
  },
  {
    title: '500, always',
    fault: { kind: 'named', name: 'internal' },
    when: always,
    status: 2,
    says: /server error \(500\): -1001 .*given up/,
    stored: 0,
  },
  {
    title: '502 with HTML',
    fault: { kind: 'named', name: 'gateway-502' },
    when: always,
    status: 2,
    says: /server error \(502\).*given up/,
    stored: 0,
  },
  {
    title: '503 overload (-1008), once',
    fault: { kind: 'named', name: 'overload' },
    when: once,
    status: 0,
    says: /server error \(503\): -1008 .*asked again/,
    stored: 42,
  },
  {
    title: '-1121 for a listed symbol',
    fault: { kind: 'named', name: 'bad-symbol' },
    when: always,
    status: 2,
    says: /rejected \(400\): -1121 Invalid symbol\.; given up/,
    stored: 0,
  },
  ...rowCase('nullRow', /1 row not stored: null where a row is expected/),
  ...rowCase('objectRow', /1 row not stored: not a row/),
  ...rowCase('shortRow', /1 row not stored: 11 columns, not 12/),
  ...rowCase('misaligned', /1 row not stored: open time off the grid/),
  ...rowCase('outsideRange', /1 row not stored: open time outside the range/),
  ...rowCase('nanText', /1 row not stored: \w+ is not a number/),
  ...rowCase('emptyText', /1 row not stored: \w+ is not a number/),
  ...rowCase('nullCell', /1 row not stored: \w+ is not a number/),
  ...rowCase('infinite', /1 row not stored: \w+ is not a number/),
  ...rowCase('negativeVolume', /1 row not stored: negative volume/),
  ...rowCase('lowAboveHigh', /1 row not stored: low above high/),
  ...rowCase('closeAboveHigh', /1 row not stored: open or close outside low to high/),
  ...rowCase('wrongOrder', /1 row not stored: open time before that of the row above/),
  { ...rowCase('duplicateRow', /1 row not stored: the same row twice/)[0]!, status: 0, stored: 42 },
  { ...rowCase('hole', /lacks 2024-0.*the rest is stored/)[0]!, quarantined: 0, stored: 28 },
]

/** One row of the page is spoilt: it is kept in quarantine, and all the others are stored. */
function rowCase(mutate: RowMutationName, says: RegExp): Case[] {
  const fault = { kind: 'rows', mutate } as const
  return [
    {
      title: `a spoilt row: ${mutate}`,
      fault,
      when: { nth: 2, times: 99 },
      status: 2,
      says,
      stored: 41,
      quarantined: 1,
    },
  ]
}

await t.test(
  'each fault of one symbol is one line in the report, and the others are stored',
  { jobs: 2 },
  async group => {
    for (const { title, fault, when = {}, status, says, stored, quarantined = 0 } of cases) {
      await group.test(title, async test => {
        const [rule] = replay.setFaults([{ when: { ...when, path: 'klines', symbol: 'ETHUSDT' }, do: fault }])
        const workspace = makeWorkspace(test, { url: replay.url, symbols, now })
        if (fault.kind === 'stall') {
          workspace.configure(sheet => Object.assign(sheet.sync, { request_timeout_seconds: 2 }))
        }
        const ended = await workspace.run('daily_candle_sync', [])

        test.ok((rule?.fired ?? 0) > 0, 'the fault really happened')
        expectStatus(test, ended, status)
        const lines = ended.stdout.split('\n').filter(line => line.includes('ETHUSDT'))
        test.equal(lines.length, 1, 'one line about it')
        test.match(lines[0], says)
        test.match(ended.stdout.trimEnd().split('\n').at(-1), status === 0 ? /^✅ 3\/3 / : /^⚠️ 2\/3 /)
        test.equal(storedCandles(workspace.database, 'ohlcv_h4', 'ETHUSDT').length, stored)
        test.equal(soundTimes(workspace.database, 'ETHUSDT').length, stored, 'nothing but what is true')
        test.equal(soundTimes(workspace.database, 'BTCUSDT').length, 42)
        test.equal(soundTimes(workspace.database, 'SOLUSDT').length, 42)
        const kept = query(join(workspace.state, 'ops.db'), 'SELECT * FROM quarantined_rows')
        test.equal(kept.length, quarantined, 'rows in quarantine')

        replay.setFaults([])
        expectStatus(test, await workspace.run('daily_candle_sync', []), 0)
        test.equal(soundTimes(workspace.database, 'ETHUSDT').length, 42, 'the next run makes it good')
      })
    }
    const untried = Object.keys(rowMutations).filter(
      name => !cases.some(({ title }) => title.endsWith(` ${name}`)),
    )
    group.strictSame(
      untried.sort(),
      ['future', 'numberForString'],
      'every kind of spoilt row is tried, but two',
    )
  },
)

await t.test('what is wrong with the whole exchange', async group => {
  const fresh = async (test: Test, rules: FaultRule[], args: string[] = []) => {
    replay.reset()
    const active = replay.setFaults(rules)
    const workspace = makeWorkspace(test, { url: replay.url, symbols, now })
    const ended = await workspace.run('daily_candle_sync', args)
    test.ok(
      active.every(rule => rule.fired > 0),
      'the faults really happened',
    )
    return { workspace, ended }
  }

  await group.test('down altogether: it fails, says why, and stores nothing', async test => {
    const { ended } = await fresh(test, [{ do: { kind: 'named', name: 'gateway-502' } }])
    expectStatus(test, ended, 1)
    test.match(ended.stdout, /❌ .*server error \(502\)/)
  })

  await group.test('a clock hours ahead: no forming candle is stored, and it says so', async test => {
    const rule: FaultRule = { when: { path: 'time' }, do: { kind: 'clockOffset', ms: 5 * 3_600_000 } }
    const { ended, workspace } = await fresh(test, [rule])
    expectStatus(test, ended, 2)
    test.match(
      ended.stdout,
      /the exchange's clock is 5 h ahead of this machine's; only candles that are closed by both/,
    )
    for (const symbol of symbols) test.equal(soundTimes(workspace.database, symbol).length, 42)
    test.equal(storedCandles(workspace.database).length, 3 * 42)
  })

  await group.test('a clock hours behind: what it calls closed is stored, and it says so', async test => {
    const rule: FaultRule = { when: { path: 'time' }, do: { kind: 'clockOffset', ms: -5 * 3_600_000 } }
    const { ended, workspace } = await fresh(test, [rule])
    expectStatus(test, ended, 2)
    test.match(ended.stdout, /the exchange's clock is 5 h behind this machine's/)
    test.equal(
      Math.max(...storedCandles(workspace.database).map(row => row.timestamp)),
      lastClosed - 2 * step + step,
    )
  })

  await group.test('an old hole in its history does not keep fresh candles out', async test => {
    const { workspace, ended } = await fresh(test, [], ['--since', '2024-01-01'])
    expectStatus(test, ended, 0)
    // what is stored lacks two candles that the exchange does not have either: one far back, one among the newest
    const holes = [lastClosed - 600 * step, lastClosed - 5 * step]
    execute(workspace.database, `DELETE FROM ohlcv_h4 WHERE timestamp IN (${holes.join()})`)
    execute(join(workspace.state, 'ops.db'), 'DELETE FROM candle_seals')
    const without = (rows: KlineRow[]) => rows.filter(([time]) => !holes.includes(time))
    replay.setFaults([{ when: { path: 'klines' }, do: { kind: 'rows', mutate: without } }])
    const tomorrow = '2024-05-06T01:00:00Z'
    replay.clock.set(tomorrow)
    const later = await workspace.run('daily_candle_sync', ['--json'], { env: { CANDLEKEEP_NOW: tomorrow } })
    replay.clock.set(now)
    expectStatus(test, later, 2)
    test.equal(later.json?.inserted, 3 * 6, 'all fresh candles are stored')
    test.match(
      later.stderr,
      /BTCUSDT .*no candles where there must be some.*lacks 2024-01-25 20:00 UTC, 2024-05-04 00:00 UTC; the rest is stored/,
    )
  })

  await group.test('no answer to where a symbol begins: that symbol is not called complete', async test => {
    const { ended } = await fresh(test, [
      { when: { path: 'klines', symbol: 'ETHUSDT' }, do: { kind: 'emptyPage' } },
    ])
    expectStatus(test, ended, 2)
    test.match(ended.stdout, /ETHUSDT .*the exchange has no closed candle of it yet/)
  })

  await group.test('a backfill whose beginning is not answered is not called complete', async test => {
    const { workspace, ended } = await fresh(test, [])
    expectStatus(test, ended, 0)
    execute(join(workspace.state, 'ops.db'), 'DELETE FROM first_candles')
    replay.setFaults([{ when: { path: 'klines', symbol: 'ETHUSDT' }, do: { kind: 'emptyPage' } }])
    const backfill = await workspace.run('daily_candle_sync', ['--since', '2024-01-01'])
    expectStatus(test, backfill, 2)
    test.match(backfill.stdout, /ETHUSDT .*no candles where there must be some/)
  })

  await group.test(
    'a list of symbols with an entry that is none is a bad answer, not a defect',
    async test => {
      const info = { rateLimits: [null], symbols: [null, { symbol: 'BTCUSDT', status: 'TRADING' }] }
      const { ended } = await fresh(test, [
        { when: { path: 'exchangeInfo' }, do: { kind: 'status', status: 200, json: info } },
      ])
      expectStatus(test, ended, 1)
      test.match(ended.stdout, /❌ a bad answer with status 200: an entry that is no symbol/)
      test.notMatch(ended.stdout, /defect/)
    },
  )

  await group.test('when a run fails, it does not go on asking', async test => {
    const refuse: FaultRule = { when: { path: 'time' }, do: { kind: 'named', name: 'geo-451' } }
    const wait: FaultRule = {
      when: { path: 'exchangeInfo' },
      do: { kind: 'named', name: 'rate-429-futures', retryAfter: 600 },
    }
    const { ended } = await fresh(test, [refuse, wait])
    expectStatus(test, ended, 1)
    test.equal(replay.requests.length, 2, 'and ends, ten minutes before it would have asked again')
  })

  await group.test('symbols --fix refuses to empty the list', async test => {
    const { workspace } = await fresh(test, [])
    workspace.configure(sheet => (sheet.sync.symbols = ['AAAUSDT', 'BBBUSDT', 'CCCUSDT', 'BTCUSDT']))
    const before = readFileSync(workspace.file, 'utf8')
    const fixed = await workspace.run('symbols', ['--fix'])
    expectStatus(test, fixed, 1)
    test.match(fixed.stdout, /only 1 of 4 symbols would be left: nothing was written/)
    test.equal(readFileSync(workspace.file, 'utf8'), before)
  })

  await group.test('a ban: everything stops at once, and no later run asks before it ends', async test => {
    const ban: Fault = { kind: 'named', name: 'ban-418-futures-recorded-2021', retryAfter: 7200 }
    const { ended, workspace } = await fresh(test, [{ when: { path: 'klines', nth: 2 }, do: ban }])
    test.ok(ended.status === 2 || ended.status === 1, `status ${ended.status}`)
    test.match(ended.stderr, /bans this address until 2024-05-05 03:00 UTC/)
    const asked = replay.requests.length
    const again = await workspace.run('daily_candle_sync')
    expectStatus(test, again, 1)
    test.match(again.stdout, /bans this address until 2024-05-05 03:00 UTC: nothing was asked/)
    test.equal(replay.requests.length, asked, 'not one request')
    replay.clock.set('2024-05-05T03:01:00Z')
    const later = await workspace.run('daily_candle_sync', [], {
      env: { CANDLEKEEP_NOW: '2024-05-05T03:01:00Z' },
    })
    expectStatus(test, later, 0)
    replay.clock.set(now)
  })

  await group.test('a short ban is sat out within the run', async test => {
    const ban: Fault = { kind: 'named', name: 'ban-418-futures-recorded-2021', retryAfter: 2 }
    const { ended, workspace } = await fresh(test, [{ when: { path: 'klines', nth: 2 }, do: ban }])
    expectStatus(test, ended, 0)
    test.equal(storedCandles(workspace.database).length, 3 * 42)
  })

  await group.test('an address that is refused stops asking after three refusals', async test => {
    const { ended } = await fresh(test, [
      { when: { path: 'klines' }, do: { kind: 'named', name: 'geo-451' } },
    ])
    expectStatus(test, ended, 1)
    test.equal(replay.requests.filter(({ path }) => path.endsWith('/klines')).length, 3)
  })
})

await t.test('symbols that cannot be traded are named, left out, and not counted', async group => {
  const mixed = generatedSource({
    symbols: [...symbols, 'POLUSDT', 'GONEUSDT', '币安人生USDT'],
    settling: { GONEUSDT: '2024-05-01' },
  })
  const other = await startReplay({ source: mixed, clock: new ReplayClock({ at: now, rate: 0 }) })
  group.teardown(() => other.close())
  const list = ['BTCUSDT', 'GONEUSDT', 'MATICUSDT', 'ETНUSDT', 'BTCUSD', '币安人生USDT']
  const workspace = makeWorkspace(group, { url: other.url, symbols: list, now })

  const ended = await workspace.run('daily_candle_sync')
  expectStatus(group, ended, 0)
  group.match(ended.stdout, /GONEUSDT +the exchange lists it as SETTLING; not synced/)
  group.match(
    ended.stdout,
    /MATICUSDT +the exchange does not list it; MATIC has become POL → POLUSDT; not synced/,
  )
  group.match(ended.stdout, /ETНUSDT +has letters that only look Latin: Н \(U\+041D\) → ETHUSDT; not synced/)
  group.match(ended.stdout, /BTCUSD +the exchange does not list it; did you mean BTCUSDT\?; not synced/)
  group.match(ended.stdout, /✅ 2\/2 .* 4 not trading/)

  const judged = await workspace.run('symbols')
  expectStatus(group, judged, 2)
  group.match(judged.stdout, /⚠️ 2\/6 symbols trade/)

  const before = JSON.parse(JSON.stringify(query(workspace.database, 'SELECT count(*) FROM ohlcv_h4')))
  const fixed = await workspace.run('symbols', ['--fix'])
  expectStatus(group, fixed, 0)

  const sheet = JSON.parse(readFileSync(workspace.file, 'utf8'))
  group.strictSame(sheet.sync.symbols, ['BTCUSDT', 'POLUSDT', 'ETHUSDT', '币安人生USDT'])
  group.strictSame(
    query(workspace.database, 'SELECT count(*) FROM ohlcv_h4'),
    before,
    'the database is not touched',
  )
  expectStatus(group, await workspace.run('symbols'), 0)
})

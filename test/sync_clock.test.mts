import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { storedCandles } from './support/agent_database.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import type { FaultRule } from './support/exchange/faults.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { type Interval, steps } from './support/exchange/source.ts'
import { idleClock } from './support/idle_clock.ts'
import { checkAsync, runs, seed } from './support/properties.ts'
import { clockLike, syncHere } from './support/sync_here.ts'
import { makeWorkspace } from './support/workspace.ts'

// No candle that is still forming is ever stored, whatever the clocks say; and the request budget is kept.

t.comment(`FC_SEED=${seed}`)

await t.test('no forming candle is stored and no closed one is left out, at any clock', async test => {
  const source = generatedSource({ symbols: ['BTCUSDT', 'ETHUSDT'], onboard: '2024-01-01' })
  const exchangeClock = new ReplayClock({ rate: 0 })
  const replay = await startReplay({ source, clock: exchangeClock, enforce: false })
  test.teardown(() => replay.close())
  let machine = 0
  const ours = clockLike({ now: () => machine, rate: 0 })

  const minute = 60_000
  const from = Date.parse('2024-02-01T00:00:00Z')
  const scenario = fc.record({
    // near the edges of candles is where it goes wrong
    start: fc.oneof(
      fc.integer({ min: 0, max: 90 * 86_400_000 }),
      fc
        .tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: -3, max: 3 }))
        .map(([n, ms]) => n * 14_400_000 + ms),
    ),
    /** Time from run to run, and how far the machine's and the exchange's own clock are from the true time. */
    visits: fc.array(
      fc.record({
        later: fc.integer({ min: 0, max: 3 * 86_400_000 }),
        machineOff: fc.oneof(fc.constant(0), fc.integer({ min: -300 * minute, max: 300 * minute })),
        serverOff: fc.oneof(fc.constant(0), fc.integer({ min: -300 * minute, max: 300 * minute })),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    interval: fc.constantFrom<Interval>('1h', '4h', '1d'),
    lookback: fc.integer({ min: 1, max: 20 }),
  })

  await checkAsync(
    fc.asyncProperty(scenario, async ({ start, visits, interval, lookback }) => {
      const workspace = makeWorkspace(test, { url: replay.url, symbols: ['BTCUSDT', 'ETHUSDT'] })
      const step = steps[interval]
      let truth = from + start
      let trusted = 0
      for (const { later, machineOff, serverOff } of visits) {
        truth += later
        exchangeClock.set(truth)
        // both clocks wrong in the same direction is beyond what anybody could notice
        const wrong: FaultRule[] =
          machineOff > 0 ? [] : [{ when: { path: 'time' }, do: { kind: 'clockOffset', ms: serverOff } }]
        replay.setFaults(wrong)
        machine = truth + machineOff
        trusted = Math.max(trusted, Math.min(machine, wrong.length > 0 ? truth + serverOff : truth))
        await syncHere({
          workspace,
          clock: ours,
          interval,
          change: config => (config.sync.lookback = lookback),
        })
      }
      const table = { '1h': 'ohlcv_h1', '4h': 'ohlcv_h4', '1d': 'ohlcv_d1' }[interval]
      for (const symbol of ['BTCUSDT', 'ETHUSDT']) {
        const stored = storedCandles(workspace.database, table, symbol)
        const first = stored[0]?.timestamp ?? 0
        const right = source.candles(symbol, interval, { from: first, to: trusted - step, limit: 99_999 })
        const rows = stored.map(row => [
          row.timestamp,
          row.open,
          row.high,
          row.low,
          row.close,
          row.volume,
          row.trades_count,
        ])
        const expected = right.map(row => [
          row[0],
          ...[row[1], row[2], row[3], row[4], row[5], row[8]].map(Number),
        ])
        if (JSON.stringify(rows) !== JSON.stringify(expected)) {
          throw new Error(`${symbol}: ${rows.length} stored, ${expected.length} closed`)
        }
      }
    }),
    runs(60, 2000),
  )
  test.pass(`${runs(60, 2000)} histories of up to four runs`)
})

await t.test('a backfill uses its weight budget and gets not one 429', async group => {
  const theirs = 'limit=1500&ours=no'

  /** A backfill since 2020 that takes more than two minutes, beside a client that spends `eaten` of the weight in each minute. */
  async function backfill(test: Test, ratio: number, eaten: number) {
    const symbols = Array.from({ length: Math.ceil(ratio * 132) }, (_, i) => `COIN${i}USDT`)
    const source = generatedSource({ symbols, onboard: '2020-01-01' })
    const clock = new ReplayClock({ at: '2024-05-05T01:00:30Z', rate: 0 })
    const replay = await startReplay({ source, clock })
    test.teardown(() => replay.close())
    const workspace = makeWorkspace(test, { url: replay.url, symbols })

    let eating = { minute: 0, weight: eaten }
    const done = new AbortController()
    const hungry = () =>
      !done.signal.aborted && (Math.floor(clock.now() / 60_000) > eating.minute || eating.weight < eaten)
    const eat = async () => {
      while (!done.signal.aborted) {
        if (hungry()) {
          const minute = Math.floor(clock.now() / 60_000)
          if (minute > eating.minute) eating = { minute, weight: 0 }
          eating.weight += 10
          await fetch(`${replay.url}/fapi/v1/klines?symbol=COIN0USDT&interval=4h&${theirs}`).then(answer =>
            answer.text(),
          )
        }
        await new Promise(resolve => setImmediate(resolve))
      }
    }
    const other = eaten > 0 ? eat() : undefined
    const result = await syncHere({
      workspace,
      clock: idleClock(test, clock, eaten > 0 ? hungry : undefined),
      wishes: { since: Date.parse('2020-01-01') },
      change: config => Object.assign(config.sync, { weight_budget_ratio: ratio, timeout_minutes: 600 }),
    })
    done.abort()
    await other
    const byMinute = new Map<number, number>()
    for (const { at, weight, params } of replay.requests) {
      const minute = Math.floor(at / 60_000)
      if (params.ours !== 'no') byMinute.set(minute, (byMinute.get(minute) ?? 0) + weight)
    }
    test.ok(
      result.results.every(({ status }) => status === 'complete'),
      'everything is there',
    )
    test.equal(replay.stats.count429 + replay.stats.count418, 0, 'not one 429')
    const weights = [...byMinute.values()]
    test.comment(
      `weight by minute ${weights.join(' ')} of ${2400 * ratio}; of all ${Object.values(replay.stats.weightByMinute).join(' ')}`,
    )
    return weights
  }

  for (const ratio of [0.1, 0.5, 0.25, 0.9].slice(0, runs(2, 4))) {
    await group.test(`alone, with ${ratio} of the limit`, async test => {
      const weights = await backfill(test, ratio, 0)
      test.ok(weights.length > 1, 'one minute is not enough')
      for (const weight of weights) test.ok(weight <= 2400 * ratio, `never more: ${weight}`)
      // in the last minute there is not enough left to do
      for (const weight of weights.slice(0, -1))
        test.ok(weight >= 2400 * ratio * 0.9, `nine tenths at least: ${weight}`)
    })
  }
  await group.test('with another client at the same address that eats half of the limit', async test => {
    for (const weight of await backfill(test, 0.5, 1200)) test.ok(weight <= 1200, `never more: ${weight}`)
  })
})

await t.test('60 symbols cost at most 65 weight a day, and the plan says so beforehand', async test => {
  const symbols = Array.from({ length: 60 }, (_, i) => `COIN${i}USDT`)
  const source = generatedSource({ symbols, onboard: '2024-01-01' })
  const clock = new ReplayClock({ at: '2024-05-05T01:00:00Z', rate: 0 })
  const replay = await startReplay({ source, clock })
  test.teardown(() => replay.close())
  const workspace = makeWorkspace(test, { url: replay.url, symbols })
  const ours = clockLike(clock)
  await syncHere({ workspace, clock: ours })
  for (const day of [6, 7, 8]) {
    replay.reset()
    clock.set(`2024-05-0${day}T01:00:00Z`)
    const result = await syncHere({ workspace, clock: ours })
    test.equal(
      result.results.reduce((sum, { inserted }) => sum + inserted, 0),
      360,
    )
    test.ok(replay.stats.totalWeight <= 65, `weight ${replay.stats.totalWeight}`)
    test.equal(
      result.symbols.reduce((sum, { weight }) => sum + weight, 2),
      replay.stats.totalWeight,
    )
  }
})

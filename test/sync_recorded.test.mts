import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { formatTime } from '../scripts/job/time.ts'
import { execute, query, type StoredCandle, storedCandles } from './support/agent_database.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import {
  marketDataDir,
  recordedCandles,
  recordedSource,
  skipWithoutMarketData,
} from './support/exchange/recorded.ts'
import { Recording } from './support/exchange/recording.ts'
import { type Replay, startReplay } from './support/exchange/replay.ts'
import { makeWorkspace, type Workspace } from './support/workspace.ts'

const skip = skipWithoutMarketData() || skipWithoutPackages({ sqlite3: 'sqlite3' })
const step = 14_400_000
const shipped = JSON.parse(readFileSync(new URL('../conf/S2_1_CHEAT_SHEET.json', import.meta.url), 'utf8'))
const symbols = shipped.sync.symbols as string[]

/** A replay of the recordings whose weight limit is out of the way, and a workspace that uses it. */
async function recordedExchange(test: Test, at: string, chosen = symbols): Promise<[Replay, Workspace]> {
  const clock = new ReplayClock({ at, rate: 0 })
  const replay = await startReplay({ source: recordedSource(), clock, weightLimit: 1_000_000 })
  test.teardown(() => replay.close())
  return [replay, makeWorkspace(test, { url: replay.url, symbols: chosen, now: at })]
}

function atTime(replay: Replay, at: string) {
  replay.reset()
  replay.clock.set(at)
  return { env: { CANDLEKEEP_NOW: at } }
}

const klinesAsked = (replay: Replay) => replay.requests.filter(({ path }) => path.endsWith('/klines')).length

/** The recordings' closed candles at `now`, as the database should hold them; trade counts are not recorded. */
function truth(now: string, chosen: string[]): Omit<StoredCandle, 'trades_count'>[] {
  const closed = Date.parse(now) - step
  return chosen
    .flatMap(symbol =>
      recordedCandles(symbol).map(row => ({
        timestamp: Number(row.timestamp_ms),
        symbol,
        open: Number(row.open),
        high: Number(row.high),
        low: Number(row.low),
        close: Number(row.close),
        volume: Number(row.volume),
        quote_volume: Number(row.quote_volume),
      })),
    )
    .filter(({ timestamp }) => timestamp <= closed)
}

/** The first difference between what is stored and what should be, or undefined. */
function difference(file: string, now: string, chosen = symbols): string | undefined {
  const expected = new Map(truth(now, chosen).map(row => [`${row.timestamp} ${row.symbol}`, row]))
  for (const { trades_count, ...row } of storedCandles(file)) {
    const key = `${row.timestamp} ${row.symbol}`
    const right = expected.get(key)
    if (right === undefined) return `stored, but not recorded: ${key}`
    for (const [column, value] of Object.entries(right)) {
      if (!Object.is(row[column as keyof typeof row], value)) return `${key}: ${column} is not ${value}`
    }
    if (!Number.isInteger(trades_count)) return `${key}: trades_count`
    expected.delete(key)
  }
  const [lacking] = expected.keys()
  return lacking === undefined ? undefined : `recorded, but not stored: ${lacking}`
}

const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')

await t.test('over the recordings, from nothing to a complete history', { skip }, async group => {
  const [replay, workspace] = await recordedExchange(group, '2026-03-15T01:00:00Z')
  const { database } = workspace

  await group.test('a first sync with --since stores every closed candle, equal to the bit', async test => {
    const ended = await workspace.run('daily_candle_sync', ['--since', '2020-01-01', '--json'])
    expectStatus(test, ended, 0)
    test.match(ended.stderr, /✅ 60\/60 4h symbols complete up to 2026-03-14 20:00 UTC/)
    test.equal(difference(database, '2026-03-15T01:00:00Z'), undefined)
    test.equal(ended.json?.inserted, truth('2026-03-15T01:00:00Z', symbols).length)
    test.comment(ended.stderr.trim())
  })

  await group.test('sqlite3 finds the file sound and counts the same', async test => {
    const sqlite = (sql: string) => execFileSync('sqlite3', [database, sql], { encoding: 'utf8' }).trim()
    test.equal(sqlite('PRAGMA integrity_check'), 'ok')
    test.equal(sqlite('SELECT count(*) FROM ohlcv_h4'), String(truth('2026-03-15T01:00:00Z', symbols).length))
    test.equal(sqlite('SELECT count(DISTINCT symbol) FROM ohlcv_h4'), '60')
    const index = sqlite("SELECT tbl_name FROM sqlite_master WHERE name = 'idx_ohlcv_h4_symbol'")
    test.equal(index, 'ohlcv_h4')
  })

  for (const args of [[], ['--since', '2020-01-01']]) {
    await group.test(`a second run ${args.join(' ')} fetches nothing and changes nothing`, async test => {
      const before = digest(database)
      const ended = await workspace.run('daily_candle_sync', args, atTime(replay, '2026-03-15T01:00:00Z'))
      expectStatus(test, ended, 0)
      test.match(ended.stdout, /✅ 60\/60 .* 0 candles added/)
      test.equal(klinesAsked(replay), 0)
      test.equal(digest(database), before)
    })
  }

  await group.test('a day later it adds six candles a symbol, for at most 65 weight', async test => {
    const ended = await workspace.run('daily_candle_sync', ['--json'], atTime(replay, '2026-03-16T01:00:00Z'))
    expectStatus(test, ended, 0)
    test.equal(ended.json?.inserted, 6 * 60)
    test.equal(ended.json?.revised, 0)
    test.equal(difference(database, '2026-03-16T01:00:00Z'), undefined)
    test.equal(replay.stats.totalWeight, ended.json?.weight, 'it counts as the exchange does')
    test.ok(replay.stats.totalWeight <= 65, `weight ${replay.stats.totalWeight}`)
  })

  await group.test('rows deleted by hand from the middle come back', async test => {
    const hours = ['2021-05-19T12:00Z', '2021-05-19T16:00Z', '2024-02-29T00:00Z'].map(Date.parse)
    execute(database, `DELETE FROM ohlcv_h4 WHERE timestamp IN (${hours.join()})`)
    execute(database, `DELETE FROM ohlcv_h4 WHERE symbol = 'BTCUSDT' AND timestamp % 1728000000 = 0`)
    execute(
      database,
      `DELETE FROM ohlcv_h4 WHERE symbol = 'SUIUSDT' AND timestamp > ${Date.parse('2025-01-01')}`,
    )
    test.not(difference(database, '2026-03-16T01:00:00Z'), undefined)
    const ended = await workspace.run('daily_candle_sync', [], atTime(replay, '2026-03-16T01:00:00Z'))
    expectStatus(test, ended, 0)
    test.equal(difference(database, '2026-03-16T01:00:00Z'), undefined)
  })

  await group.test('the history says what each run did, and every month is sealed', async test => {
    const ops = join(workspace.state, 'ops.db')
    const outcomes = query<{ outcome: string }>(ops, 'SELECT outcome FROM runs ORDER BY id')
    test.strictSame(
      outcomes.map(({ outcome }) => outcome),
      Array(5).fill('done'),
    )
    const months = query<{ months: number }>(
      database,
      `SELECT count(DISTINCT symbol || strftime('%Y-%m', timestamp / 1000, 'unixepoch')) AS months FROM ohlcv_h4`,
    )
    const seals = query<{ seals: number }>(
      ops,
      'SELECT count(*) AS seals FROM candle_seals WHERE pending_digest IS NULL',
    )
    test.equal(seals[0]?.seals, months[0]?.months)
  })
})

await t.test('runs a day and three days apart leave no gap', { skip }, async test => {
  const [replay, workspace] = await recordedExchange(test, '2026-03-12T01:00:00Z')
  const missed = ['2026-03-12T01:00:00Z', '2026-03-13T01:00:00Z', '2026-03-16T01:00:00Z']
  for (const [i, at] of missed.entries()) {
    const args = i === 0 ? ['--since', '2026-01-01', '--json'] : ['--json']
    const ended = await workspace.run('daily_candle_sync', args, atTime(replay, at))
    expectStatus(test, ended, 0)
    const since = Date.parse('2026-01-01')
    const expected = truth(at, symbols).filter(({ timestamp }) => timestamp >= since)
    test.equal(storedCandles(workspace.database).length, expected.length, formatTime(Date.parse(at)))
    if (i > 0) test.equal(ended.json?.inserted, 60 * [0, 6, 18][i]!)
  }
})

await t.test('frozen partial candles are repaired, each as a recorded revision', { skip }, async group => {
  const chosen = ['BTCUSDT', 'ETHUSDT', 'LTCUSDT', 'XRPUSDT']
  const file = (symbol: string, kind: string) => join(marketDataDir(), `faults/${symbol}-4h.${kind}.csv.gz`)
  const tails = new Map(chosen.map(symbol => [symbol, new Recording(file(symbol, '2026-tail'), step)]))
  const now = '2026-03-25T17:00:00Z'
  const source = {
    ...recordedSource(),
    candles: (
      symbol: string,
      _interval: string,
      page: { from?: number | undefined; to: number; limit: number },
    ) => tails.get(symbol)?.page(page) ?? [],
  }
  const replay = await startReplay({ source, clock: new ReplayClock({ at: now, rate: 0 }) })
  group.teardown(() => replay.close())
  const workspace = makeWorkspace(group, { url: replay.url, symbols: chosen, now })
  workspace.configure(sheet => Object.assign(sheet.sync, { history_days: 50 }))
  const first = await workspace.run('daily_candle_sync', ['--since', '2026-03-01'])
  expectStatus(group, first, 0)

  // what a collector that stored unclosed candles left behind, in place of the truth
  const frozen: { symbol: string; timestamp: number }[] = []
  for (const symbol of chosen) {
    const right = new Map(
      storedCandles(workspace.database, 'ohlcv_h4', symbol).map(row => [row.timestamp, row]),
    )
    for (const partial of new Recording(file(symbol, 'stored-partials'), step).cells()) {
      const timestamp = Number(partial.timestamp_ms)
      const same = ['open', 'high', 'low', 'close', 'volume'] as const
      if (same.every(column => Number(partial[column]) === right.get(timestamp)?.[column])) continue
      frozen.push({ symbol, timestamp })
      const set = same.map(column => `${column} = ${partial[column]}`).join(', ')
      execute(
        workspace.database,
        `UPDATE ohlcv_h4 SET ${set} WHERE symbol = '${symbol}' AND timestamp = ${timestamp}`,
      )
    }
  }
  group.equal(frozen.length, 28, 'seven of each symbol, as the recordings say')
  const ops = join(workspace.state, 'ops.db')
  // the collector was there before candlekeep: nothing of its months is sealed
  execute(ops, 'DELETE FROM candle_seals')

  await group.test('all of them, when the range is read again', async test => {
    const partials = frozen.map(({ symbol, timestamp }) => ({
      timestamp,
      old: storedCandles(workspace.database, 'ohlcv_h4', symbol).find(row => row.timestamp === timestamp),
    }))
    const ended = await workspace.run('daily_candle_sync', ['--since', '2026-03-01', '--reread', '--json'])
    expectStatus(test, ended, 0)
    test.equal(ended.json?.revised, 28)
    for (const symbol of chosen) {
      const right = tails
        .get(symbol)
        ?.page({ from: Date.parse('2026-03-01'), to: Date.parse(now) - step, limit: 9999 })
      const stored = storedCandles(workspace.database, 'ohlcv_h4', symbol)
      test.strictSame(
        stored.map(row => [row.timestamp, row.open, row.high, row.low, row.close, row.volume]),
        right?.map(row => row.slice(0, 6).map(Number)),
        symbol,
      )
    }
    const revisions = query<{ open_time: number; old: string }>(
      ops,
      'SELECT open_time, old FROM candle_revisions ORDER BY symbol, open_time',
    )
    test.equal(revisions.length, 28)
    for (const { timestamp, old } of partials) {
      const kept = revisions.some(
        row => row.open_time === timestamp && JSON.parse(row.old)[5] === old?.volume,
      )
      test.ok(kept, `the partial candle of ${formatTime(timestamp)} is kept in the history`)
    }
  })

  await group.test(
    'a flipped price is found by its seal at the next run, and the month is read again',
    async test => {
      const time = Date.parse('2026-03-03T08:00Z')
      execute(
        workspace.database,
        `UPDATE ohlcv_h4 SET close = close * 2 WHERE symbol = 'ETHUSDT' AND timestamp = ${time}`,
      )
      const ended = await workspace.run(
        'daily_candle_sync',
        ['--json'],
        atTime(replay, '2026-03-25T21:00:00Z'),
      )
      expectStatus(test, ended, 0)
      test.match(ended.stderr, /ETHUSDT .*2026-03 did not match its seal; all of it was read again/)
      test.equal(ended.json?.revised, 1)
    },
  )
})

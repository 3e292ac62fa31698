/**
 * How fast the daily sync is, beside ccxt's fetchOHLCV in a loop, and how fast the store takes candles. Whole
 * processes, an exchange of its own process with 100 ms latency, medians of five.
 *
 *     npm run bench:sync
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { Candle } from '../../scripts/candles/candle.ts'
import { type Batch, CandleStore } from '../../scripts/candles/store.ts'
import { clockFor } from '../../scripts/job/clock.ts'
import { measureNode, median, verdict } from './measure.ts'

const project = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'bench-sync-'))
const sheet = JSON.parse(readFileSync(join(project, 'conf/S2_1_CHEAT_SHEET.json'), 'utf8'))
const symbols = sheet.sync.symbols as string[]
const runs = 5
const [day1, day2] = ['2026-03-15T01:00:00Z', '2026-03-16T01:00:00Z']

const exchange = await startExchange()
try {
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}\n`)
  await benchDailySync()
  await benchStore()
} finally {
  exchange.process.kill()
  rmSync(folder, { recursive: true, force: true })
}

async function benchDailySync(): Promise<void> {
  const seed = join(folder, 'seed')
  const config = join(folder, 'cheat_sheet.json')
  const paths = { workspace: 'run', database: 'data/agent.db', state: 'state', logs: 'logs' }
  const script = join(project, 'scripts/daily_candle_sync.mts')
  writeFileSync(
    config,
    JSON.stringify({ ...sheet, $schema: '', paths, sync: { ...sheet.sync, base_url: exchange.url } }),
  )
  await exchange.set(day1)
  await measureNode([script], { CANDLEKEEP_CONFIG: config, CANDLEKEEP_NOW: day1 })
  cpSync(join(folder, 'run'), seed, { recursive: true })

  const ours: { seconds: number; megabytes: number }[] = []
  const theirs: typeof ours = []
  for (let i = 0; i < runs; i++) {
    rmSync(join(folder, 'run'), { recursive: true })
    cpSync(seed, join(folder, 'run'), { recursive: true })
    await exchange.set(day2)
    ours.push(await measureNode([script], { CANDLEKEEP_CONFIG: config, CANDLEKEEP_NOW: day2 }))
    await exchange.set(day2)
    const since = String(Date.parse(day2) - 10 * 14_400_000)
    const loop = join(import.meta.dirname, 'ccxt_loop.mjs')
    theirs.push(await measureNode([loop, exchange.url, join(folder, `ccxt${i}.db`), since, ...symbols], {}))
  }
  const [our, their] = [ours, theirs].map(all => median(all.map(({ seconds }) => seconds))) as [
    number,
    number,
  ]
  const memory = median(ours.map(({ megabytes }) => megabytes))
  verdict('daily sync of 60 symbols, wall time', `${our.toFixed(2)} s`, '≤ 2.0 s', our <= 2)
  verdict('daily sync of 60 symbols, peak memory', `${memory.toFixed(0)} MB`, '≤ 160 MB', memory <= 160)
  verdict(
    `the same by ccxt fetchOHLCV in a loop: ${their.toFixed(2)} s`,
    `${(their / our).toFixed(1)} times`,
    '≥ 5 times',
    their / our >= 5,
  )
}

async function benchStore(): Promise<void> {
  const perSymbol = 10_000
  const batches = symbols.map(symbol => ({ symbol, candles: candlesOf(perSymbol) }))
  const total = perSymbol * symbols.length
  console.log(
    `\nThe store alone: ${total.toLocaleString('en')} candles of ${symbols.length} symbols into an empty database`,
  )
  const groups: [string, number][] = [
    ['a symbol a transaction', 1],
    ['10 symbols a transaction', 10],
    ['all in one transaction', symbols.length],
  ]
  let best = 0
  for (const mode of ['delete', 'wal']) {
    for (const [name, size] of groups) {
      const rates: number[] = []
      for (let i = 0; i < 3; i++) rates.push(total / (await storeAll(mode, batches, size)))
      const rate = median(rates)
      best = Math.max(best, rate)
      console.log(
        `   ${`${name}, ${mode} mode`.padEnd(58)} ${Math.round(rate).toLocaleString('en').padStart(16)} /s`,
      )
    }
  }
  verdict(
    'storing, the best of these',
    `${Math.round(best).toLocaleString('en')} /s`,
    '≥ 300,000 /s',
    best >= 300_000,
  )
}

/** Seconds for all batches, `size` of them in each transaction, on disk and synced. */
async function storeAll(mode: string, batches: Batch[], size: number): Promise<number> {
  const file = join(folder, 'store.db')
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true })
  const made = new Database(file)
  made.pragma(`journal_mode = ${mode}`)
  made.close()
  const { signal } = new AbortController()
  const options = {
    interval: '4h',
    expected: false,
    readOnly: false,
    busyMs: 0,
    clock: clockFor(null),
    signal,
  } as const
  const store = await CandleStore.open({ file, ...options })
  const started = performance.now()
  for (let i = 0; i < batches.length; i += size) await store.save(batches.slice(i, i + size))
  const seconds = (performance.now() - started) / 1000
  store.close()
  return seconds
}

function candlesOf(count: number): Candle[] {
  return Array.from({ length: count }, (_, i) => ({
    openTime: Date.UTC(2020, 0) + i * 14_400_000,
    open: 100.1 + i,
    high: 101.2 + i,
    low: 99.3 + i,
    close: 100.7 + i,
    volume: 1234.5 + i,
    quoteVolume: 12_345_678.9 + i,
    trades: i,
  }))
}

async function startExchange() {
  const serve = join(project, 'test/support/exchange/serve.mts')
  const config = join(project, 'conf/S2_1_CHEAT_SHEET.json')
  const child = spawn(process.execPath, [serve, '--symbols', config, '--latency', '100', '--at', day1], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const { url } = JSON.parse(line.toString()) as { url: string }
  const post = (path: string, body: object) =>
    fetch(`${url}/__replay/${path}`, { method: 'POST', body: JSON.stringify(body) })
  const set = async (at: string) => {
    await post('reset', {})
    await post('clock', { at: Date.parse(at) })
  }
  return { url, process: child, set }
}

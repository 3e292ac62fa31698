import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Interval, intervals } from '../scripts/candles/intervals.ts'
import { CandleRecords } from '../scripts/candles/records.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { History } from '../scripts/job/history.ts'
import { durationBounds, outcomes } from '../scripts/job/history_totals.ts'
import { candleTable } from '../scripts/job/metric_families.ts'
import { writeMetrics } from '../scripts/job/metrics.ts'
import { type Family, renderFamilies, renderValue } from '../scripts/job/prometheus_text.ts'
import { day, hour } from '../scripts/job/time.ts'
import { execute } from './support/agent_database.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import type { FaultRule } from './support/exchange/faults.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { mountFullDisk, skipWithoutRoot } from './support/full_disk.ts'
import { keptLog } from './support/kept_log.ts'
import { type Metrics, onlyLabel, parseMetrics, promtoolFindings } from './support/metrics_text.ts'
import { check, seed, runs as tries } from './support/properties.ts'
import { makeWorkspace, type Workspace } from './support/workspace.ts'

const skip = skipWithoutPackages({ prometheus: 'promtool', sqlite3: 'sqlite3' })
const start = Date.parse('2024-05-05T12:10:30Z')
const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
const sync = 'daily_candle_sync'
const silence: FaultRule[] = [{ when: { path: 'klines' }, do: { kind: 'stall', ms: 600_000 } }]

t.comment(`FC_SEED=${seed}`)

/** A workspace and its exchange; each run begins four hours after the one before. */
async function setUp(test: Test) {
  const clock = new ReplayClock({ at: start, rate: 0 })
  const replay = await startReplay({ source: generatedSource({ symbols }), clock })
  test.teardown(() => replay.close())
  const workspace = makeWorkspace(test, { url: replay.url, symbols })
  workspace.configure(sheet => (sheet.sync.request_timeout_seconds = 120))
  const later = () => {
    clock.set(clock.now() + 4 * hour)
    return { env: { CANDLEKEEP_NOW: new Date(clock.now()).toISOString() } }
  }
  return { replay, workspace, later, file: join(workspace.folder, 'metrics/candlekeep.prom') }
}

/** Rows as the sqlite3 of Debian reads them. */
function rowsOf<T = Record<string, number | string | null>>(file: string, sql: string): T[] {
  const answer = execFileSync('sqlite3', ['-readonly', '-json', file, sql], { encoding: 'utf8' })
  return answer === '' ? [] : (JSON.parse(answer) as T[])
}

type RunRow = {
  job: string
  started_at: number
  finished_at: number | null
  outcome: string
  exit_status: number | null
  figures: string | null
}

/** Everything that the file has to say of runs and candles, worked out anew from the raw rows. */
function expectedSamples({ state, database }: Workspace): Map<string, number> {
  const runs = rowsOf<RunRow>(join(state, 'ops.db'), 'SELECT * FROM runs ORDER BY id')
  const ended = runs.filter(({ outcome }) => outcome !== 'running')
  const syncs = ended
    .filter(({ job }) => job === 'daily_sync')
    .map(row => ({ ...row, figures: JSON.parse(row.figures ?? '{}') as Record<string, unknown> }))
  const of = (...wanted: string[]) => syncs.filter(({ outcome }) => wanted.includes(outcome)).length
  const took = syncs
    .filter(({ outcome }) => outcome !== 'killed')
    .map(({ started_at, finished_at }) => ((finished_at ?? Number.NaN) - started_at) / 1000)
  const expected = new Map<string, number>()
  for (const outcome of outcomes) expected.set(`daily_sync_runs_total{outcome="${outcome}"}`, of(outcome))
  expected.set('daily_sync_failures_total', of('failed', 'killed'))
  expected.set('daily_sync_timeout_total', of('deadline'))
  const defects = syncs.filter(({ outcome, figures }) => outcome === 'killed' || figures['defect'] === true)
  expected.set('sync_script_errors_total', defects.length)
  const hits = syncs.map(({ figures }) => Number(figures['rate_limit_hits'] ?? 0))
  expected.set(
    'binance_rate_limit_hits_total',
    hits.reduce((sum, value) => sum + value, 0),
  )
  for (const bound of durationBounds)
    expected.set(
      `daily_sync_duration_seconds_bucket{le="${bound}"}`,
      took.filter(value => value <= bound).length,
    )
  expected.set('daily_sync_duration_seconds_bucket{le="+Inf"}', took.length)
  expected.set('daily_sync_duration_seconds_count', took.length)
  const counting = syncs.findLast(({ figures }) => figures['counts'] === true)
  if (counting !== undefined)
    expected.set('last_sync_timestamp_seconds', (counting.finished_at ?? Number.NaN) / 1000)
  const whole = syncs.findLast(({ figures }) => figures['everything'] !== false)
  if (whole !== undefined) expected.set('daily_sync_last_exit_status', whole.exit_status ?? 137)
  expected.set('backup_tier_expected{tier="hot"}', 1)
  for (const [name, all] of Map.groupBy(ended, ({ job }) => job)) {
    const last = all.at(-1)
    expected.set(`job_last_run_timestamp_seconds{name="${name}"}`, (last?.finished_at ?? Number.NaN) / 1000)
    expected.set(`job_last_exit_status{name="${name}"}`, last?.exit_status ?? 137)
  }
  const stored = existsSync(database)
    ? rowsOf<{ symbol: string; count: number; last: number }>(
        database,
        'SELECT symbol, count(*) AS count, max(timestamp) AS last FROM ohlcv_h4 GROUP BY symbol',
      )
    : []
  for (const { symbol, last } of stored)
    expected.set(`last_candle_timestamp_seconds{symbol="${symbol}"}`, last / 1000)
  if (stored.length > 0) {
    expected.set('ohlcv_h4_distinct_symbols', stored.length)
    expected.set(
      'ohlcv_h4_records',
      stored.reduce((sum, { count }) => sum + count, 0),
    )
  }
  return expected
}

/** That a file is whole, clean, and says what the history and the agent's database do. */
function agrees(test: Test, workspace: Workspace, file: string, after: string): Metrics {
  const text = readFileSync(file, 'utf8')
  const metrics = parseMetrics(text)
  test.equal(promtoolFindings(text), '', `${after}: promtool finds nothing`)
  const wrong = [...expectedSamples(workspace)].filter(([name, value]) => metrics.samples.get(name) !== value)
  test.same(
    wrong.map(([name, value]) => `${name} is ${metrics.samples.get(name)}, not ${value}`),
    [],
    `${after}: it says what is so`,
  )
  test.match(text, /\ncandlekeep_info\{version="[\d.]+",node="v[\d.]+"\} 1\n$/)
  test.equal(statSync(file).mode & 0o777, 0o644)
  test.same(readdirSync(join(file, '..')), ['candlekeep.prom'], `${after}: nothing is left over`)
  return metrics
}

/** A job of the tests' own by the name of the sync. */
function writeJob(workspace: Workspace, work: string, locks = "'candles'"): string {
  const file = join(workspace.folder, `own_job_${readdirSync(workspace.folder).length}.mts`)
  const frame = new URL('../scripts/job/job.ts', import.meta.url).href
  writeFileSync(
    file,
    `import { setTimeout as delay } from 'node:timers/promises'
     import { job } from '${frame}'
     await job(
       {
         name: 'daily_sync', script: import.meta.filename, summary: '', flags: {}, locks: [${locks}],
         wishes: () => undefined, recorded: () => true, deadlineMs: config => config.sync.timeout_minutes * 60_000,
       },
       async ({ keepFigures }) => {
         ${work}
         return { outcome: 'done', report: [], summary: 'done', figures: {} }
       },
     )`,
  )
  return file
}

await t.test('the file is complete and true after each command, however that ended', { skip }, async test => {
  const { replay, workspace, later, file } = await setUp(test)
  const bad = (when: NonNullable<FaultRule['when']>): FaultRule[] => [
    { when, do: { kind: 'named', name: 'bad-symbol' } },
  ]

  const dead = writeJob(workspace, `throw new RangeError('a defect')`)
  expectStatus(test, await workspace.run(dead, [], later()), 1)
  const first = agrees(test, workspace, file, 'a defect in the very first run')
  test.equal(first.samples.get('sync_script_errors_total'), 1)
  test.equal(
    first.samples.get('db_integrity_check_failures_total'),
    0,
    'what has not happened is counted as 0',
  )

  expectStatus(test, await workspace.run(sync, [], later()), 0)
  const done = agrees(test, workspace, file, 'a sync')
  test.equal(done.samples.get('ohlcv_h4_records'), 3 * 42)
  const candle = Date.parse('2024-05-05T16:00Z') / 1000
  test.equal(done.samples.get('last_candle_timestamp_seconds{symbol="BTCUSDT"}'), candle)

  replay.setFaults(bad({ path: 'klines' }))
  expectStatus(test, await workspace.run(sync, [], later()), 1)
  agrees(test, workspace, file, 'a failure')
  replay.setFaults(bad({ path: 'klines', symbol: 'ETHUSDT' }))
  expectStatus(test, await workspace.run(sync, [], later()), 2)
  const partly = agrees(test, workspace, file, 'a sync of some symbols')
  test.equal(partly.samples.get('job_last_exit_status{name="daily_sync"}'), 2)
  test.equal(
    partly.samples.get('last_sync_timestamp_seconds'),
    done.samples.get('last_sync_timestamp_seconds'),
    'which does not count as a sync',
  )

  const tooMany: FaultRule = {
    when: { path: 'klines', nth: 1 },
    do: { kind: 'named', name: 'rate-429-futures', retryAfter: 0 },
  }
  replay.setFaults([tooMany])
  expectStatus(test, await workspace.run(sync, [], later()), 0)
  const hit = agrees(test, workspace, file, 'a sync that was told to slow down')
  test.equal(hit.samples.get('binance_rate_limit_hits_total'), 1)

  replay.setFaults([tooMany, ...silence])
  workspace.configure(sheet => (sheet.sync.timeout_minutes = 0.08))
  expectStatus(test, await workspace.run(sync, [], later()), 124)
  const late = agrees(test, workspace, file, 'the deadline')
  test.equal(late.samples.get('daily_sync_timeout_total'), 1)
  test.equal(late.samples.get('binance_rate_limit_hits_total'), 2, 'what it met on the way is counted too')

  const deaf = writeJob(
    workspace,
    'keepFigures(() => ({ rate_limit_hits: 5, error: "none" })); await delay(600_000)',
  )
  expectStatus(test, await workspace.run(deaf, [], later()), 124)
  const forced = agrees(test, workspace, file, 'an end by force')
  test.equal(forced.samples.get('binance_rate_limit_hits_total'), 7)
  test.match(
    rowsOf(join(workspace.state, 'ops.db'), 'SELECT figures FROM runs ORDER BY id DESC LIMIT 1'),
    [{ figures: /"error":"the deadline of/ }],
    'the end itself has the last word',
  )

  workspace.configure(sheet => (sheet.sync.timeout_minutes = 10))
  replay.setFaults(silence)
  const asked = replay.requests.length
  const running = workspace.start(sync, [], later())
  while (!replay.requests.slice(asked).some(({ symbol }) => symbol !== undefined)) await delay(10)
  const before = readFileSync(file, 'utf8')
  for (const [args, status] of [
    [[], 75],
    [['--dry-run'], 0],
    [['--lokback'], 64],
    [['--config', '/absent.json'], 78],
  ] as const) {
    expectStatus(test, await workspace.run(sync, [...args], later()), status)
    test.equal(readFileSync(file, 'utf8'), before, `${status} ${args.join(' ')}: not a byte has changed`)
  }
  running.kill('SIGKILL')
  await running.ended
  replay.setFaults([])
  expectStatus(test, await workspace.run(sync, [], later()), 0)
  const killed = agrees(test, workspace, file, 'a kill and the run after it')
  test.equal(killed.samples.get('daily_sync_runs_total{outcome="killed"}'), 1)
  test.equal(killed.samples.get('sync_script_errors_total'), 2)
  test.equal(killed.types.get('daily_sync_duration_seconds'), 'histogram')
  for (const [name, type] of killed.types)
    test.equal(type === 'counter', name.endsWith('_total'), `${name} is a ${type}`)
})

await t.test('jobs that end at the same moment leave the file of the last', { skip }, async test => {
  const { workspace, later, file } = await setUp(test)
  const script = writeJob(workspace, '', '')
  const env = later()
  await workspace.run(script, [], env)
  for (let round = 1; round <= 2; round++) {
    const ended = await Promise.all(Array.from({ length: 6 }, () => workspace.run(script, [], env)))
    for (const one of ended) expectStatus(test, one, 0)
    const { samples } = parseMetrics(readFileSync(file, 'utf8'))
    test.equal(samples.get('daily_sync_runs_total{outcome="done"}'), 1 + 6 * round)
  }
})

/** A history with a clock of its own, and the file that is written from it. */
async function writing(test: Test) {
  const { workspace, file } = await setUp(test)
  const config = loadConfig(workspace.file)
  const clock = { at: start, now: () => clock.at, sleep: () => Promise.resolve() }
  const kept = keptLog()
  const history = History.open(config.paths.state, kept.log, clock)
  test.teardown(() => history.close())
  const context = { config, history, clock, log: kept.log }
  const runOnce = (figures: object = { counts: true }, job = 'daily_sync') => {
    const { id } = history.begin(job, undefined)
    clock.at += 2000
    history.finish(id, { outcome: 'done', exitStatus: 0, summary: '', figures })
    return id
  }
  const written = () => {
    writeMetrics(context)
    return parseMetrics(readFileSync(file, 'utf8'))
  }
  return { workspace, file, context, runOnce, written, ...kept, clock, history }
}

await t.test('a history in which nothing has happened has all counters at 0', { skip }, async test => {
  const { written, file } = await writing(test)
  const { samples, types } = written()
  test.equal(promtoolFindings(readFileSync(file, 'utf8')), '')
  for (const [name, type] of types)
    if (type === 'counter') {
      const values = [...samples].filter(([series]) => series.startsWith(name)).map(([, value]) => value)
      test.ok(values.length > 0 && values.every(value => value === 0), name)
    }
  test.equal(samples.get('daily_sync_duration_seconds_bucket{le="+Inf"}'), 0)
  test.notOk(samples.has('last_sync_timestamp_seconds'), 'what there has not been has no time')
})

await t.test('checks, backups and candles are told as the history has them', { skip }, async test => {
  const { written, runOnce, context, file, clock } = await writing(test)
  const [early, latest] = [runOnce({}, 'health_check'), runOnce({}, 'health_check')]
  const now = clock.now()
  execute(
    join(context.config.paths.state, 'ops.db'),
    `INSERT INTO checks VALUES
       (${early}, 'database_integrity', 'critical', '', '{}', ${now - 1}),
       (${early}, 'database_size', 'ok', '', '{"file_bytes":4096,"disk_free_bytes":1,"disk_total_bytes":2}', ${now - 1}),
       (${latest}, 'database_integrity', 'critical', '', '{}', ${now}),
       (${latest}, 'database_size', 'ok', '', '{"file_bytes":8192,"disk_free_bytes":3}', ${now}),
       (${latest}, 'data_freshness', 'warning', '', 'no JSON', ${now}),
       (${latest}, 'backup_status', 'unknown', '', '{}', ${now});
     INSERT INTO backups (id, tier, taken_at, covers_until, proven_at, bytes) VALUES
       ('a', 'hot', ${now - 5000}, 1, 1, 10), ('b', 'hot', ${now - 4000}, 1, 1, 20),
       ('c', 'hot', ${now - 3000}, 1, NULL, 30), ('d', 'hot', ${now + day}, 1, 1, 40),
       ('a', 'cold', ${now - 5000}, 1, 1, 50);
     INSERT INTO runs (job, pid, started_at, finished_at, outcome, figures)
       VALUES ('daily_sync', 1, ${now + day}, ${now + day}, 'done', '{"counts":true}');`,
  )
  const records = new CandleRecords(context.history, '4h', 1, () => now)
  records.rememberStored([
    { symbol: 'BTCUSDT', count: 7, last: start },
    { symbol: 'OLDUSDT', count: 5, last: 0 },
  ])
  new CandleRecords(context.history, '1d', 1, () => now).rememberStored([
    { symbol: 'BTCUSDT', count: 3, last: start },
  ])
  const { samples } = written()
  test.equal(promtoolFindings(readFileSync(file, 'utf8')), '')
  const expected = {
    'health_check_status{check="database_integrity"}': 2,
    'health_check_status{check="database_size"}': 0,
    'health_check_status{check="data_freshness"}': 1,
    'health_check_status{check="backup_status"}': 3,
    last_health_check_timestamp_seconds: now / 1000,
    db_integrity_check_failures_total: 2,
    database_size_bytes: 8192,
    database_disk_free_bytes: 3,
    'backup_last_success_timestamp_seconds{tier="hot"}': (now - 4000) / 1000,
    'backup_last_success_timestamp_seconds{tier="cold"}': (now - 5000) / 1000,
    'backup_size_bytes{tier="hot"}': 20,
    'backup_size_bytes{tier="cold"}': 50,
    'last_candle_timestamp_seconds{symbol="BTCUSDT"}': start / 1000,
    ohlcv_h4_distinct_symbols: 2,
    ohlcv_h4_records: 12,
    ohlcv_d1_distinct_symbols: 1,
    ohlcv_d1_records: 3,
  }
  for (const [name, value] of Object.entries(expected)) test.equal(samples.get(name), value, name)
  test.notOk(samples.has('database_disk_total_bytes'), 'what the check did not say is not made up')
  test.notOk(samples.has('last_candle_timestamp_seconds{symbol="OLDUSDT"}'), 'it is in no list any more')
  test.notOk(samples.has('last_sync_timestamp_seconds'), 'a run of the future is of a clock that was ahead')

  records.rememberStored([{ symbol: 'ETHUSDT', count: 1, last: start }], { all: true })
  const replaced = written().samples
  test.equal(replaced.get('ohlcv_h4_records'), 1, 'a survey of all replaces what was remembered')
  test.equal(replaced.get('ohlcv_d1_records'), 3, 'of its own interval')
})

await t.test(
  'the health check feeds the file, and the README names all that is in it',
  { skip },
  async test => {
    const { workspace, later, file } = await setUp(test)
    expectStatus(test, await workspace.run(sync, [], later()), 0)
    await workspace.run('health_check', [], later())
    const { samples, types } = agrees(test, workspace, file, 'a health check')
    const rows = rowsOf<{ name: string; status: string }>(
      join(workspace.state, 'ops.db'),
      'SELECT name, status FROM checks',
    )
    test.equal(rows.length, 6)
    for (const { name, status } of rows)
      test.equal(
        samples.get(`health_check_status{check="${name}"}`),
        ['ok', 'warning', 'critical', 'unknown'].indexOf(status),
        `${name} is ${status}`,
      )
    test.equal(samples.get('database_size_bytes'), statSync(workspace.database).size)
    const disk = (what: string) => samples.get(`database_disk_${what}_bytes`) ?? Number.NaN
    test.ok(disk('free') > 0 && disk('total') >= disk('free'))
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const name of types.keys()) test.match(readme, `\`${name}`)
  },
)

await t.test('candle metrics are named as the tables are', async test => {
  for (const [interval, { table }] of Object.entries(intervals) as [Interval, { table: string }][])
    test.equal(candleTable(interval), table)
})

/** Reads a file over and over, until its input ends, and says what it saw: files, and those that are not whole. */
const reader = `
  const { readFileSync, readdirSync } = require('node:fs')
  const { dirname } = require('node:path')
  const file = process.argv[1]
  const seen = new Set(), bad = new Set()
  let reads = 0, ended = false
  const pick = (text, name) => text.split('\\n').find(line => line.startsWith(name + ' '))?.split(' ')[1]
  process.stdin.resume().on('end', () => { ended = true })
  function step() {
    for (let n = 0; n < 20; n++) {
      const text = readFileSync(file, 'utf8')
      reads++
      const count = pick(text, 'daily_sync_duration_seconds_count')
      const whole = count !== undefined && text.startsWith('# HELP ') && /\\ncandlekeep_info\\{.*\\} 1\\n$/.test(text)
        && pick(text, 'daily_sync_runs_total{outcome="done"}') === count
      if (!whole) bad.add(text)
      if (!seen.has(count)) process.stdout.write('.')
      seen.add(count)
    }
    for (const name of readdirSync(dirname(file))) if (name.endsWith('.prom') && name !== 'candlekeep.prom') bad.add(name)
    if (ended) return process.stdout.write(JSON.stringify({ reads, seen: seen.size, bad: [...bad] }))
    setImmediate(step)
  }
  step()
`

await t.test('a reader never sees a part of a file while it is written two hundred times', async test => {
  const { runOnce, written, context, file } = await writing(test)
  const records = new CandleRecords(context.history, '4h', 1, () => start)
  const many = Array.from({ length: 2000 }, (_, i) => `COIN${i}USDT`)
  records.rememberStored(many.map(symbol => ({ symbol, count: 1, last: start })))
  context.config.sync.symbols = many
  written()
  const child = spawn(process.execPath, ['-e', reader, file], { stdio: ['pipe', 'pipe', 'inherit'] })
  test.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  let rewrites = 0
  while (rewrites < 200 || output.length < 50) {
    runOnce()
    written()
    rewrites++
    await delay(1)
  }
  child.stdin.end()
  await once(child, 'close')
  const report = JSON.parse(output.replace(/^\.*/, '')) as { reads: number; seen: number; bad: string[] }
  test.comment(
    `${report.reads} reads saw ${report.seen} of ${rewrites} files, of ${statSync(file).size} bytes`,
  )
  test.same(report.bad, [])
})

await t.test('a file that cannot be written is one warning and fails nothing', async group => {
  const { replay, workspace, later } = await setUp(group)
  const cases: Record<string, { prepare: (test: Test, folder: string) => void; root?: boolean }> = {
    ENOTDIR: { prepare: (_, folder) => writeFileSync(join(folder, '..'), 'in the way') },
    EEXIST: { prepare: (_, folder) => writeFileSync(folder, 'in the way') },
    EISDIR: { prepare: (_, folder) => void mkdirSync(join(folder, 'candlekeep.prom'), { recursive: true }) },
    ENOSPC: { prepare: (test, folder) => mountFullDisk(test, folder), root: true },
  }
  for (const [code, { prepare, root }] of Object.entries(cases)) {
    await group.test(code, { skip: root ? skipWithoutRoot() : false }, async test => {
      replay.setFaults([])
      const folder = join(workspace.folder, `blocked-${code}/metrics`)
      if (code !== 'ENOTDIR') mkdirSync(join(folder, '..'))
      prepare(test, folder)
      workspace.configure(sheet => (sheet.paths.metrics = folder))
      const ended = await workspace.run(sync, [], later())
      expectStatus(test, ended, 0)
      test.match(ended.stdout, /^✅ 3\/3/)
      test.equal(ended.stderr, `the metrics cannot be written: ${join(folder, 'candlekeep.prom')}: ${code}\n`)
      const warned = workspace.logLines().filter(({ level, message }) => {
        return level === 'warn' && String(message).includes(`blocked-${code}`)
      })
      test.equal(warned.length, 1)
      if (code !== 'ENOTDIR' && code !== 'EEXIST')
        test.same(
          readdirSync(folder).filter(name => name.endsWith('.tmp')),
          [],
          'nothing is left over',
        )
    })
  }
})

await t.test('it is readable for all under a strict umask', async test => {
  const { written, file } = await writing(test)
  const before = process.umask(0o077)
  test.teardown(() => process.umask(before))
  written()
  test.equal(statSync(file).mode & 0o777, 0o644)
})

await t.test('a history that lasts for one run only leaves the file as it is', async test => {
  const { workspace, later, file } = await setUp(test)
  expectStatus(test, await workspace.run(sync, [], later()), 0)
  const before = readFileSync(file, 'utf8')
  execute(join(workspace.state, 'ops.db'), 'PRAGMA user_version = 99')
  const ended = await workspace.run(sync, [], later())
  expectStatus(test, ended, 0)
  test.match(ended.stderr, 'this run is kept in its log only')
  test.equal(readFileSync(file, 'utf8'), before, 'counters would begin again')
})

await t.test('the text format', async group => {
  const gauge = (samples: Family['samples'], help = 'Some help.'): Family => {
    return { name: 'some_metric', type: 'gauge', help, samples }
  }

  await group.test('looks so', async test => {
    const text = renderFamilies([
      gauge([{ labels: { a: 'x', b: '' }, value: 1.5 }, { value: 0 }]),
      { name: 'left_out', type: 'counter', help: 'Nothing.', samples: [] },
      {
        name: 'took_seconds',
        type: 'histogram',
        help: 'How long.',
        samples: [{ suffix: '_bucket', labels: { le: '+Inf' }, value: 2 }],
      },
    ])
    test.equal(
      text,
      `# HELP some_metric Some help.
# TYPE some_metric gauge
some_metric{a="x",b=""} 1.5
some_metric 0
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le="+Inf"} 2
`,
    )
    const values = [Infinity, -Infinity, Number.NaN, 1e21, -0.5, 1714871430.123]
    test.same(values.map(renderValue), ['+Inf', '-Inf', 'NaN', '1e+21', '-0.5', '1714871430.123'])
  })

  await group.test('gives back any text and any number', { skip }, async test => {
    const awkward = fc.constantFrom('\\', '"', '\n', '\\n', '{', '}', ',', '=', ' ', '#', '\r', '\t', '\0')
    const unit = fc.oneof(awkward, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }))
    const anyText = fc.string({ unit, maxLength: 12 })
    const number = fc.double({ noNaN: false })
    const all: Family['samples'] = []
    check(
      fc.property(anyText, anyText, number, (value, help, sample) => {
        const { samples, help: helps } = parseMetrics(
          renderFamilies([gauge([{ labels: { text: value }, value: sample }], help)]),
        )
        const [[series, read] = ['', 0]] = samples
        all.push({ labels: { text: value, i: String(all.length) }, value: sample })
        const same = Object.is(read, sample) || (read === 0 && sample === 0)
        return samples.size === 1 && onlyLabel(series) === value && same && helps.get('some_metric') === help
      }),
      tries(500),
    )
    test.equal(promtoolFindings(renderFamilies([gauge(all, 'Any "help" \\ at\nall.')])), '')
  })
})

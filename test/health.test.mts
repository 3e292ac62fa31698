import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { intervals } from '../scripts/candles/intervals.ts'
import { dueSeals } from '../scripts/candles/seal_rotation.ts'
import type { CheckResult } from '../scripts/health/check.ts'
import { runChecks } from '../scripts/health/checks.ts'
import { daysUntilFull, judgeSize } from '../scripts/health/database_size.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { type Lock, takeLock } from '../scripts/job/lock.ts'
import { day, hour, lastTimeOfDay } from '../scripts/job/time.ts'
import { execute } from './support/agent_database.ts'
import { startEverything } from './support/alerts/channels.ts'
import { type Ended, expectStatus, runCommand } from './support/command.ts'
import { leaveHotJournal } from './support/hot_journal.ts'
import { check, runs } from './support/properties.ts'
import { inHistory, now, provenBackups, symbols, wellWorkspaces } from './support/well.ts'
import type { Workspace } from './support/workspace.ts'

const well = await wellWorkspaces()
const wellInWal = await wellWorkspaces({ journalMode: 'wal' })

const resultsOf = ({ json }: Ended) => (json?.['checks'] ?? []) as CheckResult[]
const statusOf = (ended: Ended) =>
  Object.fromEntries(resultsOf(ended).map(({ name, status }) => [name, status]))

const allOk = {
  data_freshness: 'ok',
  symbol_coverage: 'ok',
  database_integrity: 'ok',
  database_size: 'ok',
  backup_status: 'ok',
  recent_activity: 'ok',
}

await t.test('on a sound database after a sync and a backup all checks pass', async group => {
  for (const [mode, make] of [
    ['rollback', well],
    ['WAL', wellInWal],
  ] as const) {
    for (const args of [[], ['--quick'], ['--full'], ['--notify']]) {
      await group.test(`${mode} mode ${args.join(' ')}`, async test => {
        const workspace = make(test)
        const ended = await workspace.run('health_check', args)
        expectStatus(test, ended, 0)
        test.match(ended.stdout, /^CANDLEKEEP OK - 6\/6 checks passed \| data_age=\d+s .*rpo=3600s\n/)
        test.match(ended.stdout, /\n✅ ALL CHECKS PASSED\n$/)
        test.equal(ended.stderr, '')
        const scratch = join(workspace.state, 'scratch')
        test.same(existsSync(scratch) ? readdirSync(scratch) : [], [], 'no copy is left')
      })
    }
  }
  await group.test('as one JSON object', async test => {
    const ended = await well(test).run('health_check', ['--json'])
    expectStatus(test, ended, 0)
    test.match(ended.json, { job: 'health_check', outcome: 'done', exit_status: 0, status: 'ok' })
    test.same(statusOf(ended), allOk)
  })
})

type Breakage = {
  name: string
  breaks: (workspace: Workspace) => void
  turns: Partial<typeof allOk> & Record<string, string>
  says: RegExp
  args?: string[]
}

const ago = (ms: number) => now - ms
const candle = (time: number, symbol = 'BTCUSDT') =>
  `INSERT INTO ohlcv_h4 VALUES (${time}, '${symbol}', 1, 1, 1, 1, 1, 1, 1)`
const inDatabase = (sql: string) => (workspace: Workspace) => execute(workspace.database, sql)
const inOps = (sql: string) => (workspace: Workspace) => inHistory(workspace, sql)
/** Where only one month of another symbol is sealed, a row that goes is a gap and nothing more. */
const unsealed = (sql: string) => (workspace: Workspace) => {
  inHistory(
    workspace,
    "DELETE FROM candle_seals WHERE NOT (symbol = 'SOLUSDT' AND month = '2024-04' AND interval = '4h')",
  )
  execute(workspace.database, sql)
}
const run = (columns: string, values: string) =>
  inOps(`INSERT INTO runs (job, ${columns}) VALUES ('daily_sync', ${values})`)
const ended = (outcome: string) =>
  run(
    'pid, started_at, finished_at, outcome, summary',
    `1, ${ago(60_000)}, ${ago(30_000)}, '${outcome}', 'it went so'`,
  )

const locks: Lock[] = []
t.teardown(() => {
  for (const lock of locks) lock.release()
})

const breakages: Breakage[] = [
  // [1/6]
  {
    name: 'no sync that counts',
    breaks: inOps("UPDATE runs SET figures = json_set(figures, '$.counts', json('false'))"),
    turns: { data_freshness: 'critical' },
    says: /the history knows of no sync that counts/,
  },
  {
    name: 'the last sync that counts is 27 hours old',
    breaks: inOps(`UPDATE runs SET finished_at = ${ago(27 * hour)}`),
    turns: { data_freshness: 'critical' },
    says: /the last sync that counts was 1 d 3 h ago/,
  },
  {
    name: 'the last sync that counts is 25 hours old',
    breaks: inOps(`UPDATE runs SET finished_at = ${ago(25 * hour)}`),
    turns: { data_freshness: 'warning' },
    says: /the last sync that counts was 1 d 1 h ago/,
  },
  {
    name: 'a candle of the future',
    breaks: inDatabase(candle(Date.parse('2031-01-01'))),
    turns: { data_freshness: 'critical' },
    says: /1 row of candles that have not closed: BTCUSDT, the latest opens 2031-01-01 00:00 UTC/,
  },
  {
    name: 'a candle that is still forming',
    breaks: inDatabase(candle(Date.parse('2024-05-05T00:00Z'))),
    turns: { data_freshness: 'critical' },
    says: /1 row of candles that have not closed/,
  },
  {
    name: 'a candle off the grid',
    breaks: inDatabase(candle(Date.parse('2023-05-05T00:30Z'))),
    turns: { data_freshness: 'warning' },
    says: /1 row off the grid of the interval, or without a name: BTCUSDT/,
  },
  {
    name: 'a row without a name',
    breaks: ({ database }) => {
      const agent = new Database(database).unsafeMode(true)
      agent.exec(`
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, 'symbol TEXT NOT NULL', 'symbol TEXT') WHERE name = 'ohlcv_h4';`)
      agent.close()
      execute(database, candle(Date.parse('2023-05-05')).replace("'BTCUSDT'", 'NULL'))
    },
    turns: { data_freshness: 'warning' },
    says: /1 row off the grid of the interval, or without a name: \(no name\)/,
  },
  {
    name: 'a symbol whose times are all in seconds',
    breaks: inDatabase(candle(Date.parse('2024-05-01T00:30Z') / 1000, 'SECUSDT')),
    turns: { data_freshness: 'warning' },
    says: /1 row off the grid of the interval, or without a name: SECUSDT/,
  },
  {
    name: 'the newest candles of all symbols have gone',
    breaks: unsealed('DELETE FROM ohlcv_h4 WHERE timestamp = (SELECT max(timestamp) FROM ohlcv_h4)'),
    turns: { data_freshness: 'critical' },
    says: /the last sync stored candles up to 2024-05-05 00:00 UTC, now they end at 2024-05-04 20:00 UTC/,
  },
  // [2/6]
  {
    name: 'a symbol without a candle',
    breaks: workspace => workspace.configure(sheet => sheet.sync.symbols.push('LTCUSDT')),
    turns: { symbol_coverage: 'warning' },
    says: /6\/7 whole; 1 symbol without a candle: LTCUSDT/,
  },
  {
    name: 'an inner gap',
    breaks: unsealed(`DELETE FROM ohlcv_h4 WHERE symbol = 'ETHUSDT' AND timestamp / ${4 * hour} % 60 = 3`),
    turns: { symbol_coverage: 'warning' },
    says: /1 symbol with inner gaps, 4 candles: ETHUSDT \(4\)/,
  },
  {
    name: 'a symbol behind the others',
    breaks: unsealed(
      `DELETE FROM ohlcv_h4 WHERE symbol = 'XRPUSDT' AND timestamp >= ${Date.parse('2024-05-04T16:00Z')}`,
    ),
    turns: { symbol_coverage: 'warning' },
    says: /5\/6 whole; 1 symbol behind the others: XRPUSDT \(2\)/,
  },
  // [3/6]
  {
    name: 'a price that has changed',
    breaks: inDatabase(
      `UPDATE ohlcv_h4 SET close = close * 1.000001 WHERE symbol = 'SOLUSDT' AND timestamp = ${Date.parse('2024-04-10')}`,
    ),
    turns: { database_integrity: 'critical' },
    says: /stored candles are not what was stored \(1 seal broken\): SOLUSDT 2024-04/,
    args: ['--full'],
  },
  {
    name: 'a price of another interval that has changed',
    breaks: inDatabase(
      `UPDATE ohlcv_h1 SET close = close * 1.5 WHERE symbol = 'BTCUSDT' AND timestamp = ${Date.parse('2024-05-04')}`,
    ),
    turns: { database_integrity: 'critical' },
    says: /stored 1h candles are not what was stored \(1 seal broken\): BTCUSDT 2024-05.*\n.*--interval 1h --symbols BTCUSDT --since 2024-05-01 --reread --config/,
    args: ['--full'],
  },
  {
    name: 'candles that nothing was ever sealed of',
    breaks: inOps('DELETE FROM candle_seals'),
    turns: { database_integrity: 'unknown' },
    says: /no stored candle has a seal/,
  },
  {
    name: 'rows that refer to rows which are not there',
    breaks: inDatabase(`
      CREATE TABLE parents (id INTEGER PRIMARY KEY);
      CREATE TABLE children (parent INTEGER REFERENCES parents (id));
      PRAGMA foreign_keys = OFF;
      INSERT INTO children VALUES (7), (8);`),
    turns: { database_integrity: 'warning' },
    says: /2 rows of children refer to rows that are not there/,
  },
  {
    name: 'an index that lacks an entry',
    breaks: ({ database }) => {
      const agent = new Database(database).unsafeMode(true)
      agent.exec(`
        CREATE INDEX trades_by_price ON trade_log (price) WHERE price > 60100;
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = 'CREATE INDEX trades_by_price ON trade_log (price)'
          WHERE name = 'trades_by_price';`)
      agent.close()
    },
    turns: { database_integrity: 'critical' },
    says: /SQLite finds damage: .*trades_by_price/,
  },
  {
    name: 'a transaction that was cut off',
    breaks: ({ database }) => leaveHotJournal(database),
    turns: { database_integrity: 'warning' },
    says: /a transaction was cut off and waits to be rolled back/,
  },
  {
    name: "another database's write-ahead log beside it",
    breaks: ({ database }) => writeFileSync(`${database}-wal`, 'something that was left'.repeat(2000)),
    turns: { database_integrity: 'critical' },
    says: /a write-ahead log \(46\.0 kB\) lies beside a database in rollback mode/,
  },
  // [4/6]
  {
    name: 'a database that is too small',
    breaks: workspace =>
      workspace.configure(sheet => Object.assign(sheet.health ?? {}, { min_database_mb: 10 })),
    turns: { database_size: 'warning' },
    says: /only [\d.]+ kB in use, at least 10 MB are expected/,
  },
  {
    name: 'a database that held more two days ago',
    breaks: inOps(
      `INSERT INTO checks VALUES (1, 'database_size', 'ok', '', '{"used_bytes": 10000000, "disk_free_bytes": 1}', ${ago(2 * day)})`,
    ),
    turns: { database_size: 'critical' },
    says: /\d+ % less is stored than on 2024-05-03 01:10 UTC: [\d.]+ kB of 10\.0 MB/,
  },
  {
    name: 'a disk that is nearly full',
    breaks: workspace =>
      workspace.configure(sheet => Object.assign(sheet.health ?? {}, { min_free_disk_ratio: 1 })),
    turns: { database_size: 'warning' },
    says: /\(\d+ %\) free on the disk of/,
  },
  // [5/6]
  {
    name: 'no backup',
    breaks: inOps('DELETE FROM backups'),
    turns: { backup_status: 'critical' },
    says: /there is no proven backup/,
  },
  {
    name: 'backups that nobody has proven',
    breaks: inOps('UPDATE backups SET proven_at = NULL'),
    turns: { backup_status: 'critical' },
    says: /there is no proven backup/,
  },
  {
    name: 'no backup of today',
    breaks: inOps(`UPDATE backups SET covers_until = ${ago(27 * hour)}`),
    turns: { backup_status: 'critical' },
    says: /the newest proven backup is 1 d 3 h old/,
  },
  {
    name: 'a tier that is behind',
    breaks: inOps(`UPDATE backups SET covers_until = ${ago(50 * hour)} WHERE tier = 'warm'`),
    turns: { backup_status: 'warning' },
    says: /warm: the newest proven backup is 2 d 2 h old/,
  },
  {
    name: 'a tier without a backup',
    breaks: inOps("UPDATE backups SET failed_at = 1, failure = 'a flipped bit' WHERE tier = 'warm'"),
    turns: { backup_status: 'warning' },
    says: /warm: there is no proven backup\n.*→ npx zx scripts\/backup.mts --tiers warm/,
  },
  {
    name: 'more to lose than was promised',
    breaks: inOps(`UPDATE backups SET covers_until = ${ago(3 * hour)}`),
    turns: { backup_status: 'warning' },
    says: /3 h would be lost right now \(sla.rpo_hours 2\)/,
  },
  // [6/6]
  {
    name: 'a sync that failed',
    breaks: ended('failed'),
    turns: { recent_activity: 'critical' },
    says: /the last daily_sync \(2024-05-05 01:09 UTC\) ended failed: it went so/,
  },
  {
    name: 'a sync that failed, and one of a single symbol that went well since',
    breaks: workspace => {
      ended('failed')(workspace)
      const figures = '\'{"everything": false}\''
      run(
        'pid, started_at, finished_at, outcome, figures',
        `1, ${ago(9_000)}, ${ago(8_000)}, 'done', ${figures}`,
      )(workspace)
    },
    turns: { recent_activity: 'critical' },
    says: /the last daily_sync \(2024-05-05 01:09 UTC\) ended failed: it went so/,
  },
  {
    name: 'a sync that was stopped at its deadline',
    breaks: ended('deadline'),
    turns: { recent_activity: 'critical' },
    says: /ended deadline/,
  },
  {
    name: 'a sync that is only partly done',
    breaks: ended('partly'),
    turns: { recent_activity: 'warning' },
    says: /ended partly/,
  },
  {
    name: 'a run that died without a word, and whose number another process now has',
    breaks: run('pid, started_at, outcome', `1, ${ago(60_000)}, 'running'`),
    turns: { recent_activity: 'warning' },
    says: /\(pid 1\) died without a word/,
  },
  {
    name: 'a run that holds its lock for too long',
    breaks: ({ state }) => {
      const holder = { job: 'daily_sync', pid: process.pid, since: ago(2 * hour) }
      locks.push(takeLock(state, 'candles', holder))
    },
    turns: { recent_activity: 'critical' },
    says: /daily_sync \(pid \d+\) has held its lock for 2 h, no other can run/,
  },
  {
    name: 'a sync that was not there when it was due',
    breaks: workspace => {
      workspace.configure(sheet => {
        sheet.schedule = { daily_sync: '01:00' }
        Object.assign(sheet.sync, { timeout_minutes: 5 })
      })
      inHistory(workspace, `UPDATE runs SET started_at = ${ago(23 * hour)}`)
    },
    turns: { recent_activity: 'warning' },
    says: /daily_sync did not run when it was due, 2024-05-05 01:00 UTC/,
  },
]

const advised = new Set<string>()

await t.test('what breaks the subject of a check turns that check and no other:', async group => {
  for (const { name, breaks, turns, says, args = [] } of breakages) {
    await group.test(name, async test => {
      const workspace = well(test)
      breaks(workspace)
      const seen = await workspace.run('health_check', [...args, '--json'])
      test.same(statusOf(seen), { ...allOk, ...turns })
      const worst = Object.values(turns).includes('critical')
        ? 2
        : Object.values(turns).includes('unknown')
          ? 3
          : 1
      expectStatus(test, seen, worst)
      test.match(seen.stderr, says)
      const results = resultsOf(seen)
      for (const { advice } of results) for (const line of advice) advised.add(line)
    })
  }
})

await t.test('advice names commands that exist', async test => {
  test.ok(advised.size > 10)
  const helps = new Map<string, string>()
  for (const advice of advised) {
    const ours = /^npx zx (scripts\/(\w+)\.mts)(.*)$/.exec(advice)
    if (ours === null) {
      for (const part of advice.split(' | ')) {
        const [program] = part.split(' ') as [string]
        test.equal(spawnSync('sh', ['-c', `command -v ${program}`]).status, 0, `${program}, of: ${advice}`)
      }
      continue
    }
    const [, file, script, rest] = ours as unknown as [string, string, string, string]
    test.ok(existsSync(file), advice)
    const help = helps.get(script) ?? (await runCommand(script, ['--help'])).stdout
    helps.set(script, help)
    for (const flag of rest.match(/--[\w-]+/g) ?? []) test.ok(help.includes(flag), `${flag}, of: ${advice}`)
  }
})

await t.test('a database that cannot be read is a finding', async group => {
  const broken: [string, (file: string) => void, RegExp][] = [
    ['missing', file => rmSync(file), /is not there/],
    ['empty', file => truncateSync(file), /has no bytes at all/],
    ['a letter', file => writeFileSync(file, 'Dear friend, '.repeat(999)), /is not a SQLite database/],
    ['only its header', file => truncateSync(file, 100), /damage|cannot be read/],
    [
      'cut in half',
      file => truncateSync(file, (statSync(file).size >> 13) << 12),
      /damage|cannot be read|malformed/,
    ],
    [
      'a folder',
      file => {
        rmSync(file)
        mkdirSync(file)
      },
      /cannot be read: EISDIR/,
    ],
    [
      'another database',
      file => {
        rmSync(file)
        execute(file, 'CREATE TABLE a (b); INSERT INTO a VALUES (1)')
      },
      /not what was stored/,
    ],
  ]
  for (const [name, make, says] of broken) {
    await group.test(name, async test => {
      const workspace = well(test)
      make(workspace.database)
      const seen = await workspace.run('health_check', ['--full', '--json'])
      test.ok(seen.status === 2 || seen.status === 3, `status ${seen.status}`)
      const checks = resultsOf(seen)
      const integrity = checks.find(result => result.name === 'database_integrity')
      test.match(integrity?.line, says)
      test.equal(integrity?.status, name === 'a folder' ? 'unknown' : 'critical')
      test.equal(checks.find(result => result.name === 'backup_status')?.status, 'ok', 'the others still run')
      test.notMatch(seen.stderr, /defect|TypeError|RangeError/)
    })
  }
  await group.test('held by another process', async test => {
    const workspace = well(test)
    const holder = `const d = new (require('better-sqlite3'))(process.argv[1]); d.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1000)`
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, ['-e', holder, workspace.database], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    test.teardown(() => child.kill('SIGKILL'))
    await new Promise(resolve => child.stdout.once('data', resolve))
    const seen = await workspace.run('health_check', ['--json'])
    expectStatus(test, seen, 3)
    test.match(
      seen.stderr,
      /\[3\/6\] ❓ Database integrity +the database is held by another process \(SQLITE_BUSY\)/,
    )
    test.same(statusOf(seen), {
      ...allOk,
      data_freshness: 'unknown',
      symbol_coverage: 'unknown',
      database_integrity: 'unknown',
      database_size: 'unknown',
    })
  })
  await group.test('that takes longer than there is time for', async test => {
    const workspace = well(test)
    workspace.configure(sheet => Object.assign(sheet.health ?? {}, { timeout_minutes: 0.0001 }))
    const seen = await workspace.run('health_check', ['--json'])
    expectStatus(test, seen, 3)
  })
})

await t.test('a history that cannot be read makes unknown what stands in it', async test => {
  const workspace = well(test)
  rmSync(join(workspace.state, 'ops.db'))
  mkdirSync(join(workspace.state, 'ops.db'))
  const seen = await workspace.run('health_check', ['--json'])
  expectStatus(test, seen, 3)
  const { data_freshness, backup_status, recent_activity, symbol_coverage, database_integrity } =
    statusOf(seen)
  test.same([data_freshness, backup_status, recent_activity], ['unknown', 'unknown', 'unknown'])
  test.equal(database_integrity, 'unknown', 'the seals are in the history')
  test.equal(symbol_coverage, 'ok')
})

await t.test('a history that was begun anew does not make a changed price pass for well', async test => {
  const workspace = well(test)
  execute(workspace.database, "UPDATE ohlcv_h4 SET close = 1 WHERE symbol = 'SOLUSDT'")
  writeFileSync(join(workspace.state, 'ops.db'), 'no database'.repeat(999))
  const seen = await workspace.run('health_check', ['--full', '--json'])
  test.not(seen.status, 0)
  test.equal(statusOf(seen)['database_integrity'], 'unknown')
})

await t.test('where no copy can be made, what stands in the history is still judged', async test => {
  const workspace = well(test)
  rmSync(join(workspace.state, 'scratch'), { recursive: true, force: true })
  writeFileSync(join(workspace.state, 'scratch'), 'in the way')
  const seen = await workspace.run('health_check', ['--json'])
  expectStatus(test, seen, 3)
  test.match(seen.stderr, /no copy of the database can be made in .*: E(EXIST|NOTDIR)/)
  test.match(statusOf(seen), { backup_status: 'ok', recent_activity: 'ok', database_integrity: 'unknown' })
})

await t.test('a sync that is due in the middle of a candle is no false alarm the next day', async test => {
  const workspace = well(test)
  const later = Date.parse('2024-05-06T02:30Z')
  workspace.configure(sheet => (sheet.schedule = { daily_sync: '03:30' }))
  const synced = Date.parse('2024-05-05T03:31Z')
  inHistory(workspace, `UPDATE runs SET started_at = ${synced}, finished_at = ${synced}`)
  inHistory(workspace, `UPDATE backups SET covers_until = ${later - hour}`)
  const env = { CANDLEKEEP_NOW: new Date(later).toISOString() }
  expectStatus(test, await workspace.run('health_check', [], { env }), 0)
})

await t.test('room for a copy is asked for only where one is made', async test => {
  const disk = { path: '/var/log', free: 900e6, total: 1e9, forCopies: false }
  const limits = { minMb: 10, maxShrinkRatio: 0.2, minFreeRatio: 0.15 }
  const size = { file: 2e9, used: 2e9, free: 0 }
  const facts = { now, database: '/agent.db', size, disks: [disk], earlier: [] }
  test.equal(judgeSize(facts, limits).status, 'ok')
  test.equal(judgeSize({ ...facts, disks: [{ ...disk, forCopies: true }] }, limits).status, 'critical')
})

await t.test('a check that throws is unknown, and the others still run', async test => {
  const workspace = well(test)
  const memory = {
    get lastSync(): never {
      throw new Error('out of order')
    },
    untradable: [],
    backups: [],
    sizes: [],
    newestRuns: [],
    endedRuns: [],
    holder: undefined,
  }
  const trouble = { unknown: 'not looked at' }
  const candles = { table: true, symbols: [], misplaced: [], unclosed: [] }
  const results = runChecks({
    config: loadConfig(workspace.file),
    now,
    table: intervals['4h'],
    quick: false,
    examination: {
      file: { kind: 'missing' },
      hotJournal: false,
      heldMs: undefined,
      size: undefined,
      candles,
      structure: trouble,
      seals: trouble,
    },
    memory,
    sealed: 0,
  })
  test.match(results, [
    { name: 'data_freshness', status: 'unknown', line: 'the check itself failed: out of order' },
    { name: 'symbol_coverage', status: 'critical' },
    { name: 'database_integrity', status: 'critical' },
    { name: 'database_size', status: 'unknown' },
    { name: 'backup_status', status: 'critical' },
    { name: 'recent_activity', status: 'warning' },
  ])
})

await t.test(
  'with --notify people are told: a check that flaps is one alert and one recovery',
  async test => {
    const { workspace, services, at } = await startEverything(test)
    workspace.configure(sheet => {
      sheet.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
    })
    expectStatus(test, await workspace.run('daily_candle_sync', [], at(0)), 0)
    expectStatus(test, await workspace.run('health_check', [], at(1)), 2)
    test.equal(services.slack.length, 0, 'nobody is told by a check that somebody looks at')
    for (let n = 0; n < 10; n++) {
      inHistory(workspace, n % 2 === 0 ? 'DELETE FROM backups' : provenBackups)
      const moment = at(2 + n)
      const covered = Date.parse(moment.env['CANDLEKEEP_NOW'] ?? '')
      inHistory(workspace, `UPDATE backups SET taken_at = ${covered}, covers_until = ${covered}`)
      const seen = await workspace.run('health_check', ['--notify'], moment)
      expectStatus(test, seen, n % 2 === 0 ? 2 : 0)
    }
    test.match(
      services.slack.map(({ text }) => text),
      [/CRITICAL.*Backup status: there is no proven backup/],
    )
    expectStatus(test, await workspace.run('health_check', ['--notify'], at(40)), 0)
    test.match(
      services.slack.map(({ text }) => text),
      [/CRITICAL/, /RECOVERED.*Backup status/],
    )
    test.same(
      services.pagerduty.map(({ event_action }) => event_action),
      ['trigger', 'resolve'],
    )
    test.same(services.faults, [])
  },
)

await t.test('what is asked for wrongly is a usage error, and leaves no trace', async test => {
  const workspace = well(test)
  expectStatus(test, await workspace.run('health_check', ['--quick', '--full']), 64)
  const seen = await workspace.run('health_check', ['--fulll'])
  expectStatus(test, seen, 64)
  test.match(seen.stdout + seen.stderr, /--full/)
})

await t.test('two checks at once are in nobody’s way, also beside a sync', async (test: Test) => {
  const workspace = well(test)
  const all = await Promise.all([
    workspace.run('health_check'),
    workspace.run('daily_candle_sync'),
    workspace.run('health_check'),
  ])
  for (const each of all) expectStatus(test, each, 0)
})

await t.test('a copy that a killed check left is taken away by the next', async test => {
  const workspace = well(test)
  const left = join(workspace.state, 'scratch/run-999999999')
  mkdirSync(left, { recursive: true })
  copyFileSync(workspace.database, join(left, 'copy.db'))
  expectStatus(test, await workspace.run('health_check'), 0)
  test.notOk(existsSync(left))
})

await t.test(
  'every symbol is read again at least once a day, and no check has more than its share to do',
  async test => {
    const hours = fc.constantFrom(1, 2, 3, 4, 6, 8, 12, 24)
    check(
      fc.property(
        hours,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 0, max: 2 ** 31 }),
        (every, count, seed) => {
          // some were compared by a clock that was ahead
          const first = (i: number) => (i % 5 === seed % 5 ? 400 * day : -(seed % 7) * hour)
          const at = new Map(Array.from({ length: count }, (_, i) => [`S${i}`, first(i)]))
          let [time, most] = [0, 0]
          for (let n = 0; n < 100; n++) {
            // cron is late now and then, by some minutes
            const moment = time + ((seed >> (n % 16)) % 10) * 60_000
            const verified = [...at].map(([name, when]) => ({ name, at: when }))
            const due = dueSeals(verified, moment, every * hour)
            if (n > 24 / every) most = Math.max(most, due.length)
            for (const { name, at: when } of verified)
              if (!due.includes(name) && moment + every * hour - when > day)
                throw new Error(`${name} waits for too long`)
            for (const name of due) at.set(name, moment)
            time += every * hour
          }
          const share = Math.ceil((count * every) / 24)
          if (most > Math.max(share * 2, 1) && every < 12)
            throw new Error(`${most} of ${count} at once, every ${every} h`)
        },
      ),
      runs(200),
    )
    test.same(dueSeals([], 0, hour), [])
    test.same(symbols.length, 6)
  },
)

await t.test('days until a disk is full', async test => {
  const checks = (perDay: number) =>
    Array.from({ length: 20 }, (_, i) => ({
      at: now - (20 - i) * 6 * hour,
      used: 1,
      diskFree: 100 + perDay * ((20 - i) / 4),
    }))
  test.equal(Math.round(daysUntilFull(checks(10), { at: now, diskFree: 100 }) ?? 0), 10)
  test.equal(daysUntilFull(checks(0), { at: now, diskFree: 100 }), undefined)
  test.equal(daysUntilFull(checks(-5), { at: now, diskFree: 100 }), undefined)
  test.equal(
    daysUntilFull(checks(10).slice(-3), { at: now, diskFree: 100 }),
    undefined,
    'too short a time to say',
  )
})

await t.test('the time that a daily job was last due', async test => {
  test.equal(lastTimeOfDay('01:00', Date.parse('2026-03-15T00:59:59Z')), Date.parse('2026-03-14T01:00Z'))
  test.equal(lastTimeOfDay('01:00', Date.parse('2026-03-15T01:00:00Z')), Date.parse('2026-03-15T01:00Z'))
  test.equal(lastTimeOfDay('23:30', Date.parse('2026-03-15T12:00:00Z')), Date.parse('2026-03-14T23:30Z'))
})

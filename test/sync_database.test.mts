import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { agentTables, execute, query, storedCandles } from './support/agent_database.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { leaveHotJournal } from './support/hot_journal.ts'
import { seededRandom } from './support/random.ts'
import { makeWorkspace, type Workspace } from './support/workspace.ts'

// What a database can be when the sync comes, and what may befall it meanwhile.

const now = '2024-05-05T01:00:00Z'
const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'ADAUSDT', 'DOTUSDT']
const source = generatedSource({ symbols })
const clock = new ReplayClock({ at: now, rate: 0 })
const replay = await startReplay({ source, clock, weightLimit: 1_000_000 })
t.teardown(() => replay.close())

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', strace: 'strace' })
const candles = 6 * 42
const root = process.getuid?.() === 0
const needsRoot = skip || (root || process.env.CI === 'true' ? false : 'needs root')

function fresh(test: Test): Workspace {
  replay.clock.set(now)
  return makeWorkspace(test, { url: replay.url, symbols, now })
}

/** Everything that is not ours in a database, as SQL. */
function othersIn(file: string): string {
  return execFileSync('sqlite3', [file, '.dump trade_log positions sentiment'], { encoding: 'utf8' })
}

/** By another process: reading a database's file in one that has it open drops SQLite's locks on it. */
function digest(file: string): string {
  return spawnSync('sha256sum', [file], { encoding: 'utf8' }).stdout
}

const isSound = (file: string) =>
  execFileSync('sqlite3', [file, 'PRAGMA integrity_check'], { encoding: 'utf8' }).trim()

/** Commits a row of its own every few milliseconds until its input ends, and says how it went. */
const agentProgram = `
  const Database = require('better-sqlite3')
  const database = new Database(process.argv[1], { timeout: 20000 })
  const insert = database.prepare("INSERT INTO trade_log (symbol, side, price, at) VALUES ('BTCUSDT', 'new', 1, 0)")
  let written = 0, failed = 0, ended = false
  process.stdin.resume().on('end', () => { ended = true })
  function step() {
    if (ended) { process.stdout.write(JSON.stringify({ written, failed })); database.close(); return process.exit() }
    try { insert.run(); written += 1 } catch (error) { failed += 1; console.error(error) }
    setTimeout(step, 2)
  }
  process.stdout.write('ready')
  setTimeout(step, 50)
`

for (const mode of ['wal', 'delete']) {
  await t.test(
    `an agent's database in ${mode} mode keeps its mode, page size and other tables`,
    async test => {
      const workspace = fresh(test)
      execute(workspace.database, `PRAGMA page_size = 8192; PRAGMA journal_mode = ${mode}; ${agentTables}`)
      const before = othersIn(workspace.database)
      expectStatus(test, await workspace.run('daily_candle_sync'), 0)
      test.equal(storedCandles(workspace.database).length, candles)
      test.equal(othersIn(workspace.database), before)
      const [settings] = query(workspace.database, 'SELECT * FROM pragma_journal_mode, pragma_page_size')
      test.strictSame(settings, { journal_mode: mode, page_size: 8192 })
      test.equal(isSound(workspace.database), 'ok')
    },
  )

  await t.test(
    `while the agent writes all the time in ${mode} mode, both get their rows in`,
    { skip },
    async test => {
      const workspace = fresh(test)
      execute(workspace.database, `PRAGMA journal_mode = ${mode}; ${agentTables}`)
      const agent = spawn(process.execPath, ['-e', agentProgram, workspace.database], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      test.teardown(() => agent.kill('SIGKILL'))
      await once(agent.stdout, 'data')
      const ended = await workspace.run('daily_candle_sync', ['--since', '2022-01-01'])
      agent.stdin.end()
      const [[report]] = (await Promise.all([once(agent.stdout, 'data'), once(agent, 'close')])) as [
        [Buffer],
        unknown,
      ]
      expectStatus(test, ended, 0)
      const { written, failed } = JSON.parse(String(report)) as { written: number; failed: number }
      test.comment(`${written} commits of the agent went on beside the sync`)
      test.equal(failed, 0)
      const [rows] = query<{ rows: number }>(
        workspace.database,
        "SELECT count(*) AS rows FROM trade_log WHERE side = 'new'",
      )
      test.equal(rows?.rows, written, 'not one of its commits is lost')
      test.ok(written > 0)
      const expected = source.candles('BTCUSDT', '4h', {
        from: Date.parse('2022-01-01'),
        to: Date.parse('2024-05-04T20:00Z'),
        limit: 99_999,
      })
      test.equal(storedCandles(workspace.database, 'ohlcv_h4', 'BTCUSDT').length, expected.length)
      test.equal(isSound(workspace.database), 'ok')
    },
  )
}

await t.test('1h and 1d candles go to their own tables', async test => {
  const workspace = fresh(test)
  for (const [interval, table, count] of [
    ['1h', 'ohlcv_h1', 168],
    ['1d', 'ohlcv_d1', 7],
  ] as const) {
    const ended = await workspace.run('daily_candle_sync', ['--interval', interval])
    expectStatus(test, ended, 0)
    test.equal(storedCandles(workspace.database, table).length, 6 * count)
    const page = { from: 0, to: Date.parse(now), limit: 99_999 }
    const right = new Map(source.candles('ETHUSDT', interval, page).map(row => [row[0], Number(row[4])]))
    for (const row of storedCandles(workspace.database, table, 'ETHUSDT')) {
      if (right.get(row.timestamp) !== row.close) test.fail(`${table} ${row.timestamp}`)
    }
  }
  test.equal(query(workspace.database, "SELECT 1 FROM sqlite_master WHERE name = 'ohlcv_h4'").length, 0)
})

await t.test('a database that cannot be used: a clear message, nothing changed, status 1', async group => {
  const refused = async (test: Test, workspace: Workspace, says: RegExp) => {
    const before = digest(workspace.database)
    const ended = await workspace.run('daily_candle_sync')
    expectStatus(test, ended, 1)
    test.match(ended.stdout, says)
    test.notMatch(ended.stdout, /defect/)
    test.equal(digest(workspace.database), before, 'the file is as it was')
  }
  await group.test('not a database', async test => {
    const workspace = fresh(test)
    mkdirSync(dirname(workspace.database))
    writeFileSync(workspace.database, 'this is a letter to a friend, and no database at all. '.repeat(99))
    await refused(test, workspace, /❌ the database .*agent\.db is not a database/)
  })
  await group.test('damaged', async test => {
    const workspace = fresh(test)
    expectStatus(test, await workspace.run('daily_candle_sync'), 0)
    const bytes = readFileSync(workspace.database)
    bytes.fill(0xff, 4096, 40_960)
    writeFileSync(workspace.database, bytes)
    await refused(test, workspace, /❌ the database .*agent\.db is damaged/)
  })
  await group.test(
    'with a transaction to roll back that was cut off, seen by a run that only looks',
    async test => {
      const workspace = fresh(test)
      execute(workspace.database, agentTables)
      const before = othersIn(workspace.database)
      leaveHotJournal(workspace.database)
      const looked = await workspace.run('daily_candle_sync', ['--dry-run'])
      expectStatus(test, looked, 1)
      test.match(looked.stdout, /a transaction to roll back.*a run without --dry-run/s)
      expectStatus(test, await workspace.run('daily_candle_sync'), 0)
      test.equal(othersIn(workspace.database), before, 'the real run rolls it back')
    },
  )
  await group.test('held by another process', async test => {
    const workspace = fresh(test)
    execute(workspace.database, agentTables)
    workspace.configure(sheet => Object.assign(sheet.sync, { database_busy_seconds: 0.5 }))
    const holder = new Database(workspace.database)
    holder.exec('BEGIN EXCLUSIVE')
    test.teardown(() => holder.close())
    await refused(test, workspace, /❌ the database .*agent\.db is held by another process/)
  })
  await group.test('held for a while only: the sync waits', async test => {
    const workspace = fresh(test)
    execute(workspace.database, agentTables)
    const program = `const db = new (require('better-sqlite3'))(process.argv[1]); db.exec('BEGIN EXCLUSIVE')
      console.log('held'); setTimeout(() => db.exec('ROLLBACK'), 2500)`
    const holder = spawn(process.execPath, ['-e', program, workspace.database], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    test.teardown(() => holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    expectStatus(test, await workspace.run('daily_candle_sync'), 0)
    test.equal(storedCandles(workspace.database).length, candles)
  })
  await group.test('a table of the same name that is something else', async test => {
    const workspace = fresh(test)
    execute(workspace.database, 'CREATE TABLE ohlcv_h4 (timestamp INTEGER, symbol TEXT, open REAL)')
    await refused(test, workspace, /❌ table ohlcv_h4 .* has no column high, low, close/)
  })
  await group.test('a candle table without a key', async test => {
    const workspace = fresh(test)
    const columns = 'timestamp, symbol, open, high, low, close, volume, quote_volume, trades_count'
    execute(workspace.database, `CREATE TABLE ohlcv_h4 (${columns})`)
    await refused(test, workspace, /❌ table ohlcv_h4 .* cannot take candles/)
  })
  await group.test('gone, though it was synced before', async test => {
    const workspace = fresh(test)
    expectStatus(test, await workspace.run('daily_candle_sync'), 0)
    execFileSync('rm', [workspace.database])
    await refused(test, workspace, /❌ the database .*agent\.db is missing, though it has been synced before/)
    test.notOk(existsSync(workspace.database), 'no empty one takes its place')
  })
  await group.test('a folder that is a file', async test => {
    const workspace = fresh(test)
    writeFileSync(dirname(workspace.database), '')
    await refused(test, workspace, /❌ the database .*agent\.db cannot be (made|opened)/)
  })
  await group.test('read-only', { skip: needsRoot }, async test => {
    const workspace = fresh(test)
    execute(workspace.database, agentTables)
    chmodSync(workspace.database, 0o444)
    const folder = dirname(workspace.database)
    execFileSync('mount', ['--bind', '-o', 'ro', folder, folder])
    test.teardown(() => execFileSync('umount', [folder]))
    await refused(test, workspace, /❌ the database .*agent\.db cannot be written: it is read-only/)
  })
  await group.test(
    'on a disk that fills up: what was committed stays, the rest comes with the next run',
    { skip: needsRoot },
    async test => {
      const workspace = fresh(test)
      const folder = dirname(workspace.database)
      mkdirSync(folder)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder])
      test.teardown(() => execFileSync('umount', [folder]))
      execute(workspace.database, agentTables)
      const before = othersIn(workspace.database)
      const ended = await workspace.run('daily_candle_sync', ['--since', '2022-01-01'])
      expectStatus(test, ended, 1)
      test.match(ended.stdout, /❌ the database .*agent\.db cannot grow: the disk is full/)
      test.equal(isSound(workspace.database), 'ok')
      test.equal(othersIn(workspace.database), before)
      execFileSync('mount', ['-o', 'remount,size=64m', folder])
      expectStatus(test, await workspace.run('daily_candle_sync', ['--since', '2022-01-01']), 0)
    },
  )
})

await t.test(
  'kill -9 at any moment: the database is sound, and the next run completes it',
  { skip },
  async group => {
    const soak = process.env.CANDLEKEEP_SOAK !== undefined
    const random = seededRandom(group)
    const since = ['--since', '2023-09-01']
    // one after the other and not too fast, so that there is a time between the first commit and the last
    const slow = await startReplay({ source, clock, weightLimit: 1_000_000, latencyMs: 20 })
    group.teardown(() => slow.close())
    const spreadOut = (test: Test) => {
      const workspace = makeWorkspace(test, { url: slow.url, symbols, now })
      workspace.configure(sheet => Object.assign(sheet.sync, { concurrency: 1 }))
      return workspace
    }
    const reference = spreadOut(group)
    const began = performance.now()
    expectStatus(group, await reference.run('daily_candle_sync', since), 0)
    const whole = performance.now() - began
    const right = storedCandles(reference.database)

    for (const mode of ['wal', 'delete']) {
      await group.test(`${mode} mode`, async test => {
        let midway = 0
        for (let i = 0; i < (soak ? 100 : 8); i++) {
          const workspace = spreadOut(test)
          execute(workspace.database, `PRAGMA journal_mode = ${mode}; ${agentTables}`)
          const before = othersIn(workspace.database)
          const running = workspace.start('daily_candle_sync', since)
          // most of the time goes by before the first commit: the later half is where it hurts
          await delay(whole * (0.4 + 0.6 * random()))
          running.kill('SIGKILL')
          await running.ended
          // opening it for writing rolls back what was under way, as the agent's next start would
          execute(workspace.database, 'SELECT count(*) FROM sqlite_master')
          const stored =
            query<{ count: number }>(
              workspace.database,
              "SELECT count(*) AS count FROM sqlite_master WHERE name = 'ohlcv_h4'",
            )[0]?.count === 1
              ? storedCandles(workspace.database)
              : []
          if (stored.length > 0 && stored.length < right.length) midway += 1
          const counts = new Map<string, number>()
          for (const { symbol } of stored) counts.set(symbol, (counts.get(symbol) ?? 0) + 1)
          const halves = [...counts.values()].filter(count => count !== right.length / symbols.length)
          const again = await workspace.run('daily_candle_sync', since)
          const completed = storedCandles(workspace.database)
          const same = JSON.stringify(completed) === JSON.stringify(right)
          if (
            halves.length === 0 &&
            again.status === 0 &&
            same &&
            isSound(workspace.database) === 'ok' &&
            othersIn(workspace.database) === before
          )
            continue
          test.fail(
            `round ${i}: halves of symbols ${halves.join()}, then status ${again.status}, complete ${same}: ${again.stdout}`,
          )
        }
        test.comment(`${midway} of the kills came between the first commit and the last`)
        test.pass('each time')
      })
    }

    await group.test('with a kill at every write and sync in turn', { skip: needsRoot }, async test => {
      const strace = (args: string[], workspace: Workspace) => {
        const traced = ['-f', '-qq', '-o', join(workspace.folder, 'strace.txt'), ...args, process.execPath]
        return workspace.run('daily_candle_sync', [], { runner: ['strace', ...traced] })
      }
      const counted = fresh(test)
      execute(counted.database, agentTables)
      expectStatus(test, await strace(['-e', 'trace=pwrite64,fsync,fdatasync'], counted), 0)
      const calls =
        readFileSync(join(counted.folder, 'strace.txt'), 'utf8').match(/(pwrite64|fsync|fdatasync)\(/g) ?? []
      const complete = JSON.stringify(storedCandles(counted.database))
      const every = soak ? 1 : Math.ceil(calls.length / 12)
      test.comment(`${calls.length} writes and syncs, killed at every ${every}th`)
      let tried = 0
      for (const call of ['pwrite64', 'fsync', 'fdatasync']) {
        const count = calls.filter(name => name === `${call}(`).length
        for (let n = 1 + Math.floor(random() * Math.min(every, count)); n <= count; n += every) {
          const workspace = fresh(group)
          execute(workspace.database, agentTables)
          const before = othersIn(workspace.database)
          const killed = await strace(
            ['-e', `trace=${call}`, '-e', `inject=${call}:signal=SIGKILL:when=${n}`],
            workspace,
          )
          if (killed.status === 0) continue
          tried += 1
          const again = await workspace.run('daily_candle_sync')
          const same = JSON.stringify(storedCandles(workspace.database)) === complete
          if (
            again.status === 0 &&
            same &&
            isSound(workspace.database) === 'ok' &&
            othersIn(workspace.database) === before
          )
            continue
          test.fail(
            `killed at ${call} ${n}: then status ${again.status}, complete ${same}: ${again.stdout}${again.stderr}`,
          )
        }
      }
      test.ok(tried > 0, `${tried} kills`)
    })
  },
)

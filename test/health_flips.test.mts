import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { columns } from '../scripts/candles/candle_table.ts'
import { intervals, lastClosedOpenTime } from '../scripts/candles/intervals.ts'
import { SealBook } from '../scripts/candles/seal_rotation.ts'
import { lookAtFile } from '../scripts/database/file_facts.ts'
import { type CheckContext, runChecks } from '../scripts/health/checks.ts'
import { examineIn } from '../scripts/health/examination.ts'
import { startExaminer } from '../scripts/health/examiner.ts'
import { recall } from '../scripts/health/memory.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { History } from '../scripts/job/history.ts'
import { execute } from './support/agent_database.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { now, wellWorkspaces } from './support/well.ts'
import { temporaryFolder } from './support/workspace.ts'

// One bit at a time, anywhere in the file. The oracle is Debian's sqlite3: what it reads, and what its check says.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3' })
const flips = runs(200, 5000)
const well = await wellWorkspaces({ historyDays: 20 })

const silent = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  file: undefined,
  close: () => undefined,
}
const clock = { now: () => now, sleep: () => Promise.resolve() }

const sqlite3 = (file: string, sql: string) => {
  const { stdout, status } = spawnSync('sqlite3', ['-readonly', file, sql], {
    encoding: 'latin1',
    maxBuffer: 2 ** 28,
  })
  return status === 0 ? stdout : `${stdout} error ${status}`
}
// quote() writes a number so that not one bit of it is lost
const candles = (file: string) =>
  ['ohlcv_h4', 'ohlcv_h1']
    .map(table =>
      sqlite3(file, `SELECT ${columns.map(name => `quote(${name})`).join()} FROM ${table} NOT INDEXED`),
    )
    .join()
const verdict = (file: string) => sqlite3(file, 'PRAGMA integrity_check').trim()

await t.test('a flipped bit', { skip }, async group => {
  for (const mode of ['delete', 'wal']) {
    await group.test(`in a database in ${mode} mode`, async test => {
      const random = seededRandom(test)
      const workspace = well(test)
      execute(workspace.database, `PRAGMA journal_mode = ${mode}`)
      const folder = temporaryFolder(test)
      const history = History.open(workspace.state, silent, clock, { readOnly: true })
      test.teardown(() => history.close())
      const book = new SealBook(history, clock.now)
      const seals = book.seals(new Set(book.verified().map(({ name }) => name)))
      const file = join(folder, 'agent.db')
      const config = {
        ...loadConfig(workspace.file),
        paths: { ...loadConfig(workspace.file).paths, database: file },
      }
      const context = {
        config,
        now,
        table: intervals['4h'],
        quick: false,
        memory: recall(history, workspace.state, 0, now, now),
        sealed: seals.length,
      } satisfies Omit<CheckContext, 'examination'>

      // by another process: reading a database's file in one that has it open drops SQLite's locks
      const sound = execFileSync('cat', [workspace.database], { maxBuffer: 2 ** 28 })
      const rightCandles = candles(workspace.database)
      const stop = new AbortController()
      let examiners = [startExaminer(stop.signal), startExaminer(stop.signal)] as const
      test.teardown(() => stop.abort())

      /** The six checks, as the command runs them; the processes that look into the file are kept. */
      const look = async () => {
        const signal = AbortSignal.timeout(60_000)
        const request = {
          database: file,
          state: folder,
          table: intervals['4h'],
          lastClosed: lastClosedOpenTime(now, intervals['4h'].step),
          quick: false,
          seals: (only?: Set<string>) => seals.filter(({ name }) => only?.has(name) ?? true),
          signal,
          pauseMs: 0,
        }
        const examination = await examineIn(folder, request, ...examiners)
        return { examination, results: runChecks({ ...context, examination }) }
      }
      const write = (bytes: Buffer) => {
        for (const suffix of ['-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true })
        writeFileSync(file, bytes)
      }

      write(sound)
      test.same(
        (await look()).results.map(({ status }) => status),
        Array(6).fill('ok'),
        'nothing is wrong before',
      )

      const found = { candle: 0, bySqlite: 0, bySeals: 0, byReading: 0, other: 0, otherSeen: 0, harmless: 0 }
      const missed: string[] = []
      for (let n = 0; n < flips; n++) {
        // other places in the other mode
        const at = Math.floor((mode === 'wal' ? 1 - random() : random()) * sound.length * 8)
        const bytes = Buffer.from(sound)
        bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7))
        write(bytes)
        const where = `byte ${at >> 3} bit ${at & 7}`
        const { examination, results } = await look()
        const { structure, seals: sealed, candles: read } = examination
        if (
          [structure, sealed, read].some(part => 'unknown' in part) &&
          lookAtFile(file).kind === 'database'
        ) {
          missed.push(
            `${where}: ${JSON.stringify([structure, sealed, read].filter(part => 'unknown' in part))}`,
          )
          examiners = [startExaminer(stop.signal), startExaminer(stop.signal)]
        }
        const critical = results.some(({ status }) => status === 'critical')
        const sqliteSees =
          'damaged' in structure || ('problems' in structure && structure.problems.length > 0)
        const sealsSee = 'broken' in sealed && sealed.broken.length > 0
        write(bytes)
        const oracleSees = verdict(file) !== 'ok'
        if (candles(file) !== rightCandles) {
          found.candle += 1
          if (sqliteSees) found.bySqlite += 1
          if (sealsSee) found.bySeals += 1
          if (!sqliteSees && !sealsSee) found.byReading += 1
          if (!critical) missed.push(`${where}: a candle has changed`)
        } else if (oracleSees) {
          found.other += 1
          if (critical) found.otherSeen += 1
          else missed.push(`${where}: sqlite3 says ${verdict(file)}`)
        } else found.harmless += 1
      }
      const share = (part: number) => `${((100 * part) / found.candle).toFixed(1)} %`
      test.comment(
        `${flips} flips: ${found.candle} changed a stored candle (found by SQLite ${share(found.bySqlite)}, by the seals ${share(found.bySeals)}, by neither of them ${share(found.byReading)}); ` +
          `${found.other} others that sqlite3's check sees (${found.otherSeen} reported); ${found.harmless} that it does not see`,
      )
      test.same(missed, [], 'each that changes a candle, or that sqlite3 sees, is critical')
      test.ok(found.candle > flips / 10)
    })
  }

  await group.test('is reported by the command itself', async test => {
    const random = seededRandom(test)
    const sound = well(test)
    const bytes = readFileSync(sound.database)
    let tried = 0
    while (tried < 5) {
      const workspace = well(test)
      const at = Math.floor(random() * bytes.length * 8)
      const flipped = Buffer.from(bytes)
      flipped[at >> 3] = (flipped[at >> 3] as number) ^ (1 << (at & 7))
      const copy = join(temporaryFolder(test), 'agent.db')
      writeFileSync(copy, flipped)
      if (candles(copy) === candles(sound.database)) continue
      tried += 1
      cpSync(copy, workspace.database)
      const seen = await workspace.run('health_check', ['--full'])
      test.equal(seen.status, 2, `byte ${at >> 3} bit ${at & 7}: ${seen.stdout.split('\n')[0]}`)
      test.notMatch(seen.stdout, /TypeError|RangeError|defect/)
    }
  })
})

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import * as fc from 'fast-check'
import t from 'tap'
import type { Manifest } from '../scripts/backup/manifest.ts'
import type { FileFacts } from '../scripts/database/file_facts.ts'
import { minute } from '../scripts/job/time.ts'
import { candidates, type Offer } from '../scripts/recovery/choose.ts'
import { type DiagnosisFacts, DoubtfulDiagnosis, diagnose } from '../scripts/recovery/diagnosis.ts'
import { holdersOf } from '../scripts/recovery/holders.ts'
import type { Look } from '../scripts/recovery/mender_protocol.ts'
import { check, runs } from './support/properties.ts'

// The parts of recovery that decide, without a recovery.

const now = Date.parse('2026-03-14T05:00:00Z')
const tiers = ['hot', 'warm', 'cold'] as const

await t.test('Backups are tried newest first, from the fastest tier, what is doubtful last', test => {
  const backup = fc.record({
    tier: fc.constantFrom(...tiers),
    hours: fc.integer({ min: -4, max: 3 }),
    failed: fc.boolean(),
  })
  const backups = fc.uniqueArray(backup, { selector: ({ tier, hours }) => `${tier} ${hours}` })
  const choice = fc.record({
    hours: fc.option(fc.integer({ min: -5, max: 4 })),
    tier: fc.option(fc.constantFrom(...tiers)),
    before: fc.option(fc.integer({ min: -5, max: 4 })),
  })
  const nameOf = (hours: number) => `backup ${hours}`
  const timeOf = (hours: number) => now + hours * 60 * minute
  check(
    fc.property(backups, choice, (given, { hours, tier, before }) => {
      const offers = tiers.map((name): Offer => {
        const own = given.filter(each => each.tier === name)
        const manifests = own.map(each => ({
          id: nameOf(each.hours),
          taken_at: new Date(timeOf(each.hours)).toISOString(),
        })) as Manifest[]
        return {
          tier: name,
          backups: manifests,
          failed: new Set(own.filter(each => each.failed).map(each => nameOf(each.hours))),
        }
      })
      const found = candidates(
        offers,
        {
          id: hours === null ? undefined : nameOf(hours),
          tier: tier ?? undefined,
          at: before === null ? undefined : timeOf(before),
        },
        now,
      )
      // as a person would lay out cards: four heaps, one after the other, each by hour and tier
      const expected: string[] = []
      for (const failed of [false, true])
        for (const future of [false, true])
          for (let hour = 3; hour >= -4; hour--)
            for (const name of tiers)
              for (const each of given)
                if (
                  each.failed === failed &&
                  each.hours > 0 === future &&
                  each.hours === hour &&
                  each.tier === name
                )
                  if (hours === null || hour === hours)
                    if (tier === null || name === tier)
                      if (before === null || hour <= before) expected.push(`${name} ${hour}`)
      return found.map(each => `${each.tier} ${each.manifest.id.slice(7)}`).join() === expected.join()
    }),
    runs(500),
  )
  test.end()
})

const sound: Look = {
  problems: [],
  structures: [{ table: 'trade_log', rootPage: 2, indexes: [{ name: 'by_price', rootPage: 3 }] }],
  misshapen: [],
  broken: [],
  rows: [],
}
const brokenSeal = { interval: '4h', symbol: 'BTCUSDT', month: '2026-03' } as Look['broken'][number]
const file: FileFacts = { kind: 'database', bytes: 8192, journalMode: 'wal', wal: 0, journal: 0 }
const facts: DiagnosisFacts = {
  database: '/data/agent.db',
  file,
  look: sound,
  declaredBytes: 8192,
  staleJournal: false,
  hotJournal: false,
  expected: { tables: ['trade_log'] },
}
const cut = { ...facts, declaredBytes: 16384 }
const problems = (...lines: string[]): Look => ({ ...sound, problems: lines })

const verdicts: [what: string, facts: DiagnosisFacts, damage: string, cure: string][] = [
  ['sound', facts, 'none', 'none'],
  ['sound, with a transaction that was cut off', { ...facts, hotJournal: true }, 'none', 'none'],
  ['sound, and there is no backup', { ...facts, expected: undefined }, 'none', 'none'],
  ['missing', { ...facts, file: { kind: 'missing' } }, 'missing', 'restore'],
  ['without a byte', { ...facts, file: { kind: 'empty' } }, 'empty', 'restore'],
  ['without its header', { ...facts, file: { kind: 'foreign' } }, 'not_a_database', 'restore'],
  ['not given by the disk', { ...facts, file: { kind: 'unreadable', why: 'EIO' } }, 'unreadable', 'restore'],
  [
    'a log beside rollback mode',
    { ...facts, file: { ...file, journalMode: 'rollback', wal: 4152 } },
    'foreign_log',
    'itself',
  ],
  ['a journal beside WAL mode', { ...facts, file: { ...file, journal: 512 } }, 'foreign_log', 'itself'],
  [
    'SQLite cannot open it',
    { ...facts, look: { damaged: 'file is not a database (SQLITE_NOTADB)' } },
    'not_a_database',
    'restore',
  ],
  [
    'SQLite cannot read it',
    { ...facts, look: { damaged: 'disk I/O error (SQLITE_IOERR_READ)' } },
    'unreadable',
    'restore',
  ],
  [
    'SQLite finds it malformed',
    { ...facts, look: { damaged: 'malformed (SQLITE_CORRUPT)' } },
    'pages',
    'restore',
  ],
  ['cut, and malformed', { ...cut, look: { damaged: 'malformed (SQLITE_CORRUPT)' } }, 'truncated', 'restore'],
  [
    'cut, and read in part',
    { ...cut, look: problems('Tree 2 page 4: btreeInitPage() returns error code 11') },
    'truncated',
    'restore',
  ],
  [
    'a page of a table',
    { ...facts, look: problems('Tree 2 page 4: btreeInitPage() returns error code 11') },
    'pages',
    'restore',
  ],
  [
    'a page of an index',
    { ...facts, look: problems('Tree 3 page 3 cell 1: Rowid 7 out of order') },
    'indexes',
    'itself',
  ],
  [
    'rows that lack in an index',
    { ...facts, look: problems('row 3 missing from index by_price', 'wrong # of entries in index by_price') },
    'indexes',
    'itself',
  ],
  [
    'the same, and prices changed',
    { ...facts, look: { ...problems('row 3 missing from index by_price'), broken: [brokenSeal] } },
    'pages',
    'restore',
  ],
  [
    'both',
    { ...facts, look: problems('row 3 missing from index by_price', 'Tree 2 page 2: x') },
    'pages',
    'restore',
  ],
  [
    'the list of free pages',
    { ...facts, look: problems('Freelist: size is 3 but should be 4') },
    'free_pages',
    'itself',
  ],
  ['what nobody knows', { ...facts, look: problems('the moon is in the wrong place') }, 'pages', 'restore'],
  [
    'a candle table without a column',
    { ...facts, look: { ...sound, misshapen: ['table ohlcv_h4 has no column close'] } },
    'schema',
    'restore',
  ],
  ['no tables', { ...facts, look: { ...sound, structures: [] } }, 'schema', 'restore'],
  ['another database', { ...facts, expected: { tables: ['orders', 'users'] } }, 'schema', 'restore'],
  [
    'one without its candles',
    { ...facts, expected: { tables: ['trade_log', 'ohlcv_h4'] } },
    'schema',
    'restore',
  ],
  [
    'a table that the agent has dropped',
    { ...facts, expected: { tables: ['trade_log', 'old'] } },
    'none',
    'none',
  ],
  [
    'prices that are not as they were sealed',
    { ...facts, look: { ...sound, broken: [brokenSeal] } },
    'candles',
    'resync',
  ],
  [
    'the same after a journal was played back',
    { ...facts, hotJournal: true, look: { ...sound, broken: [brokenSeal] } },
    'candles',
    'itself',
  ],
]

await t.test('Each damage has its verdict', test => {
  for (const [what, given, damage, cure] of verdicts) {
    const diagnosis = diagnose(given)
    test.match(diagnosis, { verdict: damage === 'none' ? 'sound' : 'damaged', damage, cure }, what)
    if (damage !== 'none') test.ok(diagnosis.findings.length > 0, `${what}: it says what was found`)
  }
  test.match(
    diagnose({
      ...facts,
      look: problems('row 3 missing from index by_price', 'row 9 missing from index by_price'),
    }),
    {
      indexes: ['by_price'],
      tables: [],
      doubtful: [{ table: 'trade_log', rowids: ['3', '9'] }],
    },
  )
  const doubtful: DiagnosisFacts[] = [
    { ...facts, look: undefined },
    { ...facts, look: { unknown: 'the database is held by another process (SQLITE_BUSY)' } },
    { ...facts, file: { kind: 'unreadable', why: 'EACCES' } },
  ]
  for (const given of doubtful) test.throws(() => diagnose(given), DoubtfulDiagnosis)
  test.end()
})

await t.test('Who has a file open is named, also by the side files alone; who has not is not', async test => {
  const folder = test.testdir({ 'agent.db': 'x', 'agent.db-wal': 'y', 'other.db': 'z' })
  const open = (name: string) => {
    const descriptor = openSync(join(folder, name), 'r')
    const child = spawn('sleep', ['600'], { stdio: [descriptor, 'ignore', 'ignore'], detached: true })
    test.teardown(() => child.kill('SIGKILL'))
    return child.pid as number
  }
  // a child of a child, as those of this process do not count
  const shell = spawn('sh', ['-c', `sleep 600 < "$1" & echo $!; wait`, 'sh', join(folder, 'agent.db')])
  test.teardown(() => shell.kill('SIGKILL'))
  const [line] = (await once(shell.stdout, 'data')) as [Buffer]
  const grandchild = Number(line.toString())
  test.teardown(() => process.kill(grandchild, 'SIGKILL'))
  const own = open('agent.db')
  const files = ['agent.db', 'agent.db-wal', 'agent.db-journal'].map(name => join(folder, name))
  const { processes } = holdersOf(files)
  test.same(processes, [{ pid: grandchild, command: 'sleep 600' }])
  test.notOk(processes.some(({ pid }) => pid === own || pid === process.pid))
  test.same(holdersOf([join(folder, 'other.db')]).processes, [])
  test.same(holdersOf([join(folder, 'not there')]), { processes: [], blind: false })
})

const isRoot = process.getuid?.() === 0

await t.test(
  'Of another user only locks can be seen: those name him',
  { skip: !isRoot && 'needs root' },
  async test => {
    const folder = test.testdir()
    chmodSync(folder, 0o755)
    const locked = join(folder, 'agent.db')
    writeFileSync(locked, '')
    const database = new Database(locked)
    database.exec('CREATE TABLE t (a); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)')
    test.teardown(() => database.close())
    const module = new URL('../scripts/recovery/holders.ts', import.meta.url).href
    const script = `import('${module}').then(({ holdersOf }) => console.log(JSON.stringify(holdersOf(['${locked}']))))`
    const { stdout, stderr } = spawnSync(
      'setpriv',
      ['--reuid', '65534', '--clear-groups', process.execPath, '-e', script],
      { encoding: 'utf8', cwd: '/' },
    )
    test.match(JSON.parse(stdout || `"${stderr.slice(0, 500)}"`), {
      blind: true,
      processes: [{ pid: process.pid }],
    })
    rmSync(locked)
  },
)

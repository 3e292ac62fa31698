import { execFileSync } from 'node:child_process'
import { linkSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import type { BackupResult } from '../scripts/backup/run.ts'
import { stateOf } from '../scripts/backup/source_state.ts'
import { recall } from '../scripts/health/memory.ts'
import { execute } from './support/agent_database.ts'
import {
  type BackupsHere,
  backupsHere,
  backupsIn,
  backupWorkspace,
  smallDatabase,
} from './support/backup_here.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { dump } from './support/digest.ts'
import { leaveHotJournal } from './support/hot_journal.ts'
import { checkAsync, runs } from './support/properties.ts'
import { type Session, startSession } from './support/sqlite3_session.ts'
import type { Workspace } from './support/workspace.ts'

// `--if-changed`: no backup where nothing has been committed, and never none where something has.

skipWithoutPackages({ sqlite3: 'sqlite3' })
const modes = ['wal', 'delete'] as const
type Mode = (typeof modes)[number]

/** What was just written may be written again in the same step of the file system's clock: so long it is in doubt. */
const settledMs = 2200

/** One statement after the other, by a process that comes and goes. */
const sqlite3 = (file: string, sql: string) =>
  execFileSync('sqlite3', ['-bail', file, sql], { encoding: 'utf8' })
const shell = (script: string, ...args: string[]) => execFileSync('sh', ['-ec', script, 'sh', ...args])

/** Whether the newest hot backup has all that the database has, by what sqlite3 writes of both. */
function isCovered({ hot, workspace }: BackupsHere): boolean {
  const newest = backupsIn(hot).at(-1) ?? ''
  return dump(join(hot, `${newest}.db`)) === dump(workspace.database)
}

type Kind = {
  name: string
  modes?: Mode[]
  /** Before the first backup; what it gives is there for the change. */
  prepare?: (file: string, test: Test) => Promise<Session> | Session
  change: (file: string, session: Session | undefined) => unknown
}

const opened = (file: string, test: Test) => startSession(test, file)
const keepTimes = 'cp -p "$1" "$1.before"; sqlite3 "$1" "$2"; touch -r "$1.before" "$1"; rm "$1.before"'
const sameSize = "UPDATE trade_log SET side = 'put' WHERE id = 7"

const kinds: Kind[] = [
  { name: 'a new row', change: file => sqlite3(file, "INSERT INTO trade_log (note) VALUES ('new')") },
  { name: 'an update that takes no more room', change: file => sqlite3(file, sameSize) },
  { name: 'a deleted row', change: file => sqlite3(file, 'DELETE FROM trade_log WHERE id = 7') },
  { name: 'a new table', change: file => sqlite3(file, 'CREATE TABLE empty (id)') },
  { name: 'a table that goes', change: file => sqlite3(file, 'DROP TABLE ohlcv_h4') },
  { name: 'a number in the header', change: file => sqlite3(file, 'PRAGMA user_version = 7') },
  { name: 'VACUUM', change: file => sqlite3(file, 'VACUUM') },
  { name: 'a commit of an agent that stays', prepare: opened, change: (_, agent) => agent?.run(sameSize) },
  {
    name: 'a commit that is in the log only, which was empty',
    modes: ['wal'],
    async prepare(file, test) {
      const agent = startSession(test, file)
      await agent.run(`${sameSize}; PRAGMA wal_checkpoint(TRUNCATE)`)
      return agent
    },
    change: (_, agent) => agent?.run('DELETE FROM trade_log WHERE id = 8'),
  },
  {
    name: 'a commit that is written over what is in the log already',
    modes: ['wal'],
    async prepare(file, test) {
      const agent = startSession(test, file)
      await agent.run(`UPDATE trade_log SET side = 'put'; PRAGMA wal_checkpoint(PASSIVE); ${sameSize}`)
      return agent
    },
    change: (_, agent) => agent?.run("UPDATE trade_log SET side = 'got' WHERE id = 7"),
  },
  {
    name: 'the same, with its time put back',
    modes: ['wal'],
    async prepare(file, test) {
      const agent = startSession(test, file)
      await agent.run(`UPDATE trade_log SET side = 'put'; PRAGMA wal_checkpoint(PASSIVE); ${sameSize}`)
      return agent
    },
    async change(file, agent) {
      shell('touch -r "$1-wal" "$1.times"', file)
      await agent?.run("UPDATE trade_log SET side = 'got' WHERE id = 7")
      shell('touch -r "$1.times" "$1-wal"; rm "$1.times"', file)
    },
  },
  {
    name: 'a commit of an agent that was killed',
    prepare: opened,
    async change(_, agent) {
      await agent?.run(sameSize)
      await agent?.kill()
    },
  },
  {
    name: 'a checkpoint',
    modes: ['wal'],
    async prepare(file, test) {
      const agent = startSession(test, file)
      await agent.run(sameSize)
      return agent
    },
    change: (_, agent) => agent?.run('PRAGMA wal_checkpoint(TRUNCATE)'),
  },
  { name: 'an update with its time put back', change: file => shell(keepTimes, file, sameSize) },
  {
    name: 'another database of the same size and time in its place',
    change: file =>
      shell('cp -p "$1" "$1.o"; sqlite3 "$1.o" "$2"; touch -r "$1" "$1.o"; mv "$1.o" "$1"', file, sameSize),
  },
  {
    name: 'the same, written into the file',
    change: file =>
      shell(
        'cp -p "$1" "$1.o"; sqlite3 "$1.o" "$2"; touch -r "$1" "$1.o"; cp -p "$1.o" "$1"; rm "$1.o"',
        file,
        sameSize,
      ),
  },
]

await t.test(
  'as long as nothing is committed no backup is taken, and whatever changes is noticed',
  async group => {
    const cases = modes.flatMap(mode =>
      kinds.filter(kind => kind.modes?.includes(mode) ?? true).map(kind => ({ mode, kind })),
    )
    const prepared = await Promise.all(
      cases.map(async ({ mode, kind }) => {
        const here = backupsHere(group, undefined, backupWorkspace(group))
        const { database } = here.workspace
        smallDatabase(database, mode)
        return { mode, kind, here, session: await kind.prepare?.(database, group) }
      }),
    )
    await delay(settledMs)
    const seen = new Map<BackupsHere, { first: BackupResult; again: BackupResult }>()
    for (const { kind, here, session } of prepared) {
      here.at('2026-11-24T01:00:00Z')
      const first = await here.backUp(['hot'])
      here.at('2026-11-24T02:00:00Z')
      seen.set(here, { first, again: await here.backUp(['hot'], { ifChanged: true }) })
      await kind.change(here.workspace.database, session)
    }
    // else it would be noticed for being new alone
    await delay(settledMs)
    for (const { mode, kind, here } of prepared) {
      await group.test(`${mode === 'wal' ? 'WAL' : 'rollback'} mode: ${kind.name}`, async test => {
        const { first, again } = seen.get(here) ?? {}
        test.same([again?.unchanged, again?.facts.id], [true, first?.facts.id])
        test.same(here.rows('SELECT taken_at, covers_until FROM backups'), [
          { taken_at: Date.parse('2026-11-24T01:00:00Z'), covers_until: Date.parse('2026-11-24T02:00:00Z') },
        ])
        here.at('2026-11-24T03:00:00Z')
        const changed = await here.backUp(['hot'], { ifChanged: true })
        test.not(changed.unchanged, true, 'a backup is taken')
        test.ok(isCovered(here), 'and has everything')
      })
    }
  },
)

await t.test('an agent that only reads changes nothing', async group => {
  const prepared = modes.map(mode => {
    const here = backupsHere(group, undefined, backupWorkspace(group))
    smallDatabase(here.workspace.database, mode)
    return { mode, here }
  })
  await delay(settledMs)
  for (const { mode, here } of prepared) {
    await group.test(mode, async test => {
      const { database } = here.workspace
      await here.backUp(['hot'])
      sqlite3(database, 'SELECT count(*) FROM trade_log')
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true, 'one that comes and goes')
      const agent = startSession(test, database)
      await agent.run('BEGIN; SELECT count(*) FROM trade_log')
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true, 'one that is reading')
      await agent.run('COMMIT')
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true, 'one that stays')
      await agent.close()
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true, 'one that has gone')
    })
  }
})

/** Small databases that were written long enough ago for nothing to be in doubt. */
async function settledWorkspaces(test: Test, many: number): Promise<Workspace[]> {
  const made = Array.from({ length: many }, () => backupWorkspace(test))
  for (const { database } of made) smallDatabase(database, 'wal')
  await delay(settledMs)
  return made
}

await t.test('in doubt there is a backup', async group => {
  const stock = await settledWorkspaces(group, 7)
  await group.test(
    'where something was written just now, more may be written at the same time',
    async test => {
      const here = backupsHere(test, undefined, backupWorkspace(test))
      smallDatabase(here.workspace.database, 'wal')
      test.equal(stateOf(here.workspace.database), null)
      const first = await here.backUp(['hot'])
      test.equal(first.facts.source.state, null, 'this one will be no witness')
      const second = await here.backUp(['hot'], { ifChanged: true })
      test.equal(second.unchanged, false)
      await delay(settledMs)
      test.type(stateOf(here.workspace.database), 'string')
      // the second one is no witness either
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, false)
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true)
    },
  )

  for (const [what, harm] of [
    ['is gone', (file: string) => rmSync(file)],
    ['is cut off', (file: string) => truncateSync(file, 4096)],
    ['has lost its manifest', (file: string) => rmSync(file.replace(/db$/, 'manifest.json'))],
    ['has a damaged manifest', (file: string) => writeFileSync(file.replace(/db$/, 'manifest.json'), '{}')],
  ] as const) {
    await group.test(`where the newest hot copy ${what}`, async test => {
      const here = backupsHere(test, undefined, stock.pop())
      const { facts } = await here.backUp(['hot'])
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true)
      harm(join(here.hot, `${facts.id}.db`))
      const next = await here.backUp(['hot'], { ifChanged: true })
      test.equal(next.unchanged, false)
      test.not(next.facts.id, facts.id)
      test.ok(isCovered(here))
    })
  }

  await group.test('where it has been found damaged', async test => {
    const here = backupsHere(test, undefined, stock.pop())
    const { facts } = await here.backUp(['hot'])
    const file = join(here.hot, `${facts.id}.db`)
    const bytes = readFileSync(file)
    bytes[5000] = (bytes[5000] as number) ^ 1
    writeFileSync(file, bytes)
    test.match((await here.verify(facts.id, ['hot'])).verified, [{ result: 'bad' }])
    test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, false)
    test.ok(isCovered(here))
  })

  await group.test('where it is of another database', async test => {
    const here = backupsHere(test, undefined, stock.pop())
    await here.backUp(['hot'])
    const other = join(here.workspace.folder, 'data/other.db')
    // the same file under another name
    linkSync(here.workspace.database, other)
    await delay(settledMs)
    const before = await here.backUp(['hot'])
    test.type(before.facts.source.state, 'string')
    const there = backupsHere(test, sheet => (sheet.paths.database = other), here.workspace)
    test.equal((await there.backUp(['hot'], { ifChanged: true })).unchanged, false)
  })

  await group.test('where it is dated in the future', async test => {
    const here = backupsHere(test, undefined, stock.pop())
    here.at('2027-11-24T02:00:00Z')
    await here.backUp(['hot'])
    here.at('2026-11-24T02:00:00Z')
    const next = await here.backUp(['hot'], { ifChanged: true })
    test.equal(next.unchanged, false, 'nobody would count that one')
    here.at('2026-11-24T03:00:00Z')
    const again = await here.backUp(['hot'], { ifChanged: true })
    test.same([again.unchanged, again.facts.id], [true, next.facts.id], 'this one is of today')
  })
})

/** As a health check sees it: how far the backups of a tier reach. */
function coveredUntil({ history, workspace }: BackupsHere, tier: string, at: number): string | undefined {
  const found = recall(history, workspace.state, 0, at, at).backups.find(backup => backup.tier === tier)
  return found === undefined ? undefined : new Date(found.coversUntil).toISOString()
}

await t.test('what a clock that was ahead has noted as covered is not believed', async test => {
  const [workspace] = await settledWorkspaces(test, 1)
  const here = backupsHere(test, undefined, workspace)
  const time = (text: string) => Date.parse(text)
  here.at('2026-11-24T02:00:00Z')
  await here.backUp()
  here.at('2027-11-24T03:00:00Z')
  await here.backUp(['hot'], { ifChanged: true })
  test.equal(
    coveredUntil(here, 'hot', time('2026-11-25T12:00Z')),
    '2026-11-24T02:00:00.000Z',
    'the clock is right again',
  )
  here.at('2026-11-25T13:00:00Z')
  test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true)
  for (const tier of ['hot', 'warm'])
    test.equal(
      coveredUntil(here, tier, time('2026-11-25T14:00Z')),
      '2026-11-25T13:00:00.000Z',
      `${tier} has it all`,
    )
})

type Step =
  | 'insert'
  | 'update'
  | 'delete'
  | 'table'
  | 'checkpoint'
  | 'vacuum'
  | 'read'
  | 'restart'
  | 'kill'
  | 'replace'
  | 'cut off'
const steps: Step[] = [
  'insert',
  'update',
  'delete',
  'table',
  'checkpoint',
  'vacuum',
  'read',
  'restart',
  'kill',
  'replace',
  'cut off',
]

let turn = 0

await t.test('whatever another process does, the newest backup lacks nothing', async test => {
  // the machine's clock as the backup sees it is ahead, so that nothing is in doubt for being new
  const real = Date.now
  Date.now = () => real() + 10_000
  test.teardown(() => (Date.now = real))
  let [taken, spared] = [0, 0]
  const round = fc.record({
    mode: fc.constantFrom(...modes),
    visits: fc.array(fc.array(fc.constantFrom(...steps), { maxLength: 4 }), { minLength: 2, maxLength: 6 }),
  })
  await checkAsync(
    fc.asyncProperty(round, async ({ mode, visits }) => {
      const here = backupsHere(test)
      const { database } = here.workspace
      smallDatabase(database, mode, 100)
      let agent = startSession(test, database)
      let hours = 0
      for (const visit of visits) {
        for (const step of visit) agent = await take(step, agent, database, test)
        // one step of the file system's clock
        await delay(15)
        here.at(Date.parse('2026-11-01T00:00:00Z') + hours++ * 3_600_000)
        const { unchanged } = await here.backUp(['hot'], { ifChanged: true })
        if (unchanged) spared++
        else taken++
        if (!isCovered(here))
          throw new Error(
            `after ${visit.join(', ')} (${unchanged ? 'unchanged' : 'taken'}) something is lacking`,
          )
        if (visit.length === 0 && hours > 1 && !unchanged)
          throw new Error('nothing was done, and a backup was taken')
      }
      await agent.kill()
    }),
    runs(8, 200),
  )
  test.ok(taken > 5 && spared > 0, `${taken} backups, ${spared} times nothing had changed`)
})

async function take(step: Step, agent: Session, database: string, test: Test): Promise<Session> {
  const id = (++turn * 37) % 100
  switch (step) {
    case 'insert':
      await agent.run(`INSERT INTO trade_log (note) VALUES ('${turn}')`)
      return agent
    case 'update':
      await agent.run(`UPDATE trade_log SET side = iif(side = 'buy', 'put', 'buy') WHERE id = ${id}`)
      return agent
    case 'delete':
      await agent.run(`DELETE FROM trade_log WHERE id = ${id}`)
      return agent
    case 'table':
      await agent.run(`CREATE TABLE t${turn} (id)`)
      return agent
    case 'checkpoint':
      await agent.run(`PRAGMA wal_checkpoint(${turn % 2 === 0 ? 'PASSIVE' : 'RESTART'})`)
      return agent
    case 'vacuum':
      await agent.run('VACUUM')
      return agent
    case 'read':
      await agent.run('SELECT count(*) FROM trade_log')
      return agent
    case 'restart':
      await agent.close()
      return startSession(test, database)
    case 'kill':
      await agent.kill()
      return startSession(test, database)
    case 'replace':
      await agent.close()
      shell(
        'cp -p "$1" "$1.o"; sqlite3 "$1.o" "$2"; touch -r "$1" "$1.o"; cp -p "$1.o" "$1"; rm "$1.o"',
        database,
        sameSize,
      )
      return startSession(test, database)
    case 'cut off':
      // in WAL mode nothing is left of it but the frames of a transaction without an end
      await agent.close()
      if (sqlite3(database, 'PRAGMA journal_mode').startsWith('delete')) leaveHotJournal(database)
      return startSession(test, database)
    default:
      return step satisfies never
  }
}

await t.test('as a command it costs no copy, and health counts what it says', async test => {
  const workspace = backupWorkspace(test, '2026-11-24T02:00:00Z')
  smallDatabase(workspace.database, 'wal')
  await delay(settledMs)
  const at = (time: string) => ({ env: { CANDLEKEEP_NOW: `2026-11-24T${time}:00Z` } })
  expectStatus(test, await workspace.run('backup'), 0)
  const again = await workspace.run('backup', ['--if-changed'], at('04:00'))
  expectStatus(test, again, 0)
  test.match(
    again.stdout,
    /^hot {3}✅ \S+ · has it\nwarm {2}✅ \S+ · has it\n✅ 2\/2 tiers · unchanged since agent_backup_2026-11-24_02-00-\d\d · /,
  )
  const json = await workspace.run('backup', ['--if-changed', '--json', '--tiers', 'hot'], at('06:00'))
  test.match(json.json, {
    outcome: 'done',
    unchanged: true,
    tiers: [{ tier: 'hot', stored: [], pruned: [] }],
  })
  const health = await workspace.run('health_check', ['--json'], at('06:30'))
  const checks = health.json?.['checks'] as { name: string; status: string; figures: object }[]
  test.match(
    checks.find(({ name }) => name === 'backup_status'),
    { status: 'ok', figures: { rpo_seconds: /^18\d\d$/ } },
  )
  execute(workspace.database, "INSERT INTO trade_log (note) VALUES ('new')")
  const taken = await workspace.run('backup', ['--if-changed', '--json'], at('07:00'))
  test.match(taken.json, { unchanged: false, id: /^agent_backup_2026-11-24_07-00-/ })
})

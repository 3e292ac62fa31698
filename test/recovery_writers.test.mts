import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { digestOfFolder } from './support/digest.ts'
import { startAgent } from './support/recovery_agent.ts'
import {
  checkOf,
  destroyPage,
  edit,
  type Ground,
  historyRows,
  makeGround,
  marksIn,
  quarantined,
  recover,
  said,
  smashHeader,
} from './support/recovery_ground.ts'

// An agent has the damaged database open: trap 15. What it writes must not get lost without a word.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', zstd: 'zstd' })
const all = 'first,second,third,fresh'
t.jobs = 2

type Told = { recovery: { method: string; warnings: string[] } }

const groups = (['wal', 'delete'] as const).map(journalMode =>
  t.test(`In journal mode ${journalMode}`, { skip }, async group => {
    const ground = await makeGround(group, journalMode)
    await refusal(group, ground)
    await writtenThrough(group, ground)
    // what follows is the same in both
    if (journalMode === 'wal') await selfHeal(group, ground)
    else await replaced(group, ground)
  }),
)

async function refusal(group: Test, ground: Ground): Promise<void> {
  await group.test(
    'trap 15: while an agent has it open recovery refuses, names it, and changes nothing',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      destroyPage(database)
      const agent = await startAgent(test, database)
      const before = digestOfFolder(join(database, '..'))
      const planned = await workspace.run('db_recovery', ['--dry-run'])
      test.match(
        planned.stdout,
        new RegExp(`writers {3}pid ${agent.pid} \\(.*open_agent\\.mts .*to be stopped first`),
      )
      const ended = await recover(workspace)
      expectStatus(test, ended, 75)
      test.match(
        String(ended.json?.['error']),
        new RegExp(`^pid ${agent.pid} \\(.*open_agent\\.mts .* has .*agent\\.db open`),
      )
      test.equal(digestOfFolder(join(database, '..')).replace(/^d .*quarantine\n/gm, ''), before)
      test.same(quarantined(database), [])
      test.same(historyRows(workspace, 'SELECT * FROM recoveries'), [])
    },
  )

  await group.test('it waits for an agent that lets go in time', async test => {
    const workspace = ground.clone(test, sheet => (sheet.recovery = { wait_for_writers_seconds: 300 }))
    const { database } = workspace
    destroyPage(database)
    const agent = await startAgent(test, database)
    const running = workspace.start('db_recovery', ['--yes', '--json'])
    await said(running, 'is waited for')
    test.match(running.output(), new RegExp(`⏳ pid ${agent.pid} \\(`))
    await agent.run("INSERT INTO marks VALUES ('while it waited')")
    await agent.close()
    const ended = await running.ended
    expectStatus(test, ended, 0)
    test.equal(marksIn(database), `${all},while it waited`)
  })
}

async function writtenThrough(group: Test, ground: Ground): Promise<void> {
  await group.test(
    'with --force and a sound header it is written through to the open connection',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      const agent = await startAgent(test, database)
      destroyPage(database)
      const { ino } = statSync(database)
      const ended = await recover(workspace, ['--force'])
      expectStatus(test, ended, 0)
      const { recovery } = ended.json as never as Told
      test.equal(recovery.method, 'through')
      test.match(recovery.warnings, [new RegExp(`^pid ${agent.pid} \\(.* had the database open`)])
      test.equal(statSync(database).ino, ino)
      test.same(
        await agent.run('SELECT count(*) AS n FROM trade_log'),
        { rows: [{ n: 1501 }] },
        'the agent sees it',
      )
      test.same(await agent.run("INSERT INTO marks VALUES ('afterwards')"), { rows: [1] })
      await agent.close()
      test.equal(checkOf(database), 'ok')
      test.equal(marksIn(database), `${all},afterwards`)
    },
  )
}

async function replaced(group: Test, ground: Ground): Promise<void> {
  await group.test(
    'with --force and a smashed header it is replaced, and who has the old file is named',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      const agent = await startAgent(test, database)
      smashHeader(database)
      const { ino } = statSync(database)
      const ended = await recover(workspace, ['--force'])
      expectStatus(test, ended, 0)
      const { recovery } = ended.json as never as Told
      test.equal(recovery.method, 'rename')
      test.match(recovery.warnings, [
        new RegExp(`^pid ${agent.pid} \\(.* still has the old file open: restart it`),
      ])
      test.match(ended.stderr, /⚠️ {2}pid \d+ /)
      test.not(statSync(database).ino, ino)
      test.equal(checkOf(database), 'ok')
      test.equal(marksIn(database), all)
    },
  )

  await group.test(
    'so is he where the header only looks sound, and nothing can be written through',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      const agent = await startAgent(test, database)
      // the magic words are there, and so is the journal mode; the size of its pages is none
      edit(database, bytes => void bytes.fill(0x5a, 16, 18))
      const ended = await recover(workspace, ['--force'])
      expectStatus(test, ended, 0)
      const { recovery } = ended.json as never as Told
      test.equal(recovery.method, 'rename')
      test.equal(checkOf(database), 'ok')
      test.equal(marksIn(database), all)
      test.match(recovery.warnings.join(), new RegExp(`pid ${agent.pid} \\(`), 'whoever had it open is named')
    },
  )
}

async function selfHeal(group: Test, ground: Ground): Promise<void> {
  const check = (workspace: ReturnType<Ground['clone']>, minutes: number) =>
    workspace.run('health_check', ['--json'], {
      env: {
        CANDLEKEEP_NOW: new Date(
          Date.parse(workspace.env['CANDLEKEEP_NOW'] as string) + minutes * 60_000,
        ).toISOString(),
      },
    })
  const recoveries = (workspace: ReturnType<Ground['clone']>) =>
    historyRows(workspace, "SELECT * FROM runs WHERE job = 'recovery'").length

  await group.test(
    'of two health checks in a row that find damage the second starts the recovery',
    async test => {
      const workspace = ground.clone(
        test,
        sheet => (sheet.recovery = { automatic: true, wait_for_writers_seconds: 0 }),
      )
      const { database } = workspace
      destroyPage(database)
      expectStatus(test, await check(workspace, 0), 2)
      test.equal(recoveries(workspace), 0, 'once may be a disk that hiccuped')
      expectStatus(test, await check(workspace, 60), 2)
      while (historyRows(workspace, 'SELECT * FROM recoveries WHERE finished_at IS NOT NULL').length === 0)
        await delay(200)
      test.equal(checkOf(database), 'ok')
      test.equal(marksIn(database), all)
    },
  )

  await group.test('not where it is off, and not for a database that is not there', async test => {
    const off = ground.clone(test)
    destroyPage(off.database)
    const gone = ground.clone(
      test,
      sheet => (sheet.recovery = { automatic: true, wait_for_writers_seconds: 0 }),
    )
    rmSync(gone.database)
    for (const workspace of [off, gone])
      for (const minutes of [0, 60]) expectStatus(test, await check(workspace, minutes), 2)
    for (const workspace of [off, gone])
      test.notMatch(workspace.logFiles().join(), /recovery/, 'no recovery was started')
  })
}

await Promise.all(groups)

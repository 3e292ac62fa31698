import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { lazySnapshotter } from '../scripts/backup/snapshot.ts'
import { execute } from './support/agent_database.ts'
import { backupsHere, backupWorkspace, smallDatabase } from './support/backup_here.ts'
import { expectStatus, startCommand } from './support/command.ts'
import { startSession } from './support/sqlite3_session.ts'
import { temporaryFolder } from './support/workspace.ts'

await t.test('a backup', async group => {
  await group.test('notices what is committed to a database that is reached by a link', async test => {
    const here = backupsHere(test)
    const { database } = here.workspace
    smallDatabase(database)
    const folder = join(here.workspace.folder, 'elsewhere')
    mkdirSync(folder)
    renameSync(database, join(folder, 'real.db'))
    symlinkSync(join(folder, 'real.db'), database)
    const agent = startSession(test, database)
    // as long as nobody checkpoints, all that is new is in the log, and that lies beside the file itself
    await agent.run('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0')
    for (const round of [1, 2]) {
      await agent.run(`INSERT INTO trade_log (note) VALUES ('round ${round}')`)
      // file times that are too young would have it back up in any case
      await delay(2100)
      test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, false)
    }
    test.equal((await here.backUp(['hot'], { ifChanged: true })).unchanged, true)
  })

  await group.test('is taken by a new process where the one that copies was killed', async test => {
    const folder = temporaryFolder(test)
    const [database, target] = [join(folder, 'agent.db'), join(folder, 'copy.db')]
    smallDatabase(database)
    const snapshotter = lazySnapshotter(new AbortController().signal, join(folder, 'cache'))
    test.teardown(() => snapshotter.end())
    const take = () => snapshotter.ask({ task: 'take', file: database, target, rollback: true })
    test.ok((await take()).findings.taken)
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ')
    const own = children.filter(pid =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('snapshotter.mts'),
    )
    for (const pid of own) process.kill(Number(pid), 'SIGABRT')
    const { findings, trouble } = await take()
    test.equal(trouble, undefined)
    test.ok(findings.taken)
  })

  await group.test('is taken by who has been started with less than its own priority', async test => {
    const workspace = backupWorkspace(test)
    smallDatabase(workspace.database)
    // as a unit with Nice=11: nobody but root may raise it again
    const runner = ['setpriv', '--clear-groups', '--reuid', '65534', '--regid', '65534', 'nice', '-n', '11']
    const asRoot = process.getuid?.() === 0
    if (asRoot) execFileSync('chown', ['-R', '65534:65534', workspace.folder])
    const { ended } = startCommand('backup', ['--tiers', 'hot'], {
      env: workspace.env,
      runner: [...(asRoot ? runner : runner.slice(-3)), process.execPath],
    })
    expectStatus(test, await ended, 0)
  })

  await group.test('takes a table of the agent with a name like ours for what it is', async test => {
    const here = backupsHere(test)
    smallDatabase(here.workspace.database)
    execute(here.workspace.database, 'CREATE TABLE ohlcv_h1 (open_time INTEGER, close REAL)')
    const { facts } = await here.backUp(['hot'])
    test.match(facts.database.candles, [{ table: 'ohlcv_h1', newest: null }])
  })

  await group.test('of what cannot be proven here is none, and no word of damage', async test => {
    const here = backupsHere(test)
    const { database } = here.workspace
    smallDatabase(database)
    execFileSync('python3', [
      '-c',
      `import sqlite3, sys
d = sqlite3.connect(sys.argv[1])
d.create_collation('agents_own', lambda a, b: (a > b) - (a < b))
d.execute('CREATE INDEX notes ON trade_log (note COLLATE agents_own)')
d.commit()`,
      database,
    ])
    await test.rejects(here.backUp(['hot']), { message: /cannot be proven here: no such collation sequence/ })
  })

  await group.test('goes around the name of a damaged copy, today and when it catches up', async test => {
    const here = backupsHere(test)
    smallDatabase(here.workspace.database)
    const note = (text: string) =>
      execute(here.workspace.database, `INSERT INTO trade_log (note) VALUES ('${text}')`)
    const damage = (id: string) => {
      const manifest = join(here.warm, `${id}.manifest.json`)
      writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"bytes": ', '"bytes": 9'))
    }
    for (const day of ['20', '21', '22']) {
      here.at(`2026-11-${day}T02:00Z`)
      note(day)
      await here.backUp()
    }
    damage('agent_backup_2026-11-21_02-00-00')
    here.at('2026-11-23T02:00Z')
    note('23')
    const { tiers } = await here.backUp()
    test.same(
      tiers.map(({ trouble }) => trouble),
      [undefined, undefined],
    )
    damage('agent_backup_2026-11-23_02-00-00')
    here.at('2026-11-23T03:00Z')
    const again = await here.backUp(undefined, { ifChanged: true })
    test.same(
      again.tiers.map(({ trouble }) => trouble),
      [undefined, undefined],
    )
    test.equal(again.unchanged, false)
    test.ok(readdirSync(here.warm).includes('agent_backup_2026-11-23_03-00-00.db.zst'))
  })

  await group.test('leaves no archive of what a tier has caught up with', async test => {
    const here = backupsHere(test)
    smallDatabase(here.workspace.database)
    for (const day of ['20', '21', '22', '23']) {
      here.at(`2026-11-${day}T02:00Z`)
      execute(here.workspace.database, `INSERT INTO trade_log (note) VALUES ('${day}')`)
      await here.backUp(day === '23' ? undefined : ['hot'])
    }
    const scratch = join(here.workspace.state, 'scratch/test')
    test.same(readdirSync(scratch), ['agent_backup_2026-11-23_02-00-00.db.zst'], 'only that of today')
    test.equal(readdirSync(here.warm).filter(name => name.endsWith('.db.zst')).length, 4)
  })

  await group.test('is readable for its owner only, also where its folder is not', async test => {
    const here = backupsHere(test)
    smallDatabase(here.workspace.database)
    for (const folder of [here.hot, here.warm]) mkdirSync(folder, { recursive: true, mode: 0o755 })
    await here.backUp()
    for (const folder of [here.hot, here.warm])
      for (const name of readdirSync(folder))
        test.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  })
})

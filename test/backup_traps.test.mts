import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { SnapshotAnswer, SnapshotRequest } from '../scripts/backup/snapshot_protocol.ts'
import { startWorker } from '../scripts/database/worker.ts'
import { execute } from './support/agent_database.ts'
import { backupStages, times } from './support/backup_stage.ts'
import { expectStatus, type Running } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { startSession } from './support/sqlite3_session.ts'
import { failing, linesOf, watched } from './support/strace.ts'
import { faultsOf, faultsOfPlain, sqlite3, temporaryIn } from './support/tier_folder.ts'
import { temporaryFolder } from './support/workspace.ts'

// What SQLite and POSIX have in store for whoever copies a database (trap by trap, as they were met in experiments).

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', strace: 'strace', zstd: 'zstd' })
const stages = { wal: await backupStages('wal'), delete: await backupStages('delete') }
const forever =
  'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO positions VALUES (1, 1); COMMIT'
const longerThanBusyMs = 11_500

/** What needs the whole database for itself. */
const takeAll = { wal: 'PRAGMA journal_mode = DELETE', delete: 'BEGIN EXCLUSIVE; ROLLBACK' }

// waits for locks take their time: they go on beside the other tests
t.jobs = 4

await Promise.all([
  t.test(
    '1: the backup API, met by a lock for longer than it waits, is not believed that it is done',
    { skip },
    async test => {
      const folder = temporaryFolder(test)
      const [file, target] = [join(folder, 'agent.db'), join(folder, 'copy.db')]
      execute(file, 'CREATE TABLE trades (id INTEGER PRIMARY KEY); INSERT INTO trades VALUES (1), (2), (3)')
      const holder = startSession(test, file)
      await holder.run('BEGIN EXCLUSIVE')
      const worker = startSnapshotter(test)
      // it has started by then
      await worker.ask({ task: 'prove', file: target })
      const answer = worker.ask({ task: 'take', file, target, rollback: false })
      await delay(longerThanBusyMs)
      await holder.run('COMMIT')
      test.strictSame((await answer).findings, { taken: { method: 'backup' } })
      test.strictSame(faultsOfPlain(target, [{ name: 'trades', rows: 3 }]), [])
    },
  ),

  t.test('2: a database that stays locked makes a clear error, not an endless run', { skip }, async test => {
    const stage = stages.delete(test)
    const { workspace, hot } = stage
    const holder = startSession(test, workspace.database)
    await holder.run('BEGIN EXCLUSIVE')
    const before = readdirSync(hot)
    const ended = await workspace.run('backup', ['--tiers', 'hot', '--json'])
    expectStatus(test, ended, 1)
    test.match(ended.json?.['error'], /the database is held by another process \(SQLITE_BUSY\)/)
    test.strictSame(readdirSync(hot), before)
    test.strictSame([...stage.faults(), ...stage.leftovers()], [])
    await holder.run('COMMIT')
    expectStatus(test, await workspace.run('backup', ['--tiers', 'hot']), 0)
  }),

  ...(['wal', 'delete'] as const).map(mode =>
    t.test(`2: at its deadline nothing goes on waiting for a lock (${mode} mode)`, { skip }, async test => {
      const stage = stages[mode](test)
      const { workspace } = stage
      workspace.configure(sheet => {
        sheet.backup = { ...sheet.backup, timeout_minutes: 0.05 }
      })
      const holder = startSession(test, workspace.database)
      await holder.run(forever)
      const running = workspace.start('backup', ['--json'], { runner: ['setsid', process.execPath] })
      const ended = await running.ended
      expectStatus(test, ended, 124)
      test.ok(await groupEnds(running), 'no process of it is left')
      test.strictSame([...stage.faults(), ...stage.leftovers()], [])
      await holder.close()
      workspace.configure(sheet => {
        sheet.backup = { ...sheet.backup, timeout_minutes: 5 }
      })
      expectStatus(test, await workspace.run('backup', [], { env: { CANDLEKEEP_NOW: times.after } }), 0)
    }),
  ),

  t.test('2: what waits for a lock ends with the run that was killed', { skip }, async test => {
    const { workspace } = stages.wal(test)
    const holder = startSession(test, workspace.database)
    await holder.run(forever)
    const running = workspace.start('backup', [], { runner: ['setsid', process.execPath] })
    while (childrenOf(running.pid).length === 0) await delay(20)
    // it has been asked by then
    await delay(1500)
    test.ok(childrenOf(running.pid).length > 0, 'a process waits for the lock')
    running.kill('SIGKILL')
    test.ok(await groupEnds(running), 'and goes with it')
  }),

  t.test(
    '3: what a killed backup leaves opens as a sound, empty database, and is not proven',
    { skip },
    async test => {
      const folder = temporaryFolder(test)
      const [file, target] = [join(folder, 'agent.db'), join(folder, 'copy.db')]
      execute(file, 'CREATE TABLE trades (note TEXT); INSERT INTO trades VALUES (hex(zeroblob(50000)))')
      const program = `new (require('better-sqlite3'))(${JSON.stringify(file)}).backup(${JSON.stringify(target)})`
      const step = {
        call: 'pwrite64',
        effect: 'signal=SIGKILL',
        when: '6',
        files: [target, `${target}-journal`],
      }
      const [shell = '', ...rest] = failing(step, join(folder, 'strace.log'))
      spawnSync(shell, [...rest, '-e', program], { cwd: join(import.meta.dirname, '..') })
      test.ok(statSync(target).size > 0 && existsSync(`${target}-journal`), 'there is something of it')
      const { proof } = await ask(test, { task: 'prove', file: target })
      test.match(proof?.problems, ['it has no table'])
      test.equal(sqlite3(target, 'PRAGMA integrity_check'), 'ok', 'though sqlite3 has nothing against it')
      const empty = join(folder, 'empty.db')
      writeFileSync(empty, '')
      test.match((await ask(test, { task: 'prove', file: empty })).proof?.problems, ['it has no table'])
    },
  ),

  t.test(
    '4: what is only in the log of a database in WAL mode is in its backup, one file that stands alone',
    { skip },
    async test => {
      const stage = stages.delete(test)
      const { workspace, hot, warm } = stage
      const agent = startSession(test, workspace.database)
      await agent.run('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0')
      await agent.run(
        'CREATE TABLE late (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO late (note) SELECT note FROM trade_log',
      )
      test.ok(
        statSync(`${workspace.database}-wal`).size > statSync(workspace.database).size / 2,
        'it is in the log',
      )
      const ended = await workspace.run('backup', ['--json'])
      expectStatus(test, ended, 0)
      const file = join(hot, `${String(ended.json?.['id'])}.db`)
      test.strictSame(
        faultsOfPlain(file, [
          { name: 'late', rows: 6000 },
          { name: 'trade_log', rows: 6000 },
        ]),
        [],
      )
      test.strictSame([...faultsOf(hot), ...faultsOf(warm), ...stage.leftovers()], [])
    },
  ),

  ...(['wal', 'delete'] as const).map(mode =>
    t.test(
      `5: a backup is forced to the disk before it gets its name, and its name before more is done (${mode} mode)`,
      { skip },
      async test => {
        const { workspace, hot, warm } = stages[mode](test)
        const log = join(workspace.folder, 'strace.log')
        const ended = await workspace.run('backup', ['--json'], {
          runner: watched(['rename', 'unlink', 'fsync'], log),
        })
        expectStatus(test, ended, 0)
        const id = String(ended.json?.['id'])
        for (const [folder, data] of [
          [hot, `${id}.db`],
          [warm, `${id}.db.zst`],
        ] as const) {
          const steps = stepsIn(log, folder)
          const manifest = `${id}.manifest.json`
          const place = (step: string, from = 0) => steps.indexOf(step, from)
          const [named, shown] = [place(`rename ${data}`), place(`rename ${manifest}`)]
          test.ok(named >= 0 && shown > named, `${data}: the database has its name before the manifest`)
          test.ok(
            within(place(`fsync .${data}.tmp`), 0, named),
            'what is in it was forced to the disk before',
          )
          test.ok(within(place(`fsync .${manifest}.tmp`), 0, named), 'so was its manifest')
          test.ok(within(place('fsync .', named), named, shown), 'its name, before the manifest gets its own')
          const pruned = steps.findIndex((step, i) => i > shown && /^(rename|unlink) /.test(step))
          test.ok(within(place('fsync .', shown), shown, pruned), 'and that before an older backup goes')
        }
      },
    ),
  ),

  ...(['wal', 'delete'] as const).map(mode =>
    t.test(
      `7: while a copy is made nobody gets by the lock that it needs (${mode} mode)`,
      { skip },
      async test => {
        const stage = stages[mode](test)
        const { workspace, hot } = stage
        const call = mode === 'wal' ? 'pwrite64' : 'copy_file_range'
        const files = Array.from(
          { length: 8 },
          (_, i) => `${hot}/.agent_backup_2024-05-02_01-40-0${i}.db.tmp`,
        )
        const step = { call, effect: 'delay_enter=5000000', when: '1', files }
        const runner = failing(step, join(workspace.folder, 'strace.log'))
        const running = workspace.start('backup', ['--tiers', 'hot'], { runner })
        while (temporaryIn(hot).length === 0) await delay(20)
        const locks = () =>
          spawnSync('sqlite3', [workspace.database, takeAll[mode]], { encoding: 'utf8' }).stderr
        await delay(500)
        test.match(locks(), /database is locked/)
        expectStatus(test, await running.ended, 0)
        test.equal(locks(), '', 'afterwards it is free')
      },
    ),
  ),

  t.test('8: it takes no more memory for a database of any size', { skip }, async test => {
    const { workspace } = stages.wal(test)
    rmSync(workspace.database)
    execute(
      workspace.database,
      `PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; CREATE TABLE large (note TEXT);
       INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 62000)
         SELECT printf('%04000d', i) FROM n`,
    )
    const bytes = statSync(workspace.database).size
    const peaks = join(workspace.folder, 'peaks')
    mkdirSync(peaks)
    const hook = `import{writeFileSync}from'node:fs';process.on('exit',()=>writeFileSync(${JSON.stringify(peaks)}+'/'+process.pid,String(process.resourceUsage().maxRSS)))`
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` }
    expectStatus(test, await workspace.run('backup', [], { env }), 0)
    const found = readdirSync(peaks).map(name => Number(readFileSync(join(peaks, name), 'utf8')) / 1024)
    test.equal(found.length, 2, 'the command and the process that copies')
    test.comment(
      `${(bytes / 1e6).toFixed(0)} MB; peaks of ${found.map(peak => peak.toFixed(0)).join(' and ')} MB`,
    )
    test.ok(Math.max(...found) < 250, 'each stays below 250 MB')
  }),
])

/** Asks the process that takes and proves copies. */
async function ask(test: Test, request: SnapshotRequest): Promise<SnapshotAnswer> {
  const worker = startSnapshotter(test)
  const { findings } = await worker.ask(request)
  await worker.end()
  return findings
}

function startSnapshotter(test: Test) {
  const program = join(import.meta.dirname, '../scripts/backup/snapshotter.mts')
  const over = new AbortController()
  test.teardown(() => over.abort())
  return startWorker<SnapshotRequest, SnapshotAnswer>({ program, signal: over.signal })
}

/** What was done in a folder, in order: `fsync NAME`, `fsync .` of the folder itself, `rename NAME` to a name, `unlink NAME`. */
function stepsIn(log: string, folder: string): string[] {
  return linesOf(log).flatMap(line => {
    const [, call = '', path = ''] =
      /(fsync)\(\d+<([^>]*)>/.exec(line) ??
      /(rename)\("[^"]*", "([^"]*)"/.exec(line) ??
      /(unlink)\("([^"]*)"/.exec(line) ??
      []
    if (path === folder) return [`${call} .`]
    return path.startsWith(`${folder}/`) ? [`${call} ${path.slice(folder.length + 1)}`] : []
  })
}

function within(place: number, from: number, to: number): boolean {
  return place >= from && place < to
}

function childrenOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter(child => child !== '')
  } catch {
    return []
  }
}

/** Whether all processes of its group end; a long time is allowed for it, and not so long that they end by themselves. */
async function groupEnds({ pid }: Running): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      process.kill(-pid, 0)
    } catch {
      return true
    }
    await delay(50)
  }
  process.kill(-pid, 'SIGKILL')
  return false
}

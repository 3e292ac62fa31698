import { existsSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { type Ended, expectStatus } from './support/command.ts'
import { damages } from './support/damages.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { skipWithoutRoot } from './support/full_disk.ts'
import { seededRandom } from './support/random.ts'
import { filesOf, judgeRecovered } from './support/recovery_judge.ts'
import { makeStage, type Stage } from './support/recovery_stage.ts'
import { fillDisk, mountDisk } from './support/small_disk.ts'
import { failing, struckIn } from './support/strace.ts'
import { filesIn } from './support/tier_folder.ts'
import type { Workspace } from './support/workspace.ts'

// A disk without room, a disk that does not give what it holds, and what is no file where the database should be.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', strace: 'strace' })
const soak = process.env['CANDLEKEEP_SOAK'] === '1'
const random = seededRandom(t)
const pick = <T,>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
const recover = ['--yes', '--json']

await t.test('recovery and the disk', { skip }, async group => {
  const stages = [
    await makeStage(group, { journalMode: 'wal', pageSize: 4096 }),
    await makeStage(group, { journalMode: 'delete', pageSize: 1024 }),
  ]

  await group.test(
    'without room nothing is replaced and the evidence stays; with room it completes',
    { skip: skipWithoutRoot() },
    async test => {
      // of the size of the database: none, too little for a copy, for a copy and the new one, for the logs of both
      const shares = [0, 0.01, 0.5, 0.99, 1.01, 1.5, 1.99, 2.01, 2.5, 3]
      const some = soak ? shares : [0, pick(shares.slice(1, 5)), pick(shares.slice(5))]
      for (const share of some) await withRoom(test, pick(stages), share)
    },
  )

  await group.test('what the disk does not give is restored, or left as it is', async test => {
    // a database with a rollback journal is read in six calls at least, by the thread that looks at it: all of these are met
    const kinds = ['1+', '1', '2+', '1..3', '5+']
    for (const when of soak ? kinds : [pick(kinds)])
      for (const stage of soak ? stages : [pick(stages)]) await unreadable(test, stage, when)
  })

  await group.test(
    'a link that leads nowhere is a disk that is not there: nothing is put there',
    async test => {
      const { workspace } = cloned(test, pick(stages))
      const { database } = workspace
      rmSync(database)
      symlinkSync('/nowhere/agent.db', database)
      const checked = await workspace.run('db_recovery', ['--check'])
      expectStatus(test, checked, 1)
      const ended = await workspace.run('db_recovery', recover)
      expectStatus(test, ended, 1)
      test.match(ended.stderr + ended.stdout, /nowhere/, 'it says where it leads')
      test.ok(lstatSync(database).isSymbolicLink(), 'the link is as it was')
      test.notOk(existsSync('/nowhere'))
    },
  )

  await group.test('a folder in the place of the database is nothing to replace', async test => {
    const { workspace, backups } = cloned(test, pick(stages))
    const { database } = workspace
    rmSync(database)
    mkdirSync(database)
    expectStatus(test, await workspace.run('db_recovery', ['--check']), 1)
    const ended = await workspace.run('db_recovery', recover)
    expectStatus(test, ended, 1)
    test.notMatch(ended.stderr, /defect of candlekeep/, 'it says what is wrong')
    test.ok(statSync(database).isDirectory(), 'the folder is as it was')
    test.same(backups(), [], 'the backups are as they were')
  })
})

type Cloned = { workspace: Workspace; backups: () => string[] }

/** `backups`: those that are not as they were. */
function cloned(test: Test, stage: Stage): Cloned {
  const workspace = stage.clone(test)
  const tiers = ['backups/hot', 'warm'].map(name => join(workspace.folder, name))
  const before = tiers.map(folder => filesIn(folder))
  return {
    workspace,
    backups: () =>
      tiers.flatMap((folder, i) => {
        const now = filesIn(folder)
        return [...(before[i] as Map<string, string>)].flatMap(([name, sum]) =>
          now.get(name) === sum ? [] : [name],
        )
      }),
  }
}

async function withRoom(test: Test, stage: Stage, share: number): Promise<void> {
  const { workspace, backups } = cloned(test, stage)
  const { database } = workspace
  const kind = pick(damages.filter(({ name }) => /noise|overwritten|cut at|zeroed/.test(name)))
  const size = statSync(database).size
  kind.strike({ database, stage, random })
  const disk = mountDisk(test, dirname(database))
  fillDisk(dirname(database), Math.round(share * size))
  const before = filesOf(database)
  const title = `${kind.name}, room for ${share} databases, journal mode ${stage.journalMode}`
  const ended = await workspace.run('db_recovery', recover)
  const said = `${title}: status ${ended.status}: ${ended.stderr}`
  test.same(wrongWith(ended), [], said)
  const replaced = filesOf(database)[''] !== before['']
  if (share < 1) test.notOk(replaced, `nothing is replaced: ${said}`)
  if (replaced) test.ok(isKept(database, before), `the evidence is kept: ${said}`)
  else {
    test.same(filesOf(database), before, `all is as it was: ${said}`)
    if (ended.status !== 0) test.match(ended.stderr, /no room|full|ENOSPC/, said)
  }
  test.same(backups(), [], said)

  disk.grow()
  const again = await workspace.run('db_recovery', recover)
  test.equal(again.status, 0, `with room it completes: ${title}: ${again.stderr}`)
  test.ok(isKept(database, before), `the evidence is kept: ${title}`)
  const wrong = judgeRecovered(database, undefined, stage, { itself: false, aside: asideIn(database) })
  test.same(wrong, [], title)
  disk.vanish()
}

/** The database is sound, and reading it fails, from then on or for some time. */
async function unreadable(test: Test, stage: Stage, when: string): Promise<void> {
  const { workspace, backups } = cloned(test, stage)
  const { database } = workspace
  const before = filesOf(database)
  const log = join(workspace.folder, 'strace.log')
  const call = 'pread64,read,copy_file_range,sendfile'
  const runner = failing({ call, effect: 'error=EIO', when, files: [database] }, log)
  const title = `read ${when} fails, journal mode ${stage.journalMode}`
  const checked = await workspace.run('db_recovery', ['--check'], { runner })
  test.ok(struckIn(log).length > 0, `${title}: faults were met`)
  test.ok(checked.status === 0 || checked.status === 1, `${title}: ${checked.status}: ${checked.stderr}`)
  test.same(filesOf(database), before, `${title}: a check changes nothing`)
  const ended = await workspace.run('db_recovery', recover, { runner })
  const said = `${title}: status ${ended.status}: ${ended.stderr}`
  test.same(wrongWith(ended), [], said)
  test.same(backups(), [], said)
  const again = await workspace.run('db_recovery', recover)
  test.equal(again.status, 0, `where it can be read again, all is well: ${title}: ${again.stderr}`)
  const replaced = filesOf(database)[''] !== before['']
  if (replaced) test.ok(isKept(database, before), `the evidence is kept: ${said}`)
  const wrong = judgeRecovered(database, undefined, stage, { itself: false, aside: asideIn(database) })
  test.same(wrong, [], said)
}

/** However it ends, it says why. */
function wrongWith({ status, stdout, stderr }: Ended): string[] {
  const wrong = [0, 1, 2].includes(status ?? -1) ? [] : [`it ends with ${status}`]
  if (/defect of candlekeep/.test(stderr) || /"defect":true/.test(stdout))
    wrong.push(`it fails without a word for the user: ${stdout}${stderr}`)
  return wrong
}

function isKept(database: string, before: Record<string, string>): boolean {
  const kept = quarantined(database).map(folder => filesOf(join(folder, 'damaged/agent.db')))
  return Object.entries(before).every(([suffix, sum]) => kept.some(files => files[suffix] === sum))
}

function asideIn(database: string): string | undefined {
  return quarantined(database)
    .map(folder => join(folder, 'not_restored.db'))
    .find(existsSync)
}

function quarantined(database: string): string[] {
  const quarantine = join(dirname(database), 'quarantine')
  return existsSync(quarantine) ? readdirSync(quarantine).map(name => join(quarantine, name)) : []
}

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { expectStatus } from './support/command.ts'
import { damages } from './support/damages.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { judgeRecovered } from './support/recovery_judge.ts'
import { makeStage, type Stage } from './support/recovery_stage.ts'
import { failing, mostCalls, struckIn, watched } from './support/strace.ts'
import type { Workspace } from './support/workspace.ts'

// A recovery is killed, or a system call of its fails, at every point: at no moment are both the database and the
// evidence gone, the backups stay as they are, and running it again completes it.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', strace: 'strace' })
const soak = process.env['CANDLEKEEP_SOAK'] === '1'
const random = seededRandom(t)
const sample = 6
const stages: Stage[] = []
const struck = ['pages of noise', 'header overwritten', 'cut at a page', 'an index overwritten']

/** A workspace whose database has been damaged. */
type Case = { workspace: Workspace; stage: Stage; title: string; digest: string; backups: string }

function drawCase(test: Test): Case {
  const stage = stages[Math.floor(random() * stages.length)] as Stage
  const name = struck[Math.floor(random() * struck.length)] as string
  const workspace = stage.clone(test)
  const { database } = workspace
  damages.find(damage => damage.name === name)?.strike({ database, stage, random })
  return {
    workspace,
    stage,
    title: `${name}, journal mode ${stage.journalMode}`,
    digest: digestOf(database),
    backups: backupsOf(workspace),
  }
}

function digestOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

/** Every file of the tiers with what is in it. */
function backupsOf({ folder }: Workspace): string {
  const tiers = [join(folder, 'backups/hot'), join(folder, 'warm')]
  const files = tiers.flatMap(tier => readdirSync(tier).map(name => join(tier, name)))
  return files.map(file => `${basename(file)} ${digestOf(file)}`).join('\n')
}

/** Runs a recovery that something befalls, looks at what is there then, and runs it again. */
async function beset(
  test: Test,
  one: Case,
  what: string,
  run: (workspace: Workspace) => Promise<unknown>,
): Promise<void> {
  const { workspace, stage, title, digest, backups } = one
  const { database } = workspace
  await run(workspace)
  const told = `${title}: ${what}`
  test.ok(existsSync(database), `${told}: there is a database at its path`)
  const quarantine = join(database, '../quarantine')
  const kept = existsSync(quarantine)
    ? readdirSync(quarantine).map(name => join(quarantine, name, 'damaged', basename(database)))
    : []
  const evidence = [database, ...kept].filter(file => existsSync(file) && digestOf(file) === digest)
  test.ok(evidence.length > 0, `${told}: the damaged file is still there`)
  const now = backupsOf(workspace).split('\n')
  const gone = backups.split('\n').filter(line => !now.includes(line))
  test.same(gone, [], `${told}: the backups are as they were`)

  const again = await workspace.run('db_recovery', ['--yes', '--json'])
  expectStatus(test, again, 0)
  const still = readdirSync(quarantine).map(name => join(quarantine, name, 'damaged', basename(database)))
  test.ok(
    still.some(file => existsSync(file) && digestOf(file) === digest),
    `${told}: the damaged file is kept in the end`,
  )
  const aside = readdirSync(quarantine).map(name => join(quarantine, name, 'not_restored.db'))
  const wrong = judgeRecovered(database, undefined, stage, { itself: false, aside: aside.find(existsSync) })
  test.same(wrong, [], `${told}: what was lost at most was lost by the damage ${again.stderr}`)
  const left = readdirSync(quarantine).flatMap(name =>
    ['specimen.db', 'restored.db'].filter(file => existsSync(join(quarantine, name, file))),
  )
  test.same(left, [], `${told}: nothing is left over`)
}

/** Ends it all, as the machine losing its power would: the workers too. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // it has ended
  }
}

async function killAfter(workspace: Workspace, ms: number): Promise<void> {
  const running = workspace.start('db_recovery', ['--yes', '--json'], {
    runner: ['setsid', process.execPath],
  })
  await delay(ms)
  signalGroup(running.pid, 'SIGKILL')
  await running.ended
}

async function killAtAnyMoment(test: Test): Promise<void> {
  const began = performance.now()
  const first = drawCase(test)
  expectStatus(test, await first.workspace.run('db_recovery', ['--yes', '--json']), 0)
  const wholeMs = performance.now() - began
  for (let round = 0; round < runs(3, 200); round++) {
    const moment = random() * wholeMs
    await beset(test, drawCase(test), `killed after ${moment.toFixed(0)} ms`, workspace =>
      killAfter(workspace, moment),
    )
  }
}

/** The calls with which a recovery changes files. */
const changes = [
  'rename',
  'link',
  'unlink',
  'fsync',
  'fdatasync',
  'openat',
  'pwrite64',
  'write',
  'mkdir',
  'ftruncate',
  'copy_file_range',
  'chmod',
]

/** The files that it changes beside the tiers; the made-up clock says what its folder is called. */
function filesOf({ workspace: { database } }: Case): string[] {
  const quarantine = join(database, '../quarantine')
  const folder = join(quarantine, 'recovery_2026-03-15_02-01-07')
  const names = [
    '',
    'damaged',
    'restored.db',
    'restored.db-journal',
    'specimen.db',
    'recovery.json',
    'recovery.json.PID.tmp',
  ]
  const damaged = ['', '-wal', '-journal'].map(suffix => join(folder, 'damaged', basename(database) + suffix))
  return [database, join(database, '..'), quarantine, ...names.map(name => join(folder, name)), ...damaged]
}

async function strikeAtEachStep(test: Test): Promise<void> {
  const traced = drawCase(test)
  const log = join(traced.workspace.folder, 'strace.log')
  const watching = { runner: watched(changes, log) }
  expectStatus(test, await traced.workspace.run('db_recovery', ['--yes', '--json'], watching), 0)
  const own = new RegExp(`${traced.workspace.folder}/data`)
  const most = soak ? 40 : 400
  const steps = changes.flatMap(call => {
    const count = Math.min(mostCalls(log, call, own), most)
    return Array.from({ length: count }, (_, i) => ({ call, when: String(i + 1) }))
  })
  const effects = ['signal=SIGKILL', 'error=EIO', 'error=ENOSPC']
  const all = steps.flatMap(step => effects.map(effect => ({ ...step, effect, at: random() })))
  const drawn = soak ? all : all.toSorted((a, b) => a.at - b.at).slice(0, sample)
  let met = 0
  for (const { call, when, effect } of drawn) {
    const one = drawCase(test)
    const trace = join(one.workspace.folder, 'strace.log')
    const runner = failing({ call, effect, when, files: filesOf(one) }, trace)
    await beset(test, one, `${call} ${when} ${effect}`, async workspace => {
      const ended = await workspace.run('db_recovery', ['--yes', '--json'], { runner })
      if (struckIn(trace).length > 0) met += 1
      test.notMatch(
        ended.stderr,
        /This is a defect of candlekeep/,
        `${call} ${when} ${effect}: it says what is wrong`,
      )
    })
  }
  test.comment(`${met} of ${drawn.length} steps were met, of ${all.length}`)
  test.ok(met >= drawn.length / 3, `${met} of ${drawn.length} steps were met`)
}

await t.test('a recovery that something befalls', { skip }, async group => {
  stages.push(await makeStage(group, { journalMode: 'wal', pageSize: 4096 }))
  stages.push(await makeStage(group, { journalMode: 'delete', pageSize: 1024 }))
  await group.test('killed at any moment, it is completed by running it again', killAtAnyMoment)
  await group.test(
    'killed at any step, or where any step fails, running it again completes it',
    strikeAtEachStep,
  )
})

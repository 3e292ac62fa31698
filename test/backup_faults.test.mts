import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { backupStages, type Stage, strike, times } from './support/backup_stage.ts'
import { type Ended, expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { skipWithoutRoot } from './support/full_disk.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { fillDisk, mountDisk } from './support/small_disk.ts'
import { failing, mostCalls, struckIn, watched } from './support/strace.ts'
import { backupsIn, faultsOf, temporaryIn } from './support/tier_folder.ts'

// A backup is killed, or a system call of its fails, at every point: no file under a final name is ever incomplete,
// older backups stay as they are, and the next run cleans up and completes.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', strace: 'strace', zstd: 'zstd' })
const soak = Boolean(process.env['CANDLEKEEP_SOAK'])
const modes = ['wal', 'delete'] as const
type Mode = (typeof modes)[number]
const stages = { wal: await backupStages('wal'), delete: await backupStages('delete') }
const random = seededRandom(t)
const pick = <T,>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T

/** Generous: what takes longer than this hangs. */
const patienceMs = 120_000

const tellsOfRoom =
  /^no room in \/.*: .* are needed, .* are free$|the disk is full|ENOSPC: no space left on device/

await t.test(
  'killed at any moment, it leaves nothing that is not whole, and the next run completes',
  { skip },
  async group => {
    const stage = stages.wal(group)
    const began = performance.now()
    await stage.workspace.run('backup')
    const wholeMs = performance.now() - began
    strike(stage)
    const rounds = Array.from({ length: runs(12, 200) }, (_, i) => ({
      moment: random() * wholeMs,
      orphan: i % 2 === 1,
      mode: pick(modes),
      luck: drawLuck(),
    }))
    await inLanes(rounds, async ({ moment, orphan, mode, luck }) => {
      const title = `${mode} mode, ${orphan ? 'the parent alone' : 'all'} after ${moment.toFixed(0)} ms`
      await beset(group, title, stages[mode], luck, async ({ workspace }) => {
        const running = workspace.start('backup', ['--json'], { runner: ['setsid', process.execPath] })
        await delay(moment)
        signalGroup(orphan ? running.pid : -running.pid, 'SIGKILL')
        return { ended: running.ended, group: running.pid }
      })
    })
  },
)

/** The calls with which a run changes files. `narrow`: only where they are about its own on the tiers and on the way there. */
const changes: Kind[] = [
  { call: 'openat', narrow: true },
  { call: 'write', narrow: true },
  ...[
    'pwrite64',
    'fsync',
    'fdatasync',
    'ftruncate',
    'copy_file_range',
    'sendfile',
    'rename',
    'unlink',
    'chmod',
    'mkdir',
    'rmdir',
  ].map(call => ({ call })),
]

/** Those with which it reads back what it has written. */
const reads: Kind[] = [
  { call: 'read', narrow: true },
  { call: 'pread64', narrow: true },
]

await t.test(
  'killed at any step, it leaves nothing that is not whole, and the next run completes',
  { skip },
  async group => {
    await atEachStep(group, { kinds: changes, effects: ['signal=SIGKILL'], sample: 5 })
  },
)

await t.test(
  'where any step fails, what is stored is whole, what failed is told, and the next run completes',
  { skip },
  async group => {
    await atEachStep(group, { kinds: changes, effects: ['error=EIO', 'error=ENOSPC'], sample: 6 })
    await atEachStep(group, { kinds: reads, effects: ['error=EIO'], sample: 1 })
  },
)

for (const { title, call, when, on, among = modes } of [
  // SQLite takes it for damage of what it reads
  { title: 'cannot be read', call: 'pread64,read', when: '1+', on: 'copy' },
  { title: 'cannot be written', call: 'pwrite64,copy_file_range,sendfile,write', when: '1+', on: 'copy' },
  { title: 'fails when the database has got its name', call: 'fsync', when: '2', on: 'folder' },
  // SQLite says then that the copy has left WAL mode, and it has not
  {
    title: 'fails as the copy leaves WAL mode',
    call: 'fsync',
    when: '2',
    on: 'copy',
    among: ['wal'] as const,
  },
]) {
  await t.test(
    `a hot disk that ${title} is its own trouble: the warm tier gets its backup`,
    { skip },
    async test => {
      await inLanes<Mode>(among, async mode => {
        const met = await beset(test, mode, stages[mode], drawLuck(), async stage => {
          const files =
            on === 'copy' ? filesOfRun(stage).filter(file => file.endsWith('.db.tmp')) : [stage.hot]
          const step = { call, effect: 'error=EIO', when, files }
          const runner = ['setsid', ...failing(step, join(stage.workspace.folder, 'strace.log'))]
          const running = stage.workspace.start('backup', ['--json'], { runner })
          return { ended: running.ended, group: running.pid, errors: true }
        })
        const tiers = (met?.json?.['tiers'] ?? []) as TierOfRun[]
        test.strictSame(
          tiers.map(({ tier, error }) => [tier, error === null]),
          [
            ['hot', false],
            ['warm', true],
          ],
          `${mode} mode: the hot tier fails and no other`,
        )
      })
    },
  )
}

await t.test('a full disk under the database is no damage of it', { skip }, async test => {
  const ended = await beset(test, 'wal mode', stages.wal, drawLuck(), async stage => {
    // SQLite makes the index of a log with the first that opens it
    const files = [`${stage.workspace.database}-shm`]
    const step = { call: 'pwrite64', effect: 'error=ENOSPC', when: '1+', files }
    const runner = ['setsid', ...failing(step, join(stage.workspace.folder, 'strace.log'))]
    const running = stage.workspace.start('backup', ['--json'], { runner })
    return { ended: running.ended, group: running.pid, errors: true }
  })
  test.match(ended?.json?.['error'], /^no copy could be taken: .*\(SQLITE_IOERR/)
})

/** Too little for anything; for what the tier needs; for what SQLite needs beside the copy; enough. */
const little = [0, 4, 64, 128]
const more = [136, 140, 300, 500, 676, 684, 692, 704, 720, 800]

for (const place of ['hot', 'warm', 'state'] as const) {
  await t.test(
    `with no room ${place === 'state' ? 'for the state' : `on the ${place} tier`} no other tier suffers`,
    { skip: skip || skipWithoutRoot() },
    async test => {
      const all = modes.flatMap(mode => [...little, ...more].map(kilobytes => ({ mode, kilobytes })))
      const [one, other] = random() < 0.5 ? modes : modes.toReversed()
      const some = [
        { mode: one, kilobytes: pick(little) },
        { mode: other, kilobytes: pick(more) },
      ]
      await inLanes(soak ? all : some, async ({ mode, kilobytes }) => {
        const { wrong, told } = await withRoom(test, { place, mode, kilobytes })
        test.strictSame(wrong, [], `${mode} mode, ${kilobytes} KB: ${told ?? 'it fits'}`)
      })
    },
  )
}

type Room = { place: 'hot' | 'warm' | 'state'; mode: Mode; kilobytes: number }

/** A backup with a full disk in one place, and the next one, with room. What is wrong, and what was told of the disk. */
async function withRoom(test: Test, { place, mode, kilobytes }: Room) {
  const stage = stages[mode](test)
  const { workspace, hot, warm } = stage
  const folder = { hot, warm, state: workspace.state }[place]
  const disk = mountDisk(test, folder)
  fillDisk(folder, kilobytes * 1024)
  const ended = await workspace.run('backup', ['--json'])
  const wrong = [...wrongWith(ended, stage), ...stage.faults()]
  const tiers = (ended.json?.['tiers'] ?? []) as TierOfRun[]
  const failed = tiers.filter(({ error }) => error !== null)
  // what is on its way to the warm tier is made with the state
  const suffers = place === 'state' ? 'warm' : place
  if (tiers.length !== 2 || failed.some(({ tier }) => tier !== suffers))
    wrong.push(`another tier failed: ${ended.stdout}`)
  for (const { error } of failed) if (!tellsOfRoom.test(error ?? '')) wrong.push(`it says ${error}`)
  if (kilobytes === 0 && failed.length !== 1) wrong.push('it fits where there is no room')
  if (place !== 'state') {
    const env = { CANDLEKEEP_NOW: times.between }
    const alone = await workspace.run('backup', ['--tiers', place, '--json'], { env })
    if (failed.length === 1 && alone.status !== 1)
      wrong.push(`alone it ends with ${alone.status}: ${alone.stdout}`)
    wrong.push(...wrongWith(alone, stage), ...stage.faults())
  }
  disk.grow()
  const next = await workspace.run('backup', ['--json'], { env: { CANDLEKEEP_NOW: times.after } })
  if (next.status !== 0) wrong.push(`with room it ends with ${next.status}: ${next.stdout}`)
  wrong.push(...stage.faults(), ...stage.leftovers())
  disk.vanish()
  strike(stage)
  return { wrong, told: failed[0]?.error }
}

await t.test(
  'a slow disk that is not mounted, or vanishes, gets nothing below its mount point',
  { skip: skip || skipWithoutRoot() },
  async group => {
    const stage = stages.wal(group)
    const { workspace, hot } = stage
    const point = join(workspace.folder, 'slow')
    mkdirSync(point)
    workspace.configure(sheet => {
      sheet.backup = { warm: { path: 'slow/warm', mount: point } }
    })
    const at = (minute: number) => ({ env: { CANDLEKEEP_NOW: `2024-05-02T03:${minute}:00Z` } })

    await group.test('not mounted', async test => {
      const ended = await workspace.run('backup', ['--json'], at(10))
      expectStatus(test, ended, 2)
      test.match(ended.stdout, /nothing is mounted at/)
      test.strictSame(readdirSync(point), [], 'nothing is written there')
      test.ok(backupsIn(hot).includes(String(ended.json?.['id'])), 'the hot tier has it')
      expectStatus(test, await workspace.run('backup', ['--tiers', 'warm'], at(11)), 1)
      test.strictSame(readdirSync(point), [])
    })

    for (const call of soak ? ['write', 'fsync', 'chmod'] : [pick(['write', 'fsync', 'chmod'])])
      await group.test(`gone while it is written to (${call})`, async test => {
        const disk = mountDisk(test, point)
        mkdirSync(join(point, 'warm'))
        const log = join(workspace.folder, `${call}.log`)
        const id = (second: number) => `agent_backup_2024-05-02_03-20-0${second}`
        const files = Array.from({ length: 8 }, (_, i) => `${point}/warm/.${id(i)}.db.zst.tmp`)
        // it waits before the call, long enough to pull the plug
        const runner = failing({ call, effect: 'delay_enter=2500000', when: '1', files }, log)
        const running = workspace.start('backup', ['--json'], { ...at(20), runner })
        for (let tries = 0; temporaryIn(`${point}/warm`).length === 0 && tries < 1000; tries++)
          await delay(20)
        await delay(call === 'write' ? 0 : 700)
        disk.vanish()
        const ended = await running.ended
        expectStatus(test, ended, 2)
        test.strictSame(readdirSync(point), [], 'nothing is written below')
        test.ok(backupsIn(hot).includes(String(ended.json?.['id'])), 'the hot tier has it')
        test.strictSame(stage.leftovers(), [])
        // all that it had is gone; the next run brings it the newest of a day
        mountDisk(test, point)
        const next = await workspace.run('backup', ['--json'], at(30))
        expectStatus(test, next, 0)
        test.ok(backupsIn(`${point}/warm`).includes(String(next.json?.['id'])))
        test.strictSame(faultsOf(`${point}/warm`), [])
      })
  },
)

type Kind = { call: string; narrow?: boolean }
type Step = Kind & { mode: Mode; effect: string; when: string }

/** In the soak at the first call, the second, … of each kind, until a run meets none; else at some of them. */
async function atEachStep(
  test: Test,
  { kinds, effects, sample }: { kinds: Kind[]; effects: string[]; sample: number },
) {
  const steps: Step[] = []
  for (const mode of modes) {
    const most = await countCalls(test, mode, kinds)
    for (const kind of kinds)
      for (let nth = 1; nth <= (most.get(kind.call) ?? 0); nth++)
        // once, or from then on
        for (const [i, effect] of effects.entries())
          steps.push({
            ...kind,
            mode,
            effect,
            when: (nth + i) % 2 === 0 && effect.startsWith('error') ? `${nth}+` : String(nth),
          })
  }
  const chosen = soak ? steps : Array.from({ length: sample }, () => pick(steps))
  const tally = { struck: 0, without: 0 }
  const strikeAt = async (step: Step & { luck: Luck }) => {
    const met = await failAt(test, step)
    if (met > 0) tally.struck += 1
    else tally.without += 1
  }
  await inLanes(
    chosen.map(step => ({ ...step, luck: drawLuck() })),
    strikeAt,
  )
  // calls do not always come in the same number: a few tries more where none was struck
  for (let tries = 0; tally.struck === 0 && tries < 10; tries++)
    await strikeAt({ ...pick(steps), luck: drawLuck() })
  test.comment(
    `${chosen.length} of ${steps.length} steps, ${tally.struck} runs met their fault, ${tally.without} did not`,
  )
  test.ok(tally.struck > 0, 'faults were met')
}

/** How many calls of each kind a thread of an undisturbed run makes at most. */
async function countCalls(test: Test, mode: Mode, kinds: Kind[]): Promise<Map<string, number>> {
  const stage = stages[mode](test)
  const log = join(stage.workspace.folder, 'strace.log')
  const runner = watched(
    kinds.map(({ call }) => call),
    log,
  )
  await stage.workspace.run('backup', [], { runner })
  const own = /\/\.?agent_backup_2024-05-02_01-40-0\d\.\S*\b(tmp|zst)\b/
  const counts = kinds.map(
    ({ call, narrow }) => [call, mostCalls(log, call, narrow === true ? own : /./)] as const,
  )
  strike(stage)
  return new Map(counts)
}

/** How often the fault struck. */
async function failAt(
  test: Test,
  { call, effect, when, narrow = false, mode, luck }: Step & { luck: Luck },
): Promise<number> {
  let met: string[] = []
  const title = `${mode} mode, ${call} ${when}: ${effect}`
  await beset(test, title, stages[mode], luck, async stage => {
    const log = join(stage.workspace.folder, 'strace.log')
    const files = narrow ? filesOfRun(stage) : undefined
    const runner = ['setsid', ...failing({ call, effect, when, files }, log)]
    const running = stage.workspace.start('backup', ['--json'], { runner })
    const ended = running.ended.then(result => {
      met = struckIn(log)
      return result
    })
    return {
      ended,
      group: running.pid,
      errors: effect.startsWith('error') && call !== 'unlink' && call !== 'rmdir',
    }
  })
  return met.length
}

/** Whatever a run of this moment writes on the tiers and on the way there. */
function filesOfRun({ hot, warm, workspace: { state } }: Stage): string[] {
  const ids = Array.from({ length: 8 }, (_, i) => `agent_backup_2024-05-02_01-40-0${i}`)
  return ids.flatMap(id => [
    `${hot}/.${id}.db.tmp`,
    `${hot}/.${id}.manifest.json.tmp`,
    `${warm}/.${id}.db.zst.tmp`,
    `${warm}/.${id}.manifest.json.tmp`,
    `${state}/scratch/run-PID/${id}.db.zst`,
  ])
}

type Struck = {
  ended: Promise<Ended>
  group: number
  /** It met an error and could clean up. */
  errors?: boolean
}

type Luck = {
  /** The next run comes at the same made-up second, so it would choose the same name. */
  sameTime: boolean
  /** `--verify` is asked too, beside what looks at the tiers in any case. */
  verify: boolean
}

function drawLuck(): Luck {
  return { sameTime: random() < 0.5, verify: random() < 0.1 }
}

/** Does all of them, some at a time: most of a run is starting processes and waiting for disks. */
async function inLanes<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  const left = [...all]
  const lane = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one)
  }
  await Promise.all(Array.from({ length: soak ? 3 : 2 }, lane))
}

/** Lets something happen to a run in a workspace of its own; then what has to hold, and what the next run makes of it. */
async function beset(
  test: Test,
  title: string,
  make: (test: Test) => Stage,
  { sameTime, verify }: Luck,
  befall: (stage: Stage) => Promise<Struck>,
): Promise<Ended | undefined> {
  const stage = make(test)
  const { workspace, hot, warm } = stage
  const wrong: string[] = []
  const struck = await befall(stage)
  const ended = await withinPatience(struck)
  if (ended === undefined) wrong.push('it hangs')
  wrong.push(...stage.faults())
  if (struck.errors === true && ended !== undefined) wrong.push(...wrongWith(ended, stage))
  const next = await workspace.run('backup', ['--json'], {
    env: { CANDLEKEEP_NOW: sameTime ? times.struck : times.after },
  })
  if (next.status !== 0) wrong.push(`the next run ends with ${next.status}: ${next.stdout}${next.stderr}`)
  if (!(await groupEnds(struck.group))) wrong.push('a process of the first run is still there')
  wrong.push(...stage.faults(), ...stage.leftovers().map(name => `${name} is left over`))
  const id = String(next.json?.['id'])
  for (const folder of [hot, warm])
    if (!backupsIn(folder).includes(id)) wrong.push(`${id} is not in ${folder}`)
  if (verify) {
    const verified = await workspace.run('backup', ['--verify'])
    if (verified.status !== 0) wrong.push(`--verify: ${verified.stdout}${verified.stderr}`)
  }
  test.strictSame(wrong, [], title)
  strike(stage)
  return ended
}

type TierOfRun = { tier: 'hot' | 'warm'; error: string | null; stored: { id: string }[] }

/** What a run says that met an error has to be so: a tier has got its backup, or says why not and has no remains of it. */
function wrongWith({ status, json, stdout, stderr }: Ended, stage: Stage): string[] {
  const said = `${status}: ${stdout}${stderr}`
  if (json === undefined) return [`it ends with ${said}`]
  const wrong: string[] = []
  if (json['damaged'] === true) wrong.push(`it takes the database for damaged: ${said}`)
  if (json['defect'] === true) wrong.push(`it fails without a word for the user: ${said}`)
  const tiers = (json['tiers'] ?? []) as TierOfRun[]
  const failed = tiers.filter(({ error }) => error !== null)
  const allFailed = failed.length === tiers.length
  // 78: not even the folder of the state could be used
  const expected = tiers.length === 0 ? [1, 78] : allFailed ? [1] : failed.length > 0 ? [2] : [0]
  if (!expected.includes(status ?? -1)) wrong.push(`it ends with ${said}`)
  for (const { tier, error, stored } of tiers) {
    const there = backupsIn(stage[tier])
    if (error === null && !there.includes(String(json['id']))) wrong.push(`${tier} has no backup: ${said}`)
    for (const { id } of stored) if (!there.includes(id)) wrong.push(`${id} is not in ${tier}: ${said}`)
  }
  wrong.push(...stage.remains().map(name => `${name} is left over by ${said}`))
  return wrong
}

async function withinPatience({ ended, group }: Struck): Promise<Ended | undefined> {
  const over = new AbortController()
  const late = delay(patienceMs, undefined, { signal: over.signal }).catch(() => undefined)
  const result = await Promise.race([ended, late.then(() => undefined)])
  over.abort()
  if (result === undefined) signalGroup(-group, 'SIGKILL')
  return result
}

async function groupEnds(group: number): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (!signalGroup(-group, 0)) return true
    await delay(50)
  }
  return false
}

/** False where there is no such process any more. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  activateStep,
  receiveLayerStep,
  receiveReleaseStep,
  rollbackStep,
} from '../provision/release/install_steps.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { type GroundStep, type Installed, lookInto, makeGround, runStep } from './support/release_ground.ts'
import { failingText, stepThrough, watchedText } from './support/stepped.ts'
import { mostCalls, struckIn } from './support/strace.ts'
import { temporaryFolder } from './support/workspace.ts'

// What brings a release onto a host is killed after each of its changes, and its system calls fail: what has its name is
// whole, `current` leads to a release, and running it again completes it.

skipWithoutPackages({ strace: 'strace' })
const soak = process.env['CANDLEKEEP_SOAK'] === '1'
const random = seededRandom(t)
const ground = makeGround(t)

const [first, second, third] = [
  { id: '1.0.0-aaaa', node: 'node-1-x64', modules: 'modules-1' },
  { id: '1.0.0-bbbb', node: 'node-1-x64', modules: 'modules-2' },
  { id: '1.0.1-cccc', node: 'node-2-x64', modules: 'modules-3' },
] as const

const keep = 2
const activate = (install: string, id: string): GroundStep => ({
  text: activateStep(install, id, keep).script,
  input: '/dev/null',
})
const rollBack = (install: string): GroundStep => ({ text: rollbackStep(install).script, input: '/dev/null' })

type At = (install: string) => GroundStep

const arrivalOf = (release: typeof first | typeof second | typeof third): At[] => [
  install => ground.receiveLayer(install, release.node),
  install => ground.receiveLayer(install, release.modules),
  install => ground.receiveRelease(install, release),
]
const active: At[] = [...arrivalOf(first), install => activate(install, first.id)]
const two: At[] = [...active, ...arrivalOf(second), install => activate(install, second.id)]

/** A step, and what came before it. */
const moments: { title: string; before: At[]; step: At }[] = [
  { title: 'the first layer', before: [], step: at => ground.receiveLayer(at, first.node) },
  {
    title: 'the first release',
    before: arrivalOf(first).slice(0, 2),
    step: at => ground.receiveRelease(at, first),
  },
  { title: 'the first switch', before: arrivalOf(first), step: at => activate(at, first.id) },
  { title: 'another layer', before: two, step: at => ground.receiveLayer(at, third.modules) },
  {
    title: 'another release',
    before: [...two, ...arrivalOf(third).slice(0, 2)],
    step: at => ground.receiveRelease(at, third),
  },
  {
    title: 'a switch that an older release and its layer have to make room for',
    before: [...two, ...arrivalOf(third)],
    step: at => activate(at, third.id),
  },
  { title: 'a rollback', before: two, step: rollBack },
]

/** A step with a name that sh could misread, and a copy of what came before it for each time. */
type Stage = {
  fresh: () => string
  step: At
  before: Installed
  after: Installed
  /** All that can have a name before or after it. */
  whole: Installed['whole']
}

function makeStage(test: Test, { before, step }: (typeof moments)[number]): Stage {
  const folder = temporaryFolder(test)
  let copies = 0
  const original = join(folder, `it's "here" $(exit) *`)
  mkdirSync(original)
  for (const each of before) expectDone(test, each(original))
  const fresh = () => {
    const copy = `${original} ${copies++}`
    execFileSync('cp', ['-a', '--', original, copy])
    return copy
  }
  const done = fresh()
  expectDone(test, step(done))
  const [was, is] = [lookInto(original), lookInto(done)]
  return { fresh, step, before: was, after: is, whole: { ...was.whole, ...is.whole } }
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map(value => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

function expectDone(test: Test, step: GroundStep, told = ''): void {
  const { status, output } = runStep(step)
  if (status !== 0) test.equal(status, 0, `${told}: it ends with ${status} ${output}`)
}

/** That nothing is half done under its final name, whatever befell the step. */
function expectWhole(test: Test, install: string, { before, after, whole }: Stage, told: string): Installed {
  const now = lookInto(install)
  for (const [name, tree] of Object.entries(now.whole))
    if (tree !== whole[name]) test.equal(tree, whole[name], `${told}: ${name} is whole`)
  const { current } = now
  test.ok(
    current === before.current || current === after.current,
    `${told}: the link leads to the one or to the other, not to ${current}`,
  )
  if (current !== undefined && now.whole[current] === undefined)
    test.fail(`${told}: ${current} is what runs, and is gone`)
  for (const { id, node, modules } of [first, second, third])
    for (const layer of [`store/${node}`, `store/${modules}`])
      if (now.whole[`releases/${id}`] !== undefined && now.whole[layer] === undefined)
        test.fail(`${told}: ${layer} is gone, and ${id} is there`)
  return now
}

/** Running it again completes it. A rollback that had switched already goes back again: it is asked for what is there. */
function expectCompleted(test: Test, install: string, stage: Stage, now: Installed, told: string): void {
  const isRollback = stage.step === rollBack
  if (isRollback && now.current === stage.after.current) expectDone(test, rollBack(install), told)
  expectDone(test, stage.step(install), told)
  const { activated, ...rest } = lookInto(install)
  const { activated: wanted, ...wantedRest } = stage.after
  test.same(rest, wantedRest, `${told}: it is completed`)
  test.equal(activated.at(-1), wanted.at(-1), `${told}: what runs is noted last`)
}

await t.test('Killed after any of its changes', async group => {
  for (const moment of moments) {
    await group.test(moment.title, async test => {
      const stage = makeStage(test, moment)
      const { text, input } = stage.step(stage.fresh())
      const { status, changes, output } = await stepThrough(text, { input })
      test.equal(status, 0, output)
      test.ok(changes.length >= 5, `${changes.length} changes`)
      const all = changes.map((_, i) => i + 1)
      const chosen = soak ? all : shuffled(all).slice(0, runs(3))
      for (const killAfter of chosen) {
        const install = stage.fresh()
        const killed = await stepThrough(stage.step(install).text, { input, killAfter })
        if (killed.status !== null) {
          // processes of a pipeline do not always take turns alike: this time it had fewer changes
          test.ok(killAfter > changes.length - 5, `it was to be killed after ${killAfter} changes`)
          continue
        }
        const told = `after ${killAfter} of ${changes.length}, ${killed.changes.at(-1)}`
        const now = expectWhole(test, install, stage, told)
        const other = `${install} abandoned`
        execFileSync('cp', ['-a', '--', install, other])
        expectCompleted(test, install, stage, now, told)
        test.same(lookInto(install).temporary, [], `${told}: nothing is left over`)
        if (now.current === undefined) continue
        expectDone(test, activate(other, now.current.replace('releases/', '')), told)
        test.same(lookInto(other).temporary, [], `${told}: nothing is left over where it is not run again`)
      }
    })
  }
})

await t.test('What arrives reaches the disk before it has its name', async test => {
  for (const [title, name] of [
    ['another layer', `"${third.modules}"`],
    ['another release', `"${third.id}"`],
  ]) {
    const stage = makeStage(test, moments.find(moment => moment.title === title) as (typeof moments)[number])
    const { text, input } = stage.step(stage.fresh())
    const { changes } = await stepThrough(text, { input })
    const renamed = changes.findIndex(call => call.startsWith('rename') && call.includes(name as string))
    const written = changes.findLastIndex(call => /^(write\([3-9]|symlink)/.test(call))
    const flushed = changes.findIndex((call, i) => i > written && call.startsWith('syncfs('))
    test.ok(
      written < flushed && flushed < renamed,
      `${written} < ${flushed} < ${renamed} of ${changes.length}`,
    )
    test.ok(
      changes.some((call, i) => i > renamed && call.startsWith('fsync(')),
      'and then the name',
    )
  }
})

await t.test('A system call fails', async group => {
  const effects = ['ENOSPC', 'EIO', 'ENOMEM']
  const calls =
    'read write openat getdents64 readlink execve mkdir symlinkat renameat2 unlinkat fchmodat fsync syncfs'.split(
      ' ',
    )
  for (const moment of moments) {
    await group.test(moment.title, async test => {
      const stage = makeStage(test, moment)
      const log = join(temporaryFolder(test), 'trace')
      const whole = stage.step(stage.fresh())
      test.equal(runStep({ ...whole, text: watchedText(whole.text, calls, log) }).status, 0)
      // each process counts its own calls
      const cases = calls.flatMap(call =>
        Array.from({ length: mostCalls(log, call, /./) }, (_, i) => ({ call, when: i + 1 })),
      )
      let struck = 0
      for (const { call, when } of soak ? cases : shuffled(cases).slice(0, runs(8))) {
        const effect = effects[Math.floor(random() * effects.length)]
        const install = stage.fresh()
        const step = stage.step(install)
        const injection = { call, effect: `error=${effect}`, when: String(when) }
        const { status, output } = runStep({ ...step, text: failingText(step.text, injection, log) })
        if (struckIn(log).length === 0) continue
        struck++
        const told = `${call} number ${when} of a process is ${effect} (status ${status})`
        const now = expectWhole(test, install, stage, told)
        if (status === 0) test.equal(now.current, stage.after.current, `${told}: what is said to be done is`)
        if (call === 'write') {
          if (status !== 0) test.not(output, '', `${told}: it says why`)
          test.same(now.temporary, [], `${told}: nothing takes room`)
        }
        const previous = stage.before.current
        if (previous !== undefined && now.whole[previous] === undefined)
          test.fail(`${told}: the release to go back to is there`)
        expectCompleted(test, install, stage, now, told)
      }
      test.ok(struck >= 5, `${struck} were struck`)
    })
  }
})

await t.test('What arrives is not what was sent', async group => {
  for (const moment of moments.filter(({ title }) => /layer$|release$/.test(title))) {
    await group.test(moment.title, test => {
      const stage = makeStage(test, moment)
      const damaged = join(temporaryFolder(test), 'input')
      const check = (what: string, damage: (sound: Buffer) => void) => {
        const install = stage.fresh()
        const step = stage.step(install)
        damage(readFileSync(step.input))
        const { status, output } = runStep({ ...step, input: damaged })
        test.equal(status, 1, what)
        test.match(output, /what arrived of \S+ is not what was sent/, what)
        test.same(lookInto(install).whole, stage.before.whole, `${what}: nothing has come`)
        test.same(lookInto(install).temporary, [], `${what}: nothing is left`)
        expectCompleted(test, install, stage, lookInto(install), what)
      }
      check('nothing', () => writeFileSync(damaged, ''))
      for (let i = 0; i < runs(2); i++) {
        check('cut off', sound => {
          writeFileSync(damaged, sound)
          truncateSync(damaged, Math.floor(random() * sound.length))
        })
        check('one bit of it', sound => {
          const at = Math.floor(random() * sound.length)
          writeFileSync(
            damaged,
            Buffer.from(sound.map((byte, j) => (j === at ? byte ^ (1 << (i % 8)) : byte))),
          )
        })
        check('more than it', sound => writeFileSync(damaged, Buffer.concat([sound, Buffer.from('x')])))
      }
      test.end()
    })
  }
})

await t.test('A name that is no name of a layer or a release is refused', test => {
  const names = [
    '',
    '.',
    '..',
    '../x',
    '/etc',
    'a/b',
    '-rf',
    '.hidden',
    'a b',
    'a\n',
    '*',
    "a'b",
    '$(x)',
    'ä',
  ]
  for (const name of names) {
    const makers = [
      () => receiveLayerStep('/x', name, '0'),
      () => receiveReleaseStep('/x', name, '0', first.node, first.modules),
      () => receiveReleaseStep('/x', first.id, '0', name, first.modules),
      () => receiveReleaseStep('/x', first.id, '0', first.node, name),
      () => activateStep('/x', name, keep),
    ]
    for (const make of makers)
      test.throws(make, { message: /is no name of a layer or a release/ }, JSON.stringify(name))
  }
  test.end()
})

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { activateStep, rollbackStep } from '../provision/release/install_steps.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { checkAsync, runs, seed } from './support/properties.ts'
import { type GroundStep, lookInto, type MadeRelease, makeGround, runStep } from './support/release_ground.ts'
import { stepThrough } from './support/stepped.ts'
import { temporaryFolder } from './support/workspace.ts'

// Releases come, go, are rolled back and are removed by hand, and steps are killed, in any order: what runs, what a
// rollback would make run and what is kept is what a model says that knows nothing of links, folders and records.

skipWithoutPackages({ strace: 'strace' })
t.comment(`FC_SEED=${seed}`)
const ground = makeGround(t)
const place = temporaryFolder(t)

/** Some share a layer, and some have their own. */
const all: MadeRelease[] = Array.from({ length: 7 }, (_, i) => ({
  id: `1.${i}.0-${'abcdefg'[i]?.repeat(10)}`,
  node: `node-${i % 2}-x64`,
  modules: `modules-${i % 4}`,
}))
const releaseOf = (id: string) => all.find(release => release.id === id) as MadeRelease

type Kill = { step: number; after: number } | undefined

type Act =
  | { act: 'install'; which: number; keep: number; kill: Kill }
  | { act: 'roll back'; kill: Kill }
  | { act: 'roll back twice' }
  | { act: 'remove by hand'; which: number }

const kill = fc.option(fc.record({ step: fc.nat(3), after: fc.integer({ min: 1, max: 60 }) }), {
  nil: undefined,
  freq: 2,
})
const which = fc.nat(all.length - 1)
const acts = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constant('install' as const),
        which,
        keep: fc.integer({ min: 2, max: 5 }),
        kill,
      }),
    },
    { weight: 3, arbitrary: fc.record({ act: fc.constant('roll back' as const), kill }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('roll back twice' as const) }) },
    { weight: 2, arbitrary: fc.record({ act: fc.constant('remove by hand' as const), which }) },
  ),
  { minLength: 10, maxLength: 20, size: 'max' },
)

/** Releases by what has run, newest last; and those that are there. */
class Model {
  ran: string[] = []
  there = new Set<string>()

  get current(): string | undefined {
    return this.ran.at(-1)
  }

  /** Those that have run and are there, newest first, each once. */
  get newest(): string[] {
    return [...new Set(this.ran.toReversed())].filter(id => this.there.has(id))
  }

  get previous(): string | undefined {
    return this.newest.find(id => id !== this.current)
  }

  runs(id: string): void {
    if (this.current !== id) this.ran.push(id)
  }

  /** What is there after an installation that keeps so many. */
  kept(keep: number): Set<string> {
    return new Set(this.newest.slice(0, keep))
  }
}

/** What happens in one folder, beside what the model says of it. */
class Trial {
  readonly model = new Model()
  readonly install = join(mkdtempSync(join(place, 'trial-')), 'in stall')

  async carryOut(one: Act): Promise<void> {
    switch (one.act) {
      case 'install':
        return this.#install(releaseOf(all[one.which]?.id ?? ''), one.keep, one.kill)
      case 'roll back':
        return this.#rollBack(one.kill)
      case 'roll back twice': {
        if (this.model.previous === undefined) return
        const before = lookInto(this.install)
        await this.#rollBack(undefined)
        await this.#rollBack(undefined)
        const after = lookInto(this.install)
        expectSame([after.current, after.whole], [before.current, before.whole], 'twice, all is as before')
        return
      }
      case 'remove by hand': {
        const { id } = all[one.which] as MadeRelease
        // what runs is not anybody's to remove
        if (id === this.model.current || !this.model.there.delete(id)) return
        rmSync(join(this.install, 'releases', id), { recursive: true })
      }
    }
  }

  async #install(release: MadeRelease, keep: number, killed: Kill): Promise<void> {
    const { model, install } = this
    const { id, node, modules } = release
    const steps: GroundStep[] = [
      ground.receiveLayer(install, node),
      ground.receiveLayer(install, modules),
      ground.receiveRelease(install, release),
      { text: activateStep(install, id, keep).script, input: '/dev/null' },
    ]
    for (const [i, step] of steps.slice(0, (killed?.step ?? 3) + 1).entries()) {
      const last = i === killed?.step
      const done = await (last ? this.#killed(step, killed.after) : this.#whole(step))
      const seen = lookInto(install)
      if (i === 2 && seen.whole[`releases/${id}`] !== undefined) model.there.add(id)
      if (i === 2 && done) expectSame(model.there.has(id), true, 'it has come')
      if (i < 3) continue
      const before = model.current
      if (done || seen.current === `releases/${id}`) model.runs(id)
      const kept = model.kept(keep)
      const gone = [...model.there].filter(each => seen.whole[`releases/${each}`] === undefined)
      const mayGo = model.current === id ? [...model.there].filter(each => !kept.has(each)) : []
      expectSame(
        gone.filter(each => !mayGo.includes(each)),
        [],
        `nothing goes but ${mayGo.join()} (${before} → ${model.current})`,
      )
      for (const each of gone) model.there.delete(each)
      if (!done) continue
      expectSame([...model.there].sort(), [...kept].sort(), `of all that have run ${keep} are kept`)
      const needed = new Set([...kept].map(releaseOf).flatMap(each => [each.node, each.modules]))
      expectSame(this.#layers(), [...needed].sort(), 'the layers that they need are kept')
      expectSame(seen.temporary, [], 'nothing temporary is left')
    }
  }

  async #rollBack(killed: Kill): Promise<void> {
    const { model, install } = this
    const step = { text: rollbackStep(install).script, input: '/dev/null' }
    const { previous } = model
    if (previous === undefined) {
      // before the first release there is no folder either
      const { status, output } = runStep(step)
      expectSame(status === 0, false, 'there is nothing to go back to')
      if (model.current !== undefined) expectSame(output, 'there is no release to go back to\n', 'it says so')
      return
    }
    const done = await (killed === undefined ? this.#whole(step, previous) : this.#killed(step, killed.after))
    if (done || lookInto(install).current === `releases/${previous}`) model.runs(previous)
  }

  async #whole(step: GroundStep, says?: string): Promise<boolean> {
    const { status, output } = runStep(step)
    expectSame(status, 0, output)
    if (says !== undefined) expectSame(output, `${says}\n`, 'it says what runs now')
    return true
  }

  /** False where it was killed; it may have been at its end before. */
  async #killed(step: GroundStep, after: number): Promise<boolean> {
    const { status, output } = await stepThrough(step.text, { input: step.input, killAfter: after })
    if (status !== null) expectSame(status, 0, output)
    return status !== null
  }

  #layers(): string[] {
    const { whole } = lookInto(this.install)
    return Object.keys(whole)
      .filter(name => name.startsWith('store/'))
      .map(name => name.slice('store/'.length))
      .sort()
  }

  /** What holds at each moment. */
  expectInOrder(): void {
    const { model } = this
    const { current, whole } = lookInto(this.install)
    expectSame(current, model.current && `releases/${model.current}`, 'what runs')
    const releases = Object.keys(whole).filter(name => name.startsWith('releases/'))
    expectSame(
      releases,
      [...model.there].sort().map(id => `releases/${id}`),
      'what is there',
    )
    const layers = this.#layers()
    for (const { node, modules } of [...model.there].map(releaseOf))
      expectSame(layers.includes(node) && layers.includes(modules), true, 'each release has its layers')
  }
}

function expectSame(found: unknown, wanted: unknown, what: string): void {
  const [is, should] = [found, wanted].map(value => JSON.stringify(value))
  if (is !== should) throw new Error(`${what}: ${is}, not ${should}`)
}

await t.test('What runs and what is kept is what a simple model says', async () => {
  await checkAsync(
    fc.asyncProperty(acts, async sequence => {
      const trial = new Trial()
      for (const one of sequence) {
        await trial.carryOut(one)
        trial.expectInOrder()
      }
    }),
    runs(4, 200),
  )
})

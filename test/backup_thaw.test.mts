import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { BadCopy, idAt, type Manifest } from '../scripts/backup/manifest.ts'
import { waysToThaw } from '../scripts/backup/s3_thaw.ts'
import { Archived, type Thaw } from '../scripts/backup/tier.ts'
import { UserError } from '../scripts/job/errors.ts'
import { hour, minute } from '../scripts/job/time.ts'
import { type ColdSettings, coldTierAt, quietly } from './support/cold_tier.ts'
import { check, runs } from './support/properties.ts'
import { type S3Double, startS3Double } from './support/s3/double.ts'
import type { S3FaultRule } from './support/s3/faults.ts'
import { skipWithoutSwift, startSwift } from './support/s3/swift.ts'

// What is archived is brought back: asked for once, by the way that is in time, and read when it is there.

const id = idAt(Date.parse('2026-11-24T12:00:00Z'))
const database = randomBytes(5000)
const soon = 30 * minute

async function archivedAt(
  test: Test,
  storage_class: NonNullable<ColdSettings['storage_class']>,
  restoreMs = hour,
) {
  const double = await startS3Double({ restoreMs })
  test.teardown(() => double.close())
  const here = coldTierAt(test, double, { storage_class }, { attempts: 1 })
  const manifest = await here.put(id, database)
  const thaw = (withinMs = soon): Promise<Thaw> => {
    if (here.tier.thaw === undefined) throw new Error('the cold tier cannot thaw')
    return here.tier.thaw(manifest, withinMs, quietly())
  }
  return { ...here, double, manifest, thaw }
}

/** The requests to bring something back, as they came and as they were answered. */
function asked(double: S3Double): number[] {
  return double.requests.flatMap(({ operation, status }) => (operation === 'RestoreObject' ? [status] : []))
}

/** How the object was last asked for. */
function stateOf(double: S3Double, { stored }: Manifest) {
  return double.objects().find(({ key }) => key.endsWith(stored.file))?.restored
}

/** Lets the time pass until what was asked for has come. */
function arrive(double: S3Double): void {
  for (const object of double.objects())
    if (object.storageClass !== 'STANDARD' && object.restored) object.restored.readyAt = 0
}

const refuse = (
  code: 'GlacierExpeditedRetrievalNotAvailable' | 'NotImplemented' | 'MethodNotAllowed' | 'AccessDenied',
  times = Infinity,
): S3FaultRule => ({ when: { operation: 'RestoreObject', times }, do: { kind: 'error', code } })

async function failure(promise: Promise<unknown>): Promise<Error & { hint?: string }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not fail')
}

const archives = [
  ['GLACIER', soon, 'Expedited', 5 * minute],
  ['GLACIER', 6 * hour, 'Standard', 5 * hour],
  ['GLACIER', 24 * hour, 'Bulk', 12 * hour],
  ['DEEP_ARCHIVE', soon, 'Standard', 12 * hour],
  ['DEEP_ARCHIVE', 72 * hour, 'Bulk', 48 * hour],
] as const

for (const [storageClass, withinMs, how, ms] of archives) {
  await t.test(`Of ${storageClass}, wanted within ${withinMs / hour} h, it comes by ${how}`, async test => {
    const { double, manifest, thaw, fetch } = await archivedAt(test, storageClass)
    test.ok((await failure(fetch(manifest))) instanceof Archived)
    test.same(await thaw(withinMs), { state: 'asked', how, ms })
    test.match(stateOf(double, manifest), { tier: how, days: 3 })
    const ordinary = storageClass === 'GLACIER' ? 5 * hour : 12 * hour
    const coming = { state: 'coming', how: 'Standard', ms: ordinary }
    for (let times = 0; times < 3; times++) test.same(await thaw(withinMs), coming)
    test.same(asked(double), [202], 'it was asked for once')
    test.ok((await failure(fetch(manifest))) instanceof Archived)
    arrive(double)
    test.same(await thaw(withinMs), { state: 'readable' })
    test.ok((await fetch(manifest)).equals(database))
    test.same(asked(double), [202], 'and is not asked for again')
  })
}

await t.test('What is no archive is readable, and nobody is asked', async test => {
  for (const storageClass of ['STANDARD', 'STANDARD_IA', 'GLACIER_IR'] as const) {
    const { double, thaw } = await archivedAt(test, storageClass)
    test.same(await thaw(), { state: 'readable' })
    test.same(asked(double), [])
  }
})

await t.test('Where Expedited has no capacity, Standard is asked for', async test => {
  const { double, manifest, thaw } = await archivedAt(test, 'GLACIER')
  double.setFaults([refuse('GlacierExpeditedRetrievalNotAvailable', 1)])
  test.same(await thaw(), { state: 'asked', how: 'Standard', ms: 5 * hour })
  test.match(stateOf(double, manifest), { tier: 'Standard' })
  test.same(asked(double), [503, 202])
})

await t.test('What somebody else asks for at the same moment is on its way', async test => {
  const { double, thaw } = await archivedAt(test, 'DEEP_ARCHIVE')
  const answers = await Promise.all([thaw(), thaw(), thaw()])
  test.equal(answers.filter(({ state }) => state === 'asked').length, 1)
  test.equal(answers.filter(({ state }) => state === 'coming').length, 2)
  test.equal(asked(double).filter(status => status === 202).length, 1)
})

await t.test('When its days are over it is asked for again', async test => {
  const { double, manifest, thaw } = await archivedAt(test, 'GLACIER')
  await thaw()
  const restored = stateOf(double, manifest)
  if (restored) Object.assign(restored, { readyAt: 0, until: 1 })
  test.match(await thaw(), { state: 'asked', how: 'Expedited' })
  test.same(asked(double), [202, 202])
})

await t.test('What cannot be brought back says why', async group => {
  const { double, tier, manifest, thaw } = await archivedAt(group, 'GLACIER')
  for (const code of ['NotImplemented', 'MethodNotAllowed'] as const) {
    await group.test(code, async test => {
      double.setFaults([refuse(code)])
      const error = await failure(thaw())
      test.ok(error instanceof UserError)
      test.match(
        error.message,
        /^s3:\/\/candlekeep\/candlekeep\/: the service cannot bring archived objects back/,
      )
      test.match(error.hint, /by the means of that service/)
    })
  }
  await group.test('denied', async test => {
    double.setFaults([refuse('AccessDenied')])
    const error = await failure(thaw())
    test.ok(error instanceof UserError)
    test.match(error.message, /RestoreObject needs s3:RestoreObject/)
    test.match(error.hint, /--policy/)
  })
  await group.test('no capacity at all', async test => {
    double.setFaults([refuse('GlacierExpeditedRetrievalNotAvailable')])
    test.match((await failure(thaw())).message, /not well: 503/)
  })
  await group.test('told to stop', async test => {
    double.setFaults([])
    const reason = new Error('no')
    test.equal(
      await failure(tier.thaw?.(manifest, soon, quietly(AbortSignal.abort(reason))) as Promise<Thaw>),
      reason,
    )
  })
  await group.test('gone', async test => {
    double.setFaults([])
    await tier.remove(manifest, quietly())
    test.ok((await failure(thaw())) instanceof BadCopy)
  })
})

await t.test(
  'What a real Swift has can be read, and thawing says so',
  { skip: skipWithoutSwift() },
  async test => {
    const plain = {
      storage_class: 'STANDARD',
      checksums: 'when_required',
      conditional_writes: false,
    } as const
    const { tier, put } = coldTierAt(test, await startSwift(test), { ...plain, part_mb: 5 })
    test.same(await tier.thaw?.(await put(id, database), soon, quietly()), { state: 'readable' })
  },
)

await t.test('The way is in time where any is, never dearer than it must be, and open to the size', test => {
  const given = fc.tuple(
    fc.constantFrom('GLACIER', 'DEEP_ARCHIVE'),
    fc.oneof(fc.nat(1e9), fc.constantFrom(250e6, 250e6 + 1)),
    fc.oneof(fc.nat(72 * hour), fc.constantFrom(5 * minute, 5 * hour, 12 * hour, 48 * hour)),
  )
  // what AWS says of each: the longest it takes, and from the dearest to the cheapest
  const table = {
    GLACIER: { Expedited: 5 * minute, Standard: 5 * hour, Bulk: 12 * hour },
    DEEP_ARCHIVE: { Standard: 12 * hour, Bulk: 48 * hour },
  }
  const holds = ([storageClass, bytes, withinMs]: [string, number, number]) => {
    const takes = Object.entries(table[storageClass as keyof typeof table])
    const open = takes.filter(([how]) => how !== 'Expedited' || bytes <= 250e6)
    const expected = open.findLast(([, ms]) => ms <= withinMs) ?? open[0]
    const ways = waysToThaw(storageClass, bytes, withinMs)
    const behind = ways.slice(1).map(({ how }) => how)
    return (
      ways[0]?.how === expected?.[0] &&
      ways[0]?.ms === expected?.[1] &&
      behind.join() === (ways[0]?.how === 'Expedited' ? 'Standard' : '')
    )
  }
  check(fc.property(given, holds), runs(500))
  test.same(waysToThaw('STANDARD', 1, soon), [])
  test.end()
})

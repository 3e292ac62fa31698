import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import t, { type Test } from 'tap'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import {
  checkOf,
  destroyAll,
  destroyPage,
  type Ground,
  historyRows,
  makeGround,
  marksIn,
  quarantined,
  recover,
  said,
} from './support/recovery_ground.ts'
import type { S3Place } from './support/s3/client.ts'
import { type S3Double, startS3Double } from './support/s3/double.ts'
import { skipWithoutSwift, startSwift } from './support/s3/swift.ts'
import type { Workspace } from './support/workspace.ts'

// With the hot and the warm tier gone, a database comes back from the cold one.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', zstd: 'zstd' })
const all = 'first,second,third,fresh'

type Cold = NonNullable<Parameters<Parameters<Workspace['configure']>[0]>[0]['backup']>['cold']

/** A workspace that has a backup of now in the cold tier, and neither hot nor warm ones. */
async function onlyCold(test: Test, ground: Ground, place: S3Place, cold: Cold = {}): Promise<Workspace> {
  const { bucket, url: endpoint, region } = place
  const workspace = ground.clone(test, sheet => {
    sheet.backup = { ...sheet.backup, cold: { bucket, endpoint, region, path_style: true, ...cold } }
    sheet.recovery = { wait_for_writers_seconds: 0, archive_wait_hours: 1 }
  })
  Object.assign(workspace.env, place.env)
  expectStatus(test, await workspace.run('backup', ['--tiers', 'cold']), 0)
  for (const tier of ['backups', 'warm']) rmSync(join(workspace.folder, tier), { recursive: true })
  return workspace
}

const restoresOf = (s3: S3Double) => s3.requests.filter(({ operation }) => operation === 'RestoreObject')

await t.test('The cold tier', { skip }, async group => {
  const ground = await makeGround(group, 'wal')

  await group.test('encrypted, it needs its key', async test => {
    const s3 = await startS3Double()
    test.teardown(() => s3.close())
    const identity = await generateX25519Identity()
    const workspace = await onlyCold(test, ground, s3, {
      age_recipients: [await identityToRecipient(identity)],
    })
    const { database } = workspace
    destroyAll(database)
    const without = await recover(workspace)
    expectStatus(test, without, 1)
    test.match(
      String(without.json?.['error']),
      /no backup is good: cold \S+: it is encrypted, and its key is not here/,
    )
    test.same(quarantined(database), [])
    const failed = historyRows(workspace, 'SELECT id FROM backups WHERE failed_at IS NOT NULL')
    test.same(failed, [], 'a key that lacks is no damage')
    const ended = await recover(workspace, [], { CANDLEKEEP_AGE_IDENTITY: identity })
    expectStatus(test, ended, 0)
    test.match(ended.json, { recovery: { base: { kind: 'backup', tier: 'cold' } } })
    test.notMatch(ended.stdout + ended.stderr, identity)
    test.equal(checkOf(database), 'ok')
    test.equal(marksIn(database), all)
  })

  await group.test('archived, it is asked for once and waited for, by the next run too', async test => {
    const s3 = await startS3Double({ restoreMs: 3_600_000 })
    test.teardown(() => s3.close())
    const workspace = await onlyCold(test, ground, s3, { storage_class: 'GLACIER' })
    const { database } = workspace
    destroyPage(database)
    // two runs are ended while they wait
    for (let run = 1; run <= 2; run++) {
      const running = workspace.start('db_recovery', ['--yes', '--json'])
      await said(running, 'is archived; it is being brought back')
      test.equal(restoresOf(s3).at(0)?.status, 202)
      running.kill('SIGTERM')
      expectStatus(test, await running.ended, 130)
      test.ok(existsSync(database), 'the damaged database is at its place')
    }
    for (const { restored } of s3.objects()) if (restored) restored.readyAt = 0
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(ended.json, { recovery: { base: { kind: 'backup', tier: 'cold' } } })
    test.same(
      restoresOf(s3).map(({ status }) => status),
      [202],
      'it was asked, and paid, for once',
    )
    test.equal(checkOf(database), 'ok')
    test.equal(marksIn(database), all)
    test.equal(quarantined(database).length, 1, 'runs that came to nothing leave nothing')
  })

  await group.test('a real Swift will do', { skip: skipWithoutSwift() }, async test => {
    const swift = await startSwift(test)
    const workspace = await onlyCold(test, ground, swift, {
      storage_class: 'STANDARD',
      checksums: 'when_required',
      conditional_writes: false,
    })
    destroyAll(workspace.database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(ended.json, { recovery: { base: { kind: 'backup', tier: 'cold' } } })
    test.equal(checkOf(workspace.database), 'ok')
    test.equal(marksIn(workspace.database), all)
  })
})

import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import * as fc from 'fast-check'
import pMap from 'p-map'
import t, { type Test } from 'tap'
import {
  BadCopy,
  idAt,
  type Manifest,
  manifestName,
  readManifest,
  renderManifest,
} from '../scripts/backup/manifest.ts'
import { accessPolicy, actionsFor, coldOf, lifecycleRules } from '../scripts/backup/s3_policy.ts'
import { selfTest } from '../scripts/backup/s3_self_test.ts'
import { NotReadable } from '../scripts/backup/tier.ts'
import { UserError } from '../scripts/job/errors.ts'
import { day, hour } from '../scripts/job/time.ts'
import { type ColdHere, type ColdSettings, coldTierAt, quietly, smallestPart } from './support/cold_tier.ts'
import { checkAsync, runs } from './support/properties.ts'
import { clientOf } from './support/s3/client.ts'
import { type S3Double, type S3DoubleOptions, startS3Double } from './support/s3/double.ts'
import type { S3Fault, S3FaultRule } from './support/s3/faults.ts'
import { Bucket, type StoredObject } from './support/s3/store.ts'
import { skipWithoutSwift, startSwift } from './support/s3/swift.ts'
import { temporaryFolder } from './support/workspace.ts'

// The cold tier, driven directly: against the double for what no server at hand can do and for faults, and against a real
// Swift. Whatever happens, what has a manifest is proven, and what fails says what to do.

const noon = Date.parse('2026-11-24T12:00:00Z')
const id = idAt(noon)
const older = idAt(noon - day)
const oldest = idAt(noon - 2 * day)
const small = randomBytes(5000)
/** In four parts. */
const large = randomBytes(3 * smallestPart + 5000)
const sizes = { small, large }
const prefix = 'candlekeep/'

type Cold = ColdHere & { double: S3Double }
type Patient = Parameters<typeof coldTierAt>[3]

async function coldAt(
  test: Test,
  settings: ColdSettings = {},
  options: S3DoubleOptions & { patient?: Patient } = {},
): Promise<Cold> {
  const double = await doubleFor(test, options)
  return { double, ...coldTierAt(test, double, settings, options.patient) }
}

async function doubleFor(test: Test, options: S3DoubleOptions = {}): Promise<S3Double> {
  const double = await startS3Double({ minPartSize: smallestPart, ...options })
  test.teardown(() => double.close())
  return double
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function objectsOf(double: S3Double): Map<string, StoredObject> {
  return new Map(double.objects().map(object => [object.key.slice(prefix.length), object]))
}

function objectNamed(double: S3Double, name: string): StoredObject {
  const object = objectsOf(double).get(name)
  if (!object) throw new Error(`${name} is not there`)
  return object
}

/** What must hold whatever has happened: what has a manifest is there, and is what the manifest says. */
function proven(double: S3Double): Manifest[] {
  const objects = objectsOf(double)
  const names = [...objects.keys()].filter(name => name.endsWith('.manifest.json'))
  return names.map(name => {
    const manifest = readManifest(String(objects.get(name)?.body), name.replace('.manifest.json', ''))
    const found = objects.get(manifest.stored.file)
    if (!found || sha256(found.body) !== manifest.stored.sha256)
      throw new Error(`${name} has no proven database`)
    return manifest
  })
}

/** The error that it ends with. */
async function failure(promise: Promise<unknown>): Promise<Error & { hint?: string }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not fail')
}

/** That it ends with an error for people, which says what is the matter and what to do. */
async function expectTold(test: Test, promise: Promise<unknown>, what: RegExp, hint: RegExp): Promise<void> {
  const error = await failure(promise)
  test.ok(error instanceof UserError, `it is an error for people: ${error.stack}`)
  test.match(error.message, what)
  test.match(error.hint ?? '', hint)
}

async function drained(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

const done = (double: S3Double, operation: string) =>
  double.requests.filter(request => request.operation === operation && request.status === 200)

await t.test('A database comes back as it was, in one piece or in parts', async group => {
  for (const [name, database] of Object.entries(sizes)) {
    await group.test(name, async test => {
      const { double, tier, put, fetch } = await coldAt(test)
      await tier.prepare(quietly())
      const manifest = await put(id, database)
      test.match(manifest.stored, { compression: 'zstd', encryption: null })
      test.equal(manifest.stored.file, `${id}.${manifest.stored.sha256.slice(0, 8)}.db.zst`)
      test.same(await tier.list(quietly()), { backups: [manifest], broken: [], strange: [] })
      test.ok((await fetch(manifest)).equals(database))
      test.equal(done(double, 'UploadPart').length, name === 'small' ? 0 : 4)

      const { body, ...stored } = objectNamed(double, manifest.stored.file)
      test.match(stored, {
        storageClass: 'GLACIER_IR',
        metadata: { 'candlekeep-id': id, 'candlekeep-sha256': sha256(body) },
        checksum: { algorithm: 'sha256', type: name === 'small' ? 'FULL_OBJECT' : 'COMPOSITE' },
        lock: undefined,
      })
      const last = double.objects().find(({ key }) => key.endsWith('manifest.json'))
      test.match(last, { key: `${prefix}${id}.manifest.json`, storageClass: 'STANDARD' })
      test.equal(String(last?.body), renderManifest(manifest))
      for (const { headers, key } of done(double, name === 'small' ? 'PutObject' : 'CompleteMultipartUpload'))
        test.equal(headers['if-none-match'], '*', `${key} can overwrite nothing`)
      test.equal(double.uploads().length, 0)
      test.same(proven(double), [manifest])
    })
  }
})

await t.test('Its name says where it is, and its policy how long it keeps', async test => {
  const { tier } = await coldAt(test, { retention_days: 30 })
  test.match(tier, { name: 'cold', where: 's3://candlekeep/candlekeep/', policy: { days: 30, hours: 0 } })
})

await t.test('An encrypted database is only for who has its key', async group => {
  const [identity, other] = [await generateX25519Identity(), await generateX25519Identity()]
  const age_recipients = [await identityToRecipient(identity)]
  for (const [name, database] of Object.entries(sizes)) {
    await group.test(name, async test => {
      const { tier, double, put, fetch, scratch } = await coldAt(test, { age_recipients })
      const manifest = await put(id, database)
      test.match(manifest.stored, { compression: 'zstd', encryption: 'age', file: /\.db\.zst\.age$/ })
      test.match(
        String(objectNamed(double, manifest.stored.file).body.subarray(0, 21)),
        'age-encryption.org/v1',
      )
      test.strictSame(readdirSync(scratch), [`${id}.db.zst`], 'what was sent is gone from the scratch folder')
      test.ok((await fetch(manifest, identity)).equals(database))
      test.ok((await fetch(manifest, `# a comment\n${other}\n${identity}\n`)).equals(database))

      const wrong = await failure(fetch(manifest, other))
      test.ok(wrong instanceof NotReadable, 'with another key it can only not be read')
      test.match(wrong.message, /it cannot be decrypted with the identity that is here/)
      await expectTold(
        test,
        fetch(manifest, 'nonsense'),
        /age_identity_env: the identity is no key of age/,
        /age-keygen/,
      )
      objectNamed(double, manifest.stored.file).body[30]! ^= 1
      test.ok((await failure(fetch(manifest, other))) instanceof BadCopy, 'damage is told from a wrong key')
      test.ok((await failure(fetch(manifest, identity))) instanceof BadCopy)
      tier.close()
    })
  }
  await group.test('for nobody, where a recipient is no key', async test => {
    const { put, double } = await coldAt(test, { age_recipients: ['age1nonsense'] })
    await expectTold(test, put(id, small), /age1nonsense is no key of age/, /age-keygen/)
    test.equal(double.objects().length, 0)
  })
})

await t.test(
  'With Object Lock, nothing can be removed before its time, by the clock of the service',
  async test => {
    let ahead = 0
    const options = { objectLock: true, now: () => Date.now() + ahead }
    const { double, tier, put } = await coldAt(
      test,
      { object_lock: 'COMPLIANCE', retention_days: 40 },
      options,
    )
    ahead = 9 * day
    await tier.prepare(quietly())
    const manifests = [await put(id, large), await put(older, small)]
    for (const { key, lock } of double.objects()) {
      test.equal(lock?.mode, 'COMPLIANCE', `${key} is locked`)
      const until = Date.parse(lock?.retainUntil ?? '') - Date.now()
      test.ok(Math.abs(until - 49 * day) < hour, 'for as long as it is kept')
    }
    for (const manifest of manifests) await tier.remove(manifest, quietly())
    test.same(await tier.list(quietly()), { backups: [], broken: [], strange: [] })
    test.equal(
      double.versions().filter(version => !version.deleted).length,
      4,
      'all is still there, under marks',
    )
    test.same(proven(double), [])
    test.equal((await put(id, large)).id, id, 'and its name is free again')
  },
)

await t.test('An object that is not locked although it should be does not count', async test => {
  const { double, put } = await coldAt(test, { object_lock: 'GOVERNANCE' })
  await expectTold(test, put(id, small), /the bucket cannot lock objects/, /object_lock to null/)
  await expectTold(test, put(id, large), /the bucket cannot lock objects/, /object_lock to null/)
  test.equal(double.uploads().length + double.objects().length, 0)
})

await t.test('A backup that is removed is gone, and can be removed again', async test => {
  const { double, tier, put } = await coldAt(test)
  const [first, second] = [await put(id, small), await put(older, large)]
  const order: string[] = []
  double.requests.length = 0
  for (let round = 0; round < 2; round++) await tier.remove(first, quietly())
  for (const { operation, key } of double.requests) order.push(`${operation} ${key.slice(prefix.length)}`)
  test.strictSame(order.slice(0, 2), [
    `DeleteObject ${manifestName(id)}`,
    `DeleteObject ${first.stored.file}`,
  ])
  test.same(await tier.list(quietly()), { backups: [second], broken: [], strange: [] })
  test.same(proven(double), [second])
})

await t.test('A removal that is killed leaves no backup that looks whole', async test => {
  const { double, tier, put } = await coldAt(test)
  const manifest = await put(id, small)
  double.setFaults([
    { when: { operation: 'DeleteObject', key: /zst$/ }, do: { kind: 'error', code: 'AccessDenied' } },
  ])
  await expectTold(test, tier.remove(manifest, quietly()), /DeleteObject needs s3:DeleteObject/, /--policy/)
  test.same(await tier.list(quietly()), { backups: [], broken: [], strange: [manifest.stored.file] })
})

// What goes wrong with the service. Each fault befalls a small and a large database.

const data = /\.db\.zst$/
const write: S3FaultRule['when'] = { operation: ['PutObject', 'CompleteMultipartUpload'], key: data }
const sends: S3FaultRule['when'] = { operation: ['PutObject', 'UploadPart'], key: data }
const isManifest = /manifest\.json$/

/** For what stalls; on a machine that is busy otherwise, anything may seem to. */
const brief = { idleMs: 1000 }

type Case = {
  do: S3Fault
  when?: S3FaultRule['when']
  settings?: ColdSettings
  /** What it ends with; without it, with a proven copy; with `either`, the one or the other. */
  told?: [what: RegExp, hint: RegExp]
  either?: true
  /** Only for a database in parts. */
  inParts?: true
}

const notWell: [RegExp, RegExp] = [/the service is not well: 503/, /tries again/]
const noAnswer: [RegExp, RegExp] = [/cannot be reached: no answer in time/, /backup\.cold\.endpoint/]
const brokeOff: [RegExp, RegExp] = [/the connection broke off \(E\w+\)/, /tries again/]
const everyOther = { every: 2, nth: 1, times: 99 }
const badlyStored: [RegExp, RegExp] = [/was not stored as it was sent/, /does not count/]
const whenRequired = { checksums: 'when_required' } as const

const faults: Record<string, Case> = {
  'a part of it is stored, and told as if it were all': {
    do: { kind: 'truncateStored', tells: 'sent' },
    when: write,
    told: [/\d+ bytes instead of \d+/, /does not count/],
  },
  'a part of it is stored': { do: { kind: 'truncateStored' }, when: write, told: badlyStored },
  'nothing of it is stored': { do: { kind: 'truncateStored', keep: 0 }, when: write, told: badlyStored },
  'a part of it is stored, without checksums': {
    do: { kind: 'truncateStored', tells: 'sent' },
    when: write,
    settings: whenRequired,
    told: badlyStored,
  },
  'a bit of it flips at rest, without checksums': {
    do: { kind: 'flipStored' },
    when: write,
    settings: whenRequired,
    told: [/read back, and its SHA-256 is another/, /does not count/],
  },
  'a bit of it flips as it is read back': {
    do: { kind: 'flipAnswer' },
    when: { operation: 'GetObject', key: data },
    settings: whenRequired,
    told: [/read back, and its SHA-256 is another/, /does not count/],
  },
  'a bit of its manifest flips at rest': {
    do: { kind: 'flipStored' },
    when: { operation: 'PutObject', key: isManifest },
    told: [/manifest\.json was not stored as it was sent: it was read back/, /does not count/],
  },
  'a part of its manifest is stored': {
    do: { kind: 'truncateStored', tells: 'sent' },
    when: { operation: 'PutObject', key: isManifest },
    told: [/manifest\.json was not stored as it was sent/, /does not count/],
  },
  'the service knows no checksums': { do: { kind: 'ignoreChecksums' } },
  'the service cannot write on condition': {
    do: { kind: 'refuseIfNoneMatch' },
    told: [/If-None-Match/, /conditional_writes to false/],
  },
  'it is overloaded for a moment': {
    do: { kind: 'error', code: 'SlowDown' },
    when: { every: 3, nth: 2, times: 99 },
  },
  'it is overloaded': { do: { kind: 'error', code: 'SlowDown' }, when: sends, told: notWell },
  // of parts that are on their way together, all tries of one may be those that fail
  'every other request fails': {
    do: { kind: 'error', code: 'InternalError' },
    when: everyOther,
    told: [/not well: 500/, /tries again/],
    either: true,
  },
  'every other answer is lost': {
    do: { kind: 'loseAnswer' },
    when: everyOther,
    told: brokeOff,
    either: true,
  },
  'every other answer stalls': {
    do: { kind: 'stallAnswer' },
    when: everyOther,
    told: noAnswer,
    either: true,
  },
  'every other request is cut short': {
    do: { kind: 'cutRequest' },
    when: everyOther,
    told: brokeOff,
    either: true,
  },
  'the last answer is always lost': { do: { kind: 'loseAnswer' }, when: write },
  'the last answer always stalls': { do: { kind: 'stallAnswer' }, when: write, told: noAnswer, either: true },
  'the last answer is always cut short': { do: { kind: 'cutAnswer' }, when: write },
  'the answer to its manifest is always lost': {
    do: { kind: 'loseAnswer' },
    when: { operation: 'PutObject', key: isManifest },
  },
  'its uploads always stall': { do: { kind: 'stall' }, when: sends, told: noAnswer },
  'its uploads are always cut short': {
    do: { kind: 'cutRequest' },
    when: sends,
    told: brokeOff,
  },
  'an error comes with status 200': {
    do: { kind: 'errorIn200', code: 'InternalError' },
    when: { operation: 'CompleteMultipartUpload', nth: 1 },
    inParts: true,
  },
  'an error always comes with status 200': {
    do: { kind: 'errorIn200', code: 'InternalError' },
    when: { operation: 'CompleteMultipartUpload' },
    inParts: true,
    told: notWell,
  },
  'the beginning of the upload is forgotten': {
    do: { kind: 'loseAnswer' },
    when: { operation: 'CreateMultipartUpload', nth: 1 },
    inParts: true,
  },
  'others write at the same moment': {
    do: { kind: 'error', code: 'ConditionalRequestConflict' },
    when: { ...write, nth: 1 },
  },
  'others write all the time': {
    do: { kind: 'error', code: 'ConditionalRequestConflict' },
    when: write,
    told: [/others write the same objects/, /backup\.cold\.prefix/],
  },
  'it may not be uploaded': {
    do: { kind: 'error', code: 'AccessDenied', early: true },
    when: sends,
    told: [/(PutObject|UploadPart) needs s3:PutObject/, /--policy/],
  },
  'it may not be looked at': {
    do: { kind: 'error', code: 'AccessDenied' },
    when: { operation: 'HeadObject' },
    told: [/HeadObject needs s3:GetObject/, /--policy/],
  },
  'the checksum is refused': {
    do: { kind: 'error', code: 'BadDigest' },
    when: sends,
    told: [/BadDigest/, /checksums to "when_required"/],
  },
  'there is no such storage class': {
    do: { kind: 'error', code: 'InvalidStorageClass' },
    when: { operation: ['PutObject', 'CreateMultipartUpload'], key: data },
    told: [/does not have the storage class/, /storage_class to "STANDARD"/],
  },
  'what failed cannot be taken back': {
    do: { kind: 'error', code: 'AccessDenied' },
    when: { operation: ['UploadPart', 'AbortMultipartUpload'] },
    inParts: true,
    told: [/UploadPart needs s3:PutObject/, /--policy/],
  },
}

await t.test(
  'Whatever goes wrong as it is stored, it ends with a proven copy or says what to do',
  { jobs: 8 },
  async group => {
    for (const [name, fault] of Object.entries(faults)) {
      for (const [size, database] of Object.entries(sizes)) {
        if (fault.inParts && size === 'small') continue
        void group.test(`${name}: ${size}`, { buffered: true }, test => suffer(test, fault, database))
      }
    }
  },
)

async function suffer(test: Test, fault: Case, database: Buffer): Promise<void> {
  const { do: what, when, settings, told = [/never/, /never/], either } = fault
  const patient = what.kind.startsWith('stall') ? brief : {}
  const { double, tier, put, fetch } = await coldAt(test, settings, { patient })
  const rules = double.setFaults([{ do: what, ...(when ? { when } : {}) }])
  const ended = await put(id, database).catch((error: unknown) => error)
  if (!either) test.equal(ended instanceof Error, fault.told !== undefined, 'it ends as it should')
  if (ended instanceof Error) {
    await expectTold(test, Promise.reject(ended), ...told)
    if (!either) test.same(proven(double), [], 'and nothing counts')
  } else {
    test.same(proven(double), [ended])
    test.ok((await fetch(ended as Manifest)).equals(database))
  }
  const happened = rules.every(({ fired }) => fired > 0)
  test.ok(happened, 'the fault happened')
  double.setFaults([])
  await tier.prepare(quietly())
  test.equal(double.uploads().length, 0, 'nothing of an upload is left when the next run has begun')
  test.same([await put(id, database)], proven(double), 'which completes it')
}

/** Does something just before each request, of that kind where one is given, is carried out. */
function before(double: S3Double, operation: string | undefined, action: () => void): void {
  double.requests.push = record => {
    double.requests[double.requests.length] = record
    if (operation === undefined || record.operation === operation) action()
    return double.requests.length
  }
}

await t.test('What the service says of a database has to be as it should, or it goes again', async group => {
  const cases: Record<
    string,
    { change: (object: StoredObject) => void; told: RegExp; settings?: ColdSettings }
  > = {
    length: { change: object => (object.body = Buffer.from('short')), told: /it has 5 bytes instead of/ },
    checksum: {
      change: object => Object.assign(object.checksum ?? {}, { value: `${'A'.repeat(43)}=` }),
      told: /its SHA-256 is another than that of what was sent/,
    },
    'storage class': {
      change: object => (object.storageClass = 'STANDARD'),
      told: /its storage class is STANDARD instead of GLACIER_IR/,
    },
    metadata: {
      change: object => (object.metadata['candlekeep-sha256'] = sha256(small)),
      told: /it is another object of that name/,
    },
    lock: {
      change: object => (object.lock = undefined),
      told: /it is not locked \(COMPLIANCE\)/,
      settings: { object_lock: 'COMPLIANCE' },
    },
    'being there': { change: () => undefined, told: /it is not there/ },
  }
  for (const [name, { change, told, settings = {} }] of Object.entries(cases)) {
    for (const [size, database] of Object.entries(sizes)) {
      await group.test(`${name}: ${size}`, async test => {
        const { double, put } = await coldAt(test, settings, {
          objectLock: settings.object_lock !== undefined,
        })
        const bucket = double.store.buckets.get(double.bucket)
        before(double, 'HeadObject', () => {
          for (const object of double.objects()) {
            if (name === 'being there') bucket?.remove(object.key, 'null')
            else change(object)
          }
        })
        await expectTold(test, put(id, database), told, /./)
        test.equal(double.objects().length, 0)
      })
    }
  }
})

await t.test('The parts of an upload that fails go at once', async test => {
  const { double, put } = await coldAt(test)
  double.setFaults([
    { when: { operation: 'UploadPart', nth: 3 }, do: { kind: 'error', code: 'AccessDenied' } },
  ])
  await expectTold(test, put(id, large), /UploadPart needs s3:PutObject/, /--policy/)
  test.equal(double.uploads().length, 0)
})

await t.test('What another host removes while it is listed is not broken', async test => {
  const { double, tier, put } = await coldAt(test)
  await put(id, small)
  const bucket = double.store.buckets.get(double.bucket)
  before(double, 'GetObject', () => bucket?.remove(prefix + manifestName(id), 'null'))
  const { backups, broken } = await tier.list(quietly())
  test.same({ backups, broken }, { backups: [], broken: [] })
})

await t.test('Whatever comes together, what has a manifest is proven', async test => {
  const kinds: S3Fault[] = [
    { kind: 'error', code: 'SlowDown' },
    { kind: 'error', code: 'InternalError' },
    { kind: 'error', code: 'ConditionalRequestConflict' },
    { kind: 'error', code: 'AccessDenied' },
    { kind: 'loseAnswer' },
    { kind: 'cutRequest' },
    { kind: 'cutAnswer' },
    { kind: 'truncateStored' },
    { kind: 'truncateStored', tells: 'sent' },
    { kind: 'flipStored' },
    { kind: 'refuseIfNoneMatch' },
    { kind: 'ignoreChecksums' },
  ]
  const rule = fc.record({
    fault: fc.constantFrom(...kinds),
    nth: fc.integer({ min: 1, max: 12 }),
    every: fc.integer({ min: 1, max: 4 }),
    times: fc.integer({ min: 1, max: 6 }),
  })
  const rules = fc.array(rule, { minLength: 1, maxLength: 4 })
  // that a service tells the right checksum of what it stores wrongly is not to be found out but by reading
  const readsBack = { checksums: 'when_required', storage_class: 'STANDARD' } as const
  const { double, tier, put, fetch } = await coldAt(test, readsBack, {
    patient: { attempts: 2 },
  })
  await checkAsync(
    fc.asyncProperty(rules, fc.constantFrom('small', 'large'), async (chosen, size) => {
      double.store.buckets.set(double.bucket, new Bucket(double.bucket, false))
      double.setFaults(chosen.map(({ fault, ...when }) => ({ when, do: fault })))
      const ended = await put(id, sizes[size]).catch((error: unknown) => error)
      double.setFaults([])
      if (ended instanceof Error && !(ended instanceof UserError || ended instanceof NotReadable)) throw ended
      await tier.prepare(quietly())
      if (double.uploads().length > 0) throw new Error('an upload is left')
      // a manifest that was badly stored and could not be taken back is listed as broken
      const { backups } = await tier.list(quietly())
      if (!(ended instanceof Error) && backups.length !== 1) throw new Error('it does not count')
      for (const manifest of [...backups, await put(older, sizes[size])])
        if (!(await fetch(manifest)).equals(sizes[size])) throw new Error('another database came back')
    }),
    runs(15),
  )
})

await t.test('Told to stop at any request, it stops, and leaves nothing', async test => {
  const { double, tier, put } = await coldAt(test)
  let requests = 1
  for (let isDone = false; !isDone; requests++) {
    const stop = new AbortController()
    const reason = new Error(`at request ${requests}`)
    onRequest(double, requests, () => stop.abort(reason))
    const ended = await put(id, large, quietly(stop.signal)).catch((error: unknown) => error)
    isDone = !(ended instanceof Error)
    if (!isDone) test.equal(ended, reason, reason.message)
    await tier.prepare(quietly())
    test.equal(double.uploads().length, 0)
    for (const manifest of proven(double)) await tier.remove(manifest, quietly())
  }
  test.ok(requests > 8, 'each of them was tried')
})

/** Does something as soon as so many requests have come from now on. */
function onRequest(double: S3Double, count: number, action: () => void): void {
  double.requests.length = 0
  before(double, undefined, () => {
    if (double.requests.length === count) action()
  })
}

const putCold = fileURLToPath(new URL('support/put_cold.mts', import.meta.url))

await t.test(
  'Killed at any request, it leaves no unproven manifest, and no parts for long',
  { jobs: 2 },
  async group => {
    // the code of the processes is compiled once
    const env = { ...process.env, NODE_COMPILE_CACHE: temporaryFolder(group) }
    const start = (here: Cold) => {
      const file = join(here.scratch, 'database')
      writeFileSync(file, large)
      const args = [putCold, file, id, here.scratch]
      return spawn(process.execPath, args, {
        env: { ...env, CANDLEKEEP_CONFIG: here.config.file },
        stdio: 'inherit',
      })
    }
    const whole = await coldAt(group)
    const [status] = await once(start(whole), 'close')
    group.equal(status, 0)
    const requests = whole.double.requests.length
    group.ok(requests > 7)
    for (let request = 1; request <= requests; request++) {
      void group.test(`request ${request} of ${requests}`, { buffered: true }, async test => {
        const here = await coldAt(test)
        const { double, tier, put } = here
        const child = start(here)
        onRequest(double, request, () => child.kill('SIGKILL'))
        const [, signal] = await once(child, 'close')
        test.equal(signal, 'SIGKILL')
        test.ok(proven(double).length <= 1)
        await tier.prepare(quietly())
        test.equal(double.uploads().length, 0)
        test.same([await put(id, large)], proven(double), 'and the next run completes it')
      })
    }
  },
)

await t.test('What a killed run has uploaded is proven and used by the next', async test => {
  const { double, tier, put } = await coldAt(test)
  const first = await put(id, large)
  const bucket = double.store.buckets.get(double.bucket)
  bucket?.remove(prefix + manifestName(id), 'null')
  const uploaded = objectNamed(double, first.stored.file)
  test.same(await put(id, large), first)
  test.equal(objectNamed(double, first.stored.file), uploaded, 'it was not sent again')

  bucket?.remove(prefix + manifestName(id), 'null')
  uploaded.body = uploaded.body.subarray(1)
  test.same(await put(id, large), first)
  test.not(objectNamed(double, first.stored.file), uploaded, 'what could not be proven was sent again')
  test.same(proven(double), [first])
  tier.close()
})

await t.test('What is there is never overwritten', async group => {
  for (const settings of [{}, { conditional_writes: false }]) {
    await group.test(JSON.stringify(settings), async test => {
      const { double, put } = await coldAt(test, settings)
      const first = await put(id, small)
      const told: [RegExp, RegExp] = [
        /is there already, and is that of another database/,
        /backup\.cold\.prefix/,
      ]
      await expectTold(test, put(id, large), ...told)
      test.same(proven(double), [first])
      test.same(await put(id, small), first, 'the same is no trouble')
      const both = await Promise.allSettled([put(older, small), put(older, large)])
      test.ok(both.some(({ status }) => status === 'fulfilled'))
      test.same(proven(double).length, 2, 'and of two at once, one wins')
    })
  }
})

// What is left over by others and by earlier runs.

await t.test('Leftovers go when it is certain whose they are, and that they are dead', async test => {
  const { double, tier, put } = await coldAt(test)
  const client = clientOf(test, double)
  const foreign = {
    young: `${older}.aaaaaaaa.db.zst`,
    old: `${oldest}.bbbbbbbb.db.zst`,
    other: 'reports.zip',
  }
  for (const name of Object.values(foreign))
    await client.send(new CreateMultipartUploadCommand({ Bucket: double.bucket, Key: prefix + name }))
  for (const upload of double.uploads())
    if (!upload.key.includes(foreign.young)) upload.initiated -= day + hour
  await tier.prepare(quietly())
  const left = double.uploads().map(({ key }) => key.slice(prefix.length))
  test.strictSame(left.toSorted(), [foreign.young, foreign.other].toSorted(), 'uploads')

  const whole = await put(id, large)
  const damaged = await put(older, small)
  const lost = await put(oldest, small)
  const forgotten = await put(idAt(noon - 3 * day), small)
  const young = await put(idAt(noon - 4 * day), small)
  const bucket = double.store.buckets.get(double.bucket)
  for (const { id: name } of [forgotten, young]) bucket?.remove(prefix + manifestName(name), 'null')
  bucket?.remove(prefix + lost.stored.file, 'null')
  objectNamed(double, manifestName(older)).body[20]! ^= 1
  await copyObject(double, whole.stored.file, `${id}.cccccccc.db.zst`)
  await copyObject(double, damaged.stored.file, `${older}.dddddddd.db.zst`)
  await copyObject(double, forgotten.stored.file, `${idAt(noon - 5 * day)}.eeeeeeee.db.zst`)
  for (const object of double.objects())
    if (!object.key.includes(young.stored.file)) object.lastModified -= day + hour
  const had = new Set(objectsOf(double).keys())
  await tier.prepare(quietly())
  const after = new Set(objectsOf(double).keys())
  const gone = [...had].filter(name => !after.has(name))
  test.strictSame(
    gone.toSorted(),
    [forgotten.stored.file, `${id}.cccccccc.db.zst`].toSorted(),
    'what no manifest names goes; not what a damaged one may name, what is young, or what has the name of another',
  )
})

await t.test('No run is older than what is taken for dead', test => {
  const schema = readFileSync(new URL('../conf/cheat_sheet.schema.json', import.meta.url), 'utf8')
  const { maximum } = JSON.parse(schema).properties.backup.properties.timeout_minutes
  test.ok(maximum * 60_000 <= day)
  test.end()
})

await t.test('A service that cannot list uploads can be written to all the same', async test => {
  const { double, tier } = await coldAt(test)
  double.setFaults([
    { when: { operation: 'ListMultipartUploads' }, do: { kind: 'error', code: 'NotImplemented' } },
  ])
  await tier.prepare(quietly())
})

async function copyObject(double: S3Double, from: string, to: string): Promise<void> {
  const object = objectNamed(double, from)
  double.store.buckets.get(double.bucket)?.add({ ...object, key: prefix + to })
}

// What is found there.

await t.test(
  'The newest come first, foreign objects are not looked at, and more than a page is listed',
  async test => {
    const { double, tier, put } = await coldAt(test)
    const manifests = [await put(older, small), await put(id, small), await put(oldest, small)]
    const bucket = double.store.buckets.get(double.bucket)
    const strange = objectNamed(double, manifests[0]?.stored.file ?? '')
    for (let n = 0; n < 1100; n++) bucket?.add({ ...strange, key: `${prefix}aaa-${n}` })
    for (const name of [
      'agent_backup_2026-02-30_00-00-00.manifest.json',
      `deeper/${manifestName(id)}`,
      'x.manifest.json',
    ])
      bucket?.add({ ...strange, key: prefix + name })
    bucket?.add({ ...strange, key: manifestName(id) })
    double.requests.length = 0
    const { backups, broken } = await tier.list(quietly())
    test.strictSame(
      backups.map(backup => backup.id),
      [id, older, oldest],
    )
    test.same(broken, [])
    test.equal(done(double, 'ListObjectsV2').length, 2)
    test.equal(done(double, 'GetObject').length, 3)
  },
)

await t.test('What is not whole is listed as broken, and why', async test => {
  const { double, tier, put } = await coldAt(test)
  const bucket = double.store.buckets.get(double.bucket)
  const ids = Array.from({ length: 7 }, (_, n) => idAt(noon - n * day))
  const manifests: Manifest[] = []
  for (const name of ids) manifests.push(await put(name, small))
  const at = (n: number) => manifests[n] as Manifest
  const replace = (n: number, body: string) =>
    (objectNamed(double, manifestName(at(n).id)).body = Buffer.from(body))
  bucket?.remove(prefix + at(0).stored.file, 'null')
  objectNamed(double, at(1).stored.file).body = Buffer.from('short')
  replace(2, renderManifest(at(2)).replace('trades', 'trader'))
  replace(3, renderManifest(at(4)))
  replace(5, renderManifest({ ...at(5), stored: { ...at(5).stored, file: 'somebody_elses.zip' } }))
  replace(6, 'x'.repeat(2_000_000))
  objectNamed(double, manifestName(at(4).id)).storageClass = 'DEEP_ARCHIVE'
  const { backups, broken } = await tier.list(quietly())
  test.same(backups, [])
  const found = new Map(broken.map(({ name, why }) => [name, why]))
  const expected = [
    /its database is not there/,
    /its database has 5 bytes instead of \d+/,
    /its manifest is damaged/,
    /its manifest is that of agent_backup_2026-11-20/,
    /it is archived \(DEEP_ARCHIVE\)/,
    /its manifest is about somebody_elses\.zip/,
    /its manifest is damaged/,
  ]
  for (const [n, pattern] of expected.entries()) test.match(found.get(manifestName(at(n).id)) ?? '', pattern)
})

await t.test('A listing that fails is no empty listing', async test => {
  const { double, tier, put } = await coldAt(test, {}, { patient: { ...brief, attempts: 2 } })
  await put(id, small)
  for (const operation of ['ListObjectsV2', 'GetObject'] as const) {
    double.setFaults([{ when: { operation }, do: { kind: 'error', code: 'AccessDenied' } }])
    await expectTold(test, tier.list(quietly()), /access is denied/, /--policy/)
    double.setFaults([{ when: { operation }, do: { kind: 'stall' } }])
    await expectTold(test, tier.list(quietly()), /cannot be reached: no answer in time/, /endpoint/)
    double.setFaults([{ when: { operation }, do: { kind: 'cutAnswer' } }])
    const ended = await tier.list(quietly()).catch((error: unknown) => error)
    test.ok(
      ended instanceof UserError || (ended as { broken: unknown[] }).broken.length === 1,
      'or one that is whole',
    )
  }
})

await t.test('Any byte that is flipped is found, and a database that was swapped', async test => {
  const identity = await generateX25519Identity()
  const settings = { age_recipients: [await identityToRecipient(identity)] }
  const places = [await coldAt(test), await coldAt(test, settings)]
  const copies = await Promise.all(
    places.map(async here => ({
      here,
      manifests: [await here.put(id, small), await here.put(older, large)],
    })),
  )
  const position = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  await checkAsync(
    fc.asyncProperty(
      fc.constantFrom(...copies),
      fc.integer({ min: 0, max: 1 }),
      fc.boolean(),
      position,
      fc.integer({ min: 1, max: 255 }),
      async ({ here, manifests }, which, inManifest, where, change) => {
        const { double, tier, fetch } = here
        const manifest = manifests[which] as Manifest
        const object = objectNamed(double, inManifest ? manifestName(manifest.id) : manifest.stored.file)
        const at = Math.floor(where * object.body.length)
        object.body[at]! ^= change
        try {
          const { backups, broken } = await tier.list(quietly())
          if (inManifest && (broken.length !== 1 || backups.length !== 1))
            throw new Error('not found by list')
          if (!inManifest && !((await failure(fetch(manifest, identity))) instanceof BadCopy))
            throw new Error(`not found by reading, at ${at}`)
        } finally {
          object.body[at]! ^= change
        }
      },
    ),
    runs(80),
  )
  for (const { here, manifests } of copies) {
    const [one, other] = manifests as [Manifest, Manifest]
    const [a, b] = [one, other].map(({ stored }) => objectNamed(here.double, stored.file)) as [
      StoredObject,
      StoredObject,
    ]
    ;[a.body, b.body] = [b.body, a.body]
    test.equal((await here.tier.list(quietly())).broken.length, 2, 'by their sizes')
    test.ok((await failure(here.fetch(one, identity))) instanceof BadCopy)
    ;[a.body, b.body] = [b.body, a.body]
    a.body = a.body.subarray(0, -1)
    test.ok((await failure(here.fetch(one, identity))) instanceof BadCopy, 'a truncated one too')
  }
})

await t.test('A connection that is cut short is no damage: the rest is asked for', async test => {
  const { double, tier, put, fetch } = await coldAt(test, {}, { patient: { ...brief, attempts: 2 } })
  const manifest = await put(id, large)
  const read = { operation: 'GetObject', key: data } as const
  for (const kind of ['cutAnswer', 'stallAnswer'] as const) {
    double.setFaults([{ when: { ...read, nth: 1, times: 3 }, do: { kind } }])
    test.ok((await fetch(manifest)).equals(large))
    double.setFaults([{ when: read, do: { kind } }])
    const error = await failure(fetch(manifest))
    test.ok(error instanceof NotReadable)
    test.match(error.message, /the connection broke off after \d+ of \d+ bytes/)
  }
  double.setFaults([
    { when: { ...read, nth: 1 }, do: { kind: 'cutAnswer' } },
    { when: { ...read, nth: 2 }, do: { kind: 'error', code: 'AccessDenied' } },
    { when: { ...read, nth: 3 }, do: { kind: 'error', code: 'SlowDown' } },
  ])
  test.ok((await fetch(manifest)).equals(large), 'whatever comes between')
  double.setFaults([{ when: read, do: { kind: 'flipAnswer' } }])
  test.ok((await failure(fetch(manifest))) instanceof BadCopy, 'a flipped bit is damage')
  double.setFaults([])
  const stop = new AbortController()
  const stream = await tier.read(manifest, quietly(stop.signal))
  stop.abort(new Error('enough'))
  test.match(await failure(drained(stream)), { message: 'enough' })
  const unread = await tier.read(manifest, quietly())
  unread.destroy()
})

await t.test('What is archived can only not be read now, and what is not there is bad', async test => {
  const { tier, put, fetch } = await coldAt(test, { storage_class: 'DEEP_ARCHIVE' })
  const manifest = await put(id, large)
  const error = await failure(fetch(manifest))
  test.ok(error instanceof NotReadable)
  test.match(error.message, /archived \(DEEP_ARCHIVE\): .*restore-object.*12 hours/)
  test.same((await tier.list(quietly())).backups, [manifest], 'but it can be listed')
  await tier.remove(manifest, quietly())
  test.ok((await failure(fetch(manifest))) instanceof BadCopy)
})

await t.test('What could never be proven is refused before anything is sent', async test => {
  const { double, tier, put } = await coldAt(test, { checksums: 'when_required', storage_class: 'GLACIER' })
  for (const attempt of [() => tier.prepare(quietly()), () => put(id, small)])
    await expectTold(test, attempt(), /cannot be proven/, /checksums to "when_supported"/)
  test.equal(double.requests.length, 0)
})

await t.test('An archive that tells no checksum proves nothing', async test => {
  const { double, put } = await coldAt(test, { storage_class: 'GLACIER' })
  double.setFaults([{ do: { kind: 'ignoreChecksums' } }])
  await expectTold(test, put(id, small), /tells no checksum/, /"GLACIER_IR"/)
  test.equal(double.objects().length, 0)
})

// What people are told.

await t.test('What keeps it from the bucket is said, and what to do about it', async group => {
  const double = await doubleFor(group)
  const keys = double.env
  const cases: Record<
    string,
    { settings?: ColdSettings; env?: Record<string, string>; fault?: S3Fault; told: [RegExp, RegExp] }
  > = {
    'no credentials': { env: {}, told: [/no credentials/, /AWS_ACCESS_KEY_ID/] },
    'an unknown key': {
      env: { ...keys, AWS_ACCESS_KEY_ID: 'nobody' },
      told: [/does not know the access key/, /ACCESS_KEY_ID/],
    },
    'a wrong secret': {
      env: { ...keys, AWS_SECRET_ACCESS_KEY: 'no' },
      told: [/secret key is not that/, /SECRET_ACCESS_KEY/],
    },
    'no permission': {
      fault: { kind: 'error', code: 'AccessDenied' },
      told: [/ListObjectsV2 needs s3:ListBucket/, /backup\.mts --policy/],
    },
    'no bucket': { settings: { bucket: 'no-such-bucket' }, told: [/no such bucket/, /backup\.cold\.bucket/] },
    'another region': {
      settings: { region: 'eu-west-1' },
      told: [/not in eu-west-1/, /backup\.cold\.region to "us-east-1"/],
    },
    'nobody there': {
      settings: { endpoint: 'http://127.0.0.1:1' },
      told: [/cannot be reached: ECONNREFUSED/, /endpoint/],
    },
    'no such host': {
      settings: { endpoint: 'http://nowhere.invalid', path_style: false },
      told: [/cannot be reached: E\w+/, /endpoint/],
    },
    'no TLS there': {
      settings: { endpoint: double.url.replace('http:', 'https:') },
      told: [/TLS is not right/, /NODE_EXTRA_CA_CERTS/],
    },
    'another time': {
      fault: { kind: 'error', code: 'RequestTimeTooSkewed' },
      told: [/clock of this machine is wrong/, /timedatectl/],
    },
    overloaded: { fault: { kind: 'error', code: 'SlowDown' }, told: notWell },
    'in trouble': { fault: { kind: 'error', code: 'InternalError' }, told: [/not well: 500/, /tries again/] },
    'no answer': { fault: { kind: 'stall' }, told: noAnswer },
    'something else': {
      fault: { kind: 'error', code: 'KeyTooLongError' },
      told: [/ListObjectsV2 failed: KeyTooLongError/, /--self-test/],
    },
  }
  for (const [name, { settings = {}, env = keys, fault, told }] of Object.entries(cases)) {
    await group.test(name, async test => {
      const { tier } = coldTierAt(test, double, settings, {
        env,
        ...(fault?.kind === 'stall' ? brief : {}),
        attempts: 2,
      })
      double.setFaults(fault ? [{ do: fault }] : [])
      await expectTold(test, tier.prepare(quietly()), ...told)
      await expectTold(test, tier.list(quietly()), ...told)
    })
  }

  const answers: Record<
    string,
    { status: number; headers?: Record<string, string>; body: string; told: [RegExp, RegExp] }
  > = {
    'a web page': {
      status: 200,
      body: '<html><body>Hello<br></body></html>',
      told: [/does not speak the language of S3/, /endpoint/],
    },
    'a redirect': {
      status: 301,
      headers: { 'x-amz-bucket-region': 'eu-central-1' },
      body: '<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>',
      told: [/not in us-east-1/, /region to "eu-central-1"/],
    },
    'another clock': {
      status: 403,
      headers: { date: new Date(Date.now() + 2 * hour).toUTCString() },
      body: '<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>',
      told: [/clock of this machine is wrong: it is 2 h from that of the service/, /timedatectl/],
    },
    'an old session': {
      status: 400,
      body: '<Error><Code>ExpiredToken</Code><Message>old</Message></Error>',
      told: [/credentials have expired/, /AWS_SESSION_TOKEN/],
    },
  }
  for (const [name, { status, headers = {}, body, told }] of Object.entries(answers)) {
    await group.test(name, async test => {
      const server = createServer((_, answer) => answer.writeHead(status, headers).end(body))
      await once(server.listen(0, '127.0.0.1'), 'listening')
      test.teardown(() => server.close())
      const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const { tier } = coldTierAt(test, double, { endpoint }, { attempts: 1 })
      await expectTold(test, tier.prepare(quietly()), ...told)
      tier.close()
    })
  }
})

await t.test('Who is told to stop before it begins does nothing', async test => {
  const { double, tier } = await coldAt(test)
  const reason = new Error('no')
  test.equal(await failure(tier.prepare(quietly(AbortSignal.abort(reason)))), reason)
  test.equal(double.requests.length, 0)
})

await t.test('The policy allows every request that was ever made here, and nothing else', async test => {
  const { double, tier, put, config } = await coldAt(
    test,
    { object_lock: 'COMPLIANCE' },
    { objectLock: true },
  )
  await tier.prepare(quietly())
  const manifest = await put(id, large)
  await tier.list(quietly())
  await drained(await tier.read(manifest, quietly()))
  await tier.remove(manifest, quietly())
  await selfTest(config, quietly())
  const cold = coldOf(config)
  const operations = [...new Set(double.requests.map(({ operation }) => operation as string))]
  const needed = new Set(operations.flatMap(operation => actionsFor(operation, cold)))
  test.ok(operations.every(operation => actionsFor(operation, cold).length > 0))
  const allowed = new Set(accessPolicy(cold).Statement.flatMap(({ Action }) => Action))
  test.strictSame(
    [...allowed].toSorted(),
    [...needed, 's3:AbortMultipartUpload', 's3:GetObjectRetention', 's3:RestoreObject'].toSorted(),
  )
  test.strictSame(
    accessPolicy({ ...cold, bucket: 'b', prefix: 'p/', region: 'cn-north-1', object_lock: null }),
    {
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'CandlekeepList',
          Effect: 'Allow',
          Action: ['s3:ListBucket'],
          Resource: 'arn:aws-cn:s3:::b',
          Condition: { StringLike: { 's3:prefix': 'p/*' } },
        },
        {
          Sid: 'CandlekeepUploads',
          Effect: 'Allow',
          Action: ['s3:ListBucketMultipartUploads'],
          Resource: 'arn:aws-cn:s3:::b',
        },
        {
          Sid: 'CandlekeepObjects',
          Effect: 'Allow',
          Action: [
            's3:GetObject',
            's3:PutObject',
            's3:AbortMultipartUpload',
            's3:DeleteObject',
            's3:RestoreObject',
          ],
          Resource: 'arn:aws-cn:s3:::b/p/*',
        },
      ],
    },
  )
  test.notOk('Condition' in (accessPolicy({ ...cold, prefix: '' }).Statement[0] ?? {}))
})

await t.test('The lifecycle rules let nothing current expire', test => {
  const { Rules } = lifecycleRules({ prefix: 'p/' })
  test.match(Rules, [
    {
      Status: 'Enabled',
      Filter: { Prefix: 'p/' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
    },
    { Status: 'Enabled', Filter: { Prefix: 'p/' }, NoncurrentVersionExpiration: { NoncurrentDays: 30 } },
  ])
  test.notMatch(JSON.stringify(Rules), /"Days"|"Date"/)
  test.end()
})

await t.test('The self-test tells what a service can do, and leaves nothing there', async group => {
  const cases: Record<
    string,
    { settings?: ColdSettings; fault?: S3FaultRule; lock?: true; failed: Record<string, RegExp> }
  > = {
    'all is well': { failed: {} },
    'all is well with locks': { settings: { object_lock: 'GOVERNANCE' }, lock: true, failed: {} },
    'all is well without checksums': {
      settings: { checksums: 'when_required', conditional_writes: false },
      fault: { do: { kind: 'ignoreChecksums' } },
      failed: {},
    },
    'no checksums': {
      fault: { do: { kind: 'ignoreChecksums' } },
      failed: { checksum: /backup\.cold\.checksums/ },
    },
    'no conditions': {
      fault: { do: { kind: 'refuseIfNoneMatch' } },
      failed: { write: /conditional_writes/, read: /conditional_writes/, parts: /conditional_writes/ },
    },
    'no locks': {
      settings: { object_lock: 'COMPLIANCE' },
      failed: { write: /object_lock/, read: /object_lock/, parts: /object_lock/ },
    },
    'no parts': {
      fault: { when: { operation: 'UploadPart' }, do: { kind: 'error', code: 'AccessDenied' } },
      failed: { parts: /--policy/ },
    },
    'nothing at all': {
      fault: { do: { kind: 'error', code: 'AccessDenied' } },
      failed: { list: /--policy/ },
    },
    'not deleting': {
      fault: {
        when: { operation: 'DeleteObject', times: 1, nth: 1 },
        do: { kind: 'error', code: 'AccessDenied' },
      },
      failed: { delete: /s3:DeleteObject/ },
    },
    'an archive without checksums': {
      settings: { checksums: 'when_required', storage_class: 'GLACIER' },
      failed: { settings: /storage_class/, write: /storage_class/, parts: /storage_class/ },
    },
  }
  for (const [name, { settings, fault, lock, failed }] of Object.entries(cases)) {
    await group.test(name, async test => {
      const { double, config } = await coldAt(test, settings, {
        ...(lock ? { objectLock: true } : {}),
        minPartSize: undefined,
      })
      double.setFaults(fault ? [fault] : [])
      const steps = await selfTest(config, quietly(), { connectMs: 5000, idleMs: 5000, attempts: 2 })
      const bad = steps.filter(({ ok }) => !ok)
      test.strictSame(
        bad.map(({ step }) => step),
        Object.keys(failed),
        JSON.stringify(steps),
      )
      for (const { step, line } of bad) test.match(line, failed[step] ?? /./)
      test.equal(double.objects().length + double.uploads().length, 0)
      if (lock) {
        const until = double
          .versions()
          .map(version => (version.deleted ? 0 : Date.parse(version.lock?.retainUntil ?? '')))
        test.ok(Math.max(...until) < Date.now() + hour, 'what it has locked is not locked for long')
      }
    })
  }
})

// Beside the double, a real Swift.

const swiftSettings = {
  checksums: 'when_required',
  conditional_writes: false,
  storage_class: 'STANDARD',
  part_mb: 5,
} as const

await t.test('It works with a real Swift', { skip: skipWithoutSwift() }, async group => {
  const place = await startSwift(group)
  const huge = randomBytes(11 << 20)
  const there = { ...place, ...coldTierAt(group, place, swiftSettings) }
  const { tier, put, fetch } = there

  await group.test('A database comes back as it was, in one piece or in parts', async test => {
    await tier.prepare(quietly())
    const manifests = [await put(id, small), await put(older, huge)]
    test.same(await tier.list(quietly()), { backups: manifests, broken: [], strange: [] })
    test.ok((await fetch(manifests[0] as Manifest)).equals(small))
    test.ok((await fetch(manifests[1] as Manifest)).equals(huge))
    test.same(await put(id, small), manifests[0], 'what is there is not sent again')
    await expectTold(test, put(id, huge), /is there already, and is that of another database/, /prefix/)
    for (const manifest of manifests) {
      await tier.remove(manifest, quietly())
      await tier.remove(manifest, quietly())
      test.ok((await failure(fetch(manifest))) instanceof BadCopy)
    }
    test.same((await tier.list(quietly())).backups, [])
  })

  await group.test('It is told to stop in the middle, and nothing is left', async test => {
    const stop = new AbortController()
    const progress = (what: string) => () => {
      if (what === 'uploading') stop.abort(new Error('enough'))
    }
    test.match(await failure(put(oldest, huge, { signal: stop.signal, progress })), { message: 'enough' })
    await tier.prepare(quietly())
    const client = clientOf(test, place)
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: place.bucket }))
    test.same(Uploads, [])
    test.same((await tier.list(quietly())).backups, [])
  })

  await group.test('More than a page is listed', async test => {
    const client = clientOf(test, place)
    const names = Array.from({ length: 1005 }, (_, n) => `${prefix}aaa-${n}`)
    await pMap(names, Key => client.send(new PutObjectCommand({ Bucket: place.bucket, Key, Body: 'x' })), {
      concurrency: 16,
    })
    const manifest = await put(id, small)
    test.same((await tier.list(quietly())).backups, [manifest])
  })

  await group.test('Its settings are found by what it says', async test => {
    const told = (settings: ColdSettings, what: RegExp, hint: RegExp) =>
      expectTold(test, coldTierAt(test, place, settings).put(oldest, small), what, hint)
    await told({}, /If-None-Match/, /conditional_writes/)
    await told({ conditional_writes: false }, /storage class/, /storage_class/)
    const steps = await selfTest(there.config, quietly())
    test.ok(
      steps.every(({ ok }) => ok),
      JSON.stringify(steps),
    )
  })

  await group.test('Wrong keys are refused, and no bucket is said to be none', async test => {
    const at = (env: Record<string, string>, bucket = place.bucket) =>
      coldTierAt(test, place, { ...swiftSettings, bucket }, { env }).tier.prepare(quietly())
    await expectTold(
      test,
      at({ ...place.env, AWS_SECRET_ACCESS_KEY: 'no' }),
      /secret key is not that/,
      /SECRET/,
    )
    await expectTold(
      test,
      at({ ...place.env, AWS_ACCESS_KEY_ID: 'nobody' }),
      /secret key is not that/,
      /KEY_ID/,
    )
    await expectTold(test, at(place.env, 'no-such-bucket'), /no such bucket/, /backup\.cold\.bucket/)
  })
})

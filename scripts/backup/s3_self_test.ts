import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../job/config.ts'
import { messageOf, UserError } from '../job/errors.ts'
import { day, minute, second } from '../job/time.ts'
import { formatBytes } from '../job/words.ts'
import { idAt } from './manifest.ts'
import { Bucket } from './s3_bucket.ts'
import { type Patience, usualPatience } from './s3_client.ts'
import { digestInParts } from './s3_digest.ts'
import { explain, isAlreadyThere, place } from './s3_errors.ts'
import { dataName } from './s3_keys.ts'
import { coldOf } from './s3_policy.ts'
import { type Upload, unprovable } from './s3_proof.ts'
import { storeDatabase, storeManifest } from './s3_store.ts'
import { sendFile } from './s3_upload.ts'
import type { Context } from './tier.ts'

/** What came of a step; `line` says it to people, with what to change in the cheat sheet where it failed. */
export type Step = { step: string; ok: boolean; line: string }

const partBytes = 5 << 20

/**
 * Tries with small objects, which go again, whether a service can do what the cold tier wants of it. The databases among
 * them have a name of ours, so that a later run cleans up should this one be killed.
 */
export async function selfTest(
  config: Config,
  context: Context,
  patience: Patience = usualPatience,
): Promise<Step[]> {
  // what is locked here need not be so for months
  const cold = { ...coldOf(config), retention_days: (5 * minute) / day }
  const { signal } = context
  const steps: Step[] = []

  async function attempt(step: string, work: () => Promise<string>): Promise<boolean> {
    try {
      steps.push({ step, ok: true, line: await work() })
      return true
    } catch (error) {
      signal.throwIfAborted()
      steps.push({ step, ok: false, line: lineOf(explain(error, cold)) })
      return false
    }
  }

  const bucket = await Bucket.open(cold, patience)
  const folder = await mkdtemp(join(tmpdir(), 'candlekeep-self-test-'))
  const text = `candlekeep-self-test-${randomBytes(6).toString('hex')}`
  const names = [text]
  let isClean = false
  try {
    const small = await makeProbe(folder, 1000, signal)
    const large = await makeProbe(folder, 2 * partBytes + 1000, signal)
    names.push(small.name, large.name)

    const flaw = unprovable(cold)
    if (flaw !== undefined) steps.push({ step: 'settings', ok: false, line: `${flaw.what}. ${flaw.hint}` })
    // where nothing can be listed, nothing else can be done
    const isReached = await attempt('list', async () => {
      await bucket.list(signal)
      await bucket.unfinished(signal)
      return `${place(cold)} can be listed, unfinished uploads too`
    })
    if (!isReached) return steps

    const isWritten = await attempt('write', async () => {
      await storeDatabase(bucket, small, context)
      return `an object of ${formatBytes(small.bytes)} is stored as ${cold.storage_class}, and proven`
    })
    await attempt('read', async () => {
      await storeManifest(bucket, text, `${text}\n`, signal)
      return 'what is stored comes back as it was sent'
    })
    if (isWritten) {
      await attempt('checksum', () => tellsChecksum(bucket, small.name, signal))
      await attempt('overwrite', () => refusesToOverwrite(bucket, small, context))
      if (cold.object_lock !== null) await attempt('lock', () => locks(bucket, small.name, signal))
    }
    await attempt('parts', async () => {
      await storeDatabase(bucket, large, context)
      return `an object in 3 parts of ${formatBytes(partBytes)} at most is stored, and proven`
    })
    isClean = await attempt('delete', async () => {
      for (const name of names) await bucket.remove(name, signal)
      for (const name of names) {
        if (await bucket.has(name, signal)) throw new UserError(`${place(cold)}${name} is still there`)
      }
      return 'all that was written has been removed again'
    })
    return steps
  } finally {
    // also where it was told to stop
    const last = AbortSignal.timeout(10 * second)
    if (!isClean) for (const name of names) await bucket.remove(name, last).catch(() => undefined)
    bucket.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A file of random bytes, and how it is to be uploaded. */
async function makeProbe(folder: string, bytes: number, signal: AbortSignal): Promise<Upload> {
  const file = join(folder, String(bytes))
  await writeFile(file, randomBytes(bytes))
  const digests = await digestInParts(file, partBytes, signal)
  const id = idAt(0)
  const name = dataName(id, { sha256: digests.sha256, encryption: null })
  return { digests, name, id, file, bytes, partSize: partBytes }
}

async function tellsChecksum(bucket: Bucket, name: string, signal: AbortSignal): Promise<string> {
  if (bucket.cold.checksums === 'when_required')
    return 'not asked for (backup.cold.checksums): each upload is read back instead'
  const head = await bucket.head(name, signal)
  if (head?.ChecksumSHA256 !== undefined) return 'the service tells the SHA-256 of what it stores'
  throw new UserError('the service tells no checksum of what it stores: each upload is read back instead', {
    hint: 'Set backup.cold.checksums to "when_required".',
  })
}

async function refusesToOverwrite(bucket: Bucket, upload: Upload, context: Context): Promise<string> {
  if (!bucket.cold.conditional_writes)
    return 'not tried (backup.cold.conditional_writes): it is looked before each upload whether there is something'
  try {
    await sendFile(bucket, upload, context)
  } catch (error) {
    if (isAlreadyThere(error)) return 'what is there is not written over (If-None-Match)'
    throw error
  }
  throw new UserError('the service writes over what is there, although it was told not to (If-None-Match)', {
    hint: 'Set backup.cold.conditional_writes to false.',
  })
}

async function locks(bucket: Bucket, name: string, signal: AbortSignal): Promise<string> {
  const head = await bucket.head(name, signal)
  const until = head?.ObjectLockRetainUntilDate?.toISOString() ?? 'an unknown time'
  return `what is uploaded is locked (${head?.ObjectLockMode}); the probe until ${until}`
}

function lineOf(error: unknown): string {
  const hint = error instanceof UserError ? error.hint : undefined
  return hint === undefined ? messageOf(error) : `${messageOf(error)}. ${hint}`
}

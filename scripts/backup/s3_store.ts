import { UserError } from '../job/errors.ts'
import type { Bucket } from './s3_bucket.ts'
import { isConflict, mayBeDone, oneHostOnly, place } from './s3_errors.ts'
import { type Flaw, flawOf, type Upload } from './s3_proof.ts'
import { readText } from './s3_read.ts'
import { sendFile, sendText } from './s3_upload.ts'
import type { Context } from './tier.ts'

/** How often an upload is begun that meets another one of the same name, or what an earlier try has left. */
const tries = 3

/**
 * Uploads a database, and proves that it is stored as it was sent. What is there already, from a run that was killed
 * before its manifest was written, is proven instead. What cannot be proven is removed, and an error is thrown.
 */
export async function storeDatabase(bucket: Bucket, upload: Upload, context: Context): Promise<void> {
  const { signal } = context
  for (let left = tries - 1; ; left--) {
    const { error, isThere, isNew } = await write(bucket, upload.name, signal, () =>
      sendFile(bucket, upload, context),
    )
    const flaw = isThere ? await flawOf(bucket, upload, signal) : undefined
    if (isThere && flaw === undefined) return
    if (flaw !== undefined) await discard(bucket, upload.name, signal)
    const again = flaw === undefined ? isConflict(error) : !isNew
    if (!again || left === 0) throw flaw === undefined ? error : badlyStored(bucket, upload.name, flaw)
  }
}

/** Writes a manifest and reads it back. One that is there already stays as it is, and has to be the same. */
export async function storeManifest(
  bucket: Bucket,
  name: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const { error, isThere, isNew } = await write(bucket, name, signal, () =>
    sendText(bucket, name, text, signal),
  )
  if (!isThere) throw error
  if ((await readText(bucket, name, signal)) === text) return
  if (isNew) {
    await discard(bucket, name, signal)
    throw badlyStored(bucket, name, { what: 'it was read back, and is not what was sent' })
  }
  throw new UserError(`${place(bucket.cold)}${name} is there already, and is that of another database`, {
    hint: oneHostOnly,
  })
}

/** What came of a write: whether there is an object of that name now, and whether that is certainly the one just sent. */
type Written = { isThere: boolean; isNew: boolean; error?: unknown }

async function write(
  bucket: Bucket,
  name: string,
  signal: AbortSignal,
  send: () => Promise<void>,
): Promise<Written> {
  // a service that cannot write on condition is asked before; between the two there is a moment, but only for other hosts
  if (!bucket.cold.conditional_writes && (await bucket.has(name, signal)))
    return { isThere: true, isNew: false }
  try {
    await send()
    return { isThere: true, isNew: true }
  } catch (error) {
    signal.throwIfAborted()
    // whatever was answered, or was not: what counts is what is there
    const isThere = mayBeDone(error) && (await bucket.has(name, signal).catch(() => false))
    signal.throwIfAborted()
    return { isThere, isNew: false, error }
  }
}

/**
 * Removes what must not be taken for good. Where even that fails it stays, and does not count: it has no manifest.
 * A locked one stays too, under a mark that it was deleted.
 */
async function discard(bucket: Bucket, name: string, signal: AbortSignal): Promise<void> {
  await bucket.remove(name, signal).catch(() => undefined)
  signal.throwIfAborted()
}

function badlyStored({ cold }: Bucket, name: string, { what, hint }: Flaw): UserError {
  return new UserError(`${place(cold)}${name} was not stored as it was sent: ${what}`, {
    hint:
      hint ??
      'It does not count, and the next run tries again. Where that does not help, the service is not fit.',
  })
}

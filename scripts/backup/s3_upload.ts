import { open } from 'node:fs/promises'
import type { CompletedPart } from '@aws-sdk/client-s3'
import { day, second } from '../job/time.ts'
import type { Bucket } from './s3_bucket.ts'
import { metadataOf, type Upload } from './s3_proof.ts'
import type { Context } from './tier.ts'

/** Parts that are on their way are in memory. */
const mostInFlight = 48 << 20
const mostAtOnce = 4

/** Uploads a file, in parts where it is large. Where that fails, its parts are removed before the error is thrown. */
export async function sendFile(bucket: Bucket, upload: Upload, context: Context): Promise<void> {
  const about = {
    ...bucket.at(upload.name),
    ...lock(bucket),
    ContentType: 'application/octet-stream',
    Metadata: metadataOf(upload),
    StorageClass: bucket.cold.storage_class,
  }
  const { bytes, partSize, digests } = upload
  if (digests.parts.length > 1) return await sendInParts(bucket, about, upload, context)
  const moved = context.progress('uploading', bytes)
  const Body = await readPart(upload.file, Buffer.allocUnsafe(Math.min(bytes, partSize)), 0)
  const whole = { ...about, ...condition(bucket), ...checksum(bucket, digests.checksum), Body }
  await bucket.s3.putObject(whole, { abortSignal: context.signal })
  moved(bytes)
}

/** Uploads a small text. */
export async function sendText(
  bucket: Bucket,
  name: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const about = { ...bucket.at(name), ...lock(bucket), ...condition(bucket), ContentType: 'application/json' }
  const algorithm = isChecked(bucket) ? ({ ChecksumAlgorithm: 'SHA256' } as const) : {}
  await bucket.s3.putObject({ ...about, ...algorithm, Body: Buffer.from(text) }, { abortSignal: signal })
}

async function sendInParts(bucket: Bucket, about: object, upload: Upload, context: Context): Promise<void> {
  const { s3 } = bucket
  const { signal } = context
  const object = bucket.at(upload.name)
  const algorithm = isChecked(bucket) ? ({ ChecksumAlgorithm: 'SHA256' } as const) : {}
  const { UploadId } = await s3.createMultipartUpload(
    { ...object, ...about, ...algorithm },
    { abortSignal: signal },
  )
  try {
    const Parts = await sendParts(bucket, upload, UploadId, context)
    const whole = { ...object, ...condition(bucket), UploadId, MultipartUpload: { Parts } }
    // a service that lacks a part of it must say so
    const size = isChecked(bucket) ? { MpuObjectSize: upload.bytes } : {}
    await s3.completeMultipartUpload({ ...whole, ...size }, { abortSignal: signal })
  } catch (error) {
    // Also where the run was told to stop. What this fails with would hide why the upload failed: the next run removes
    // what is left, and of an upload that is complete although its answer was lost, nothing is.
    const last = AbortSignal.timeout(10 * second)
    await bucket.abandon({ name: upload.name, uploadId: UploadId ?? '' }, last).catch(() => undefined)
    throw error
  }
}

/** Sends some parts at a time. It ends when none is on its way any more: a part that arrives after the upload was given up would stay. */
async function sendParts(
  bucket: Bucket,
  upload: Upload,
  UploadId: string | undefined,
  { signal, progress }: Context,
): Promise<CompletedPart[]> {
  const { file, bytes, partSize, digests } = upload
  const moved = progress('uploading', bytes)
  const failed = new AbortController()
  const abortSignal = AbortSignal.any([signal, failed.signal])
  const waiting = digests.parts.entries()
  const sent: CompletedPart[] = []

  async function sendSome(): Promise<void> {
    const buffer = Buffer.allocUnsafe(partSize)
    for (const [at, digest] of waiting) {
      const Body = await readPart(file, buffer, at * partSize)
      const part = { PartNumber: at + 1, ...checksum(bucket, digest) }
      const about = { ...bucket.at(upload.name), ...part, UploadId, Body }
      const { ETag } = await bucket.s3.uploadPart(about, { abortSignal })
      sent.push({ ...part, ETag })
      moved(Body.length)
    }
  }

  const atOnce = Math.min(mostAtOnce, Math.max(1, Math.floor(mostInFlight / partSize)), digests.parts.length)
  let failure: unknown
  const senders = Array.from({ length: atOnce }, () =>
    sendSome().catch((error: unknown) => {
      failure ??= error
      failed.abort()
    }),
  )
  await Promise.all(senders)
  if (failure !== undefined) throw failure
  return sent.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0))
}

/** What is in the file from there on, as far as the buffer has room. */
async function readPart(file: string, buffer: Buffer, from: number): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, from + length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } finally {
    await handle.close()
  }
}

/** Who locks an object has to send a checksum in any case. */
function isChecked({ cold }: Bucket): boolean {
  return cold.checksums === 'when_supported' || cold.object_lock !== null
}

/** As it was when the file was proven: the service refuses whatever else arrives. */
function checksum(bucket: Bucket, ChecksumSHA256: string): { ChecksumSHA256?: string } {
  return isChecked(bucket) ? { ChecksumSHA256 } : {}
}

/** Nothing is written over what is there. */
function condition({ cold }: Bucket): { IfNoneMatch?: '*' } {
  return cold.conditional_writes ? { IfNoneMatch: '*' } : {}
}

/** By the service's own clock: with one that is wrong here, an object could be locked for years. */
function lock({ cold, now }: Bucket) {
  if (cold.object_lock === null) return {}
  const until = new Date(now() + cold.retention_days * day)
  return { ObjectLockMode: cold.object_lock, ObjectLockRetainUntilDate: until }
}

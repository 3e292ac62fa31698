import { createReadStream } from 'node:fs'
import type { S3 } from '@aws-sdk/client-s3'
import { day } from '../job/time.ts'
import type { Bucket } from './s3_bucket.ts'
import { metadataOf, type Upload } from './s3_proof.ts'
import type { Context } from './tier.ts'

/** Parts that are on their way are in memory. */
const mostInFlight = 64 << 20

/** Uploads a file, in parts where it is large. Where that fails, its parts are removed before the error is thrown. */
export async function sendFile(bucket: Bucket, upload: Upload, { signal, progress }: Context): Promise<void> {
  const { name, file, bytes, partSize } = upload
  const { Upload } = await import('@aws-sdk/lib-storage')
  const sending = new Upload({
    client: heeding(bucket.s3, signal),
    params: {
      ...bucket.at(name),
      ...protection(bucket),
      ...condition(bucket),
      Body: createReadStream(file, { highWaterMark: 1 << 20 }),
      ContentLength: bytes,
      ContentType: 'application/octet-stream',
      Metadata: metadataOf(upload),
      StorageClass: bucket.cold.storage_class,
    },
    partSize,
    queueSize: Math.min(4, Math.max(1, Math.floor(mostInFlight / partSize))),
    leavePartsOnError: false,
  })
  const moved = progress('uploading', bytes)
  let told = 0
  sending.on('httpUploadProgress', ({ loaded = told }) => {
    moved(loaded - told)
    told = loaded
  })
  await sending.done()
}

/** Uploads a small text. */
export async function sendText(
  bucket: Bucket,
  name: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const about = { ...bucket.at(name), ...protection(bucket), ...condition(bucket) }
  const params = { ...about, Body: Buffer.from(text), ContentType: 'application/json' }
  await bucket.s3.putObject(params, { abortSignal: signal })
}

/** Nothing is written over what is there. */
function condition({ cold }: Bucket): { IfNoneMatch?: '*' } {
  return cold.conditional_writes ? { IfNoneMatch: '*' } : {}
}

/** By the service's own clock: with one that is wrong here, an object could be locked for years. */
function protection({ cold, now }: Bucket) {
  const { checksums, object_lock, retention_days } = cold
  // who locks an object has to send its checksum in any case
  const isChecked = checksums === 'when_supported' || object_lock !== null
  return {
    ...(isChecked ? { ChecksumAlgorithm: 'SHA256' as const } : {}),
    ...(object_lock === null
      ? {}
      : { ObjectLockMode: object_lock, ObjectLockRetainUntilDate: new Date(now() + retention_days * day) }),
  }
}

/**
 * A client for lib-storage, which gives its requests no AbortSignal, and on `abort()` ends without waiting for what is
 * under way: an upload that was being begun would be left behind. So each request is broken off but the two that must not
 * be, the failure of one makes lib-storage remove the parts, and it ends when that is done.
 */
function heeding(s3: S3, signal: AbortSignal): S3 {
  type Send = (command: { constructor: { name: string } }, options?: object) => Promise<unknown>
  const request = s3.send.bind(s3) as unknown as Send
  const send: Send = (command, options) => {
    switch (command.constructor.name) {
      case 'CreateMultipartUploadCommand':
        signal.throwIfAborted()
        return request(command, options)
      case 'AbortMultipartUploadCommand':
        // what it fails with must not hide why the upload failed; the next run removes what is left
        return request(command, options).catch(() => ({}))
      default:
        return request(command, { ...options, abortSignal: signal })
    }
  }
  return Object.assign(Object.create(s3) as S3, { send })
}

import { createHash } from 'node:crypto'
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Bucket } from './s3_bucket.ts'
import type { Digests } from './s3_digest.ts'
import type { Cold } from './s3_policy.ts'
import { readObject } from './s3_read.ts'

/** What a database is uploaded as. */
export type Upload = {
  name: string
  id: string
  file: string
  bytes: number
  partSize: number
  digests: Digests
}

/** Why an object is not what it should be, and what to do about it. */
export type Flaw = { what: string; hint?: string }

/** Our own names in the metadata of an object. */
export const metadataOf = ({ id, digests }: Upload) => ({
  'candlekeep-id': id,
  'candlekeep-sha256': digests.sha256,
})

/**
 * Whether what is stored is what was to be stored: by the service's own answers (length, storage class, lock, and a
 * checksum that it has made of what it stores), or where it tells no checksum, by reading it back.
 */
export async function flawOf(bucket: Bucket, upload: Upload, signal: AbortSignal): Promise<Flaw | undefined> {
  const head = await bucket.head(upload.name, signal)
  if (head === undefined) return { what: 'it is not there' }
  const flaw = flawInHead(head, upload, bucket.cold)
  if (flaw !== undefined || head.ChecksumSHA256 !== undefined) return flaw
  return await flawInContent(bucket, upload, signal)
}

function flawInHead(head: HeadObjectCommandOutput, upload: Upload, cold: Cold): Flaw | undefined {
  const { ContentLength, ChecksumSHA256, Metadata = {}, StorageClass = 'STANDARD' } = head
  const length = ContentLength ?? 0
  if (length !== upload.bytes) return { what: `it has ${length} bytes instead of ${upload.bytes}` }
  if (ChecksumSHA256 !== undefined && ChecksumSHA256 !== upload.digests.checksum)
    return { what: 'its SHA-256 is another than that of what was sent' }
  const sha256 = Metadata['candlekeep-sha256']
  if (sha256 !== undefined && sha256 !== upload.digests.sha256)
    return { what: 'it is another object of that name' }
  if (StorageClass !== cold.storage_class) {
    return {
      what: `its storage class is ${StorageClass} instead of ${cold.storage_class}`,
      hint: `Set backup.cold.storage_class to "${StorageClass}", if that is all that the service has.`,
    }
  }
  if (cold.object_lock !== null && head.ObjectLockMode !== cold.object_lock) {
    return {
      what: `it is not locked (${cold.object_lock}), or s3:GetObjectRetention is denied`,
      hint: 'The bucket has to have Object Lock; else set backup.cold.object_lock to null.',
    }
  }
  return undefined
}

/** Whether objects of that class have to be restored, for hours, before they can be read. */
function isArchiveClass(storageClass: string): boolean {
  return storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE'
}

/** What is wrong with settings by which nothing could ever be proven. */
export function unprovable({ checksums, storage_class }: Cold): Flaw | undefined {
  if (checksums === 'when_supported' || !isArchiveClass(storage_class)) return undefined
  return {
    what: `without checksums, what is stored as ${storage_class} cannot be proven: it cannot be read back`,
    hint: 'Set backup.cold.checksums to "when_supported", or backup.cold.storage_class to "GLACIER_IR".',
  }
}

async function flawInContent(bucket: Bucket, upload: Upload, signal: AbortSignal): Promise<Flaw | undefined> {
  if (isArchiveClass(bucket.cold.storage_class)) {
    return {
      what: 'the service tells no checksum of it, and it cannot be read back',
      hint: 'Set backup.cold.storage_class to one that can be read at once, such as "GLACIER_IR".',
    }
  }
  const { stream } = await readObject(bucket, upload.name, signal)
  const hash = createHash('sha256')
  for await (const piece of stream) hash.update(piece as Uint8Array)
  if (hash.digest('hex') === upload.digests.sha256) return undefined
  return { what: 'it was read back, and its SHA-256 is another than that of what was sent' }
}

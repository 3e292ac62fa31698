import pMap from 'p-map'
import { BadCopy, idOfManifest, type Manifest, manifestName, readManifest } from './manifest.ts'
import type { Bucket, Entry } from './s3_bucket.ts'
import { idOfData } from './s3_keys.ts'
import { readText } from './s3_read.ts'
import { type Listing, NotReadable } from './tier.ts'

/** No manifest is nearly as large: what is, is not read. */
const largestManifest = 1 << 20
const atOnce = 8

type Found = { name: string; manifest: Manifest } | { name: string; why: string } | undefined

/** Reads every manifest, and compares what it says with the database that the listing shows. */
export async function listBackups(bucket: Bucket, signal: AbortSignal): Promise<Listing> {
  const entries = await bucket.list(signal)
  const sizes = new Map(entries.map(({ name, bytes }) => [name, bytes]))
  const manifests = entries.filter(({ name }) => idOfManifest(name) !== undefined)
  const found = await pMap(manifests, entry => examine(bucket, entry, sizes, signal), { concurrency: atOnce })
  const backups = found.flatMap(one => (one && 'manifest' in one ? [one.manifest] : []))
  const broken = found.flatMap(one => (one && 'why' in one ? [one] : []))
  return { backups: backups.sort((a, b) => (a.id < b.id ? 1 : -1)), broken, strange: withoutManifest(sizes) }
}

/** What a killed run has left, until it is cleaned up. */
function withoutManifest(sizes: Map<string, number>): string[] {
  return [...sizes.keys()].filter(name => {
    const id = idOfData(name)
    return id !== undefined && !sizes.has(manifestName(id))
  })
}

async function examine(
  bucket: Bucket,
  { name, bytes }: Entry,
  sizes: Map<string, number>,
  signal: AbortSignal,
): Promise<Found> {
  const id = idOfManifest(name) ?? ''
  if (bytes > largestManifest) return { name, why: 'its manifest is damaged' }
  try {
    const manifest = readManifest(await readText(bucket, name, signal), id)
    const { file, bytes: expected } = manifest.stored
    const size = sizes.get(file)
    if (idOfData(file) !== id) throw new BadCopy(`its manifest names ${file}`)
    if (size === undefined) throw new BadCopy('its database is not there')
    if (size !== expected) throw new BadCopy(`its database has ${size} bytes instead of ${expected}`)
    return { name, manifest }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof BadCopy || error instanceof NotReadable)) throw error
    // another host may have removed it since the listing
    const isGone = error instanceof BadCopy && !(await bucket.has(name, signal))
    return isGone ? undefined : { name, why: error.message }
  }
}

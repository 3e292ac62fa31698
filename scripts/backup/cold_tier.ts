import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../job/config.ts'
import { UserError } from '../job/errors.ts'
import { encrypt, type HashedFile } from './archive.ts'
import { BadCopy, type Manifest, manifestName, renderManifest, type Stored } from './manifest.ts'
import { Bucket } from './s3_bucket.ts'
import { type Patience, usualPatience } from './s3_client.ts'
import { digestInParts, partSize } from './s3_digest.ts'
import { explain, place } from './s3_errors.ts'
import { dataName } from './s3_keys.ts'
import { abandonUploads, OwnUploads, removeOrphans } from './s3_leftovers.ts'
import { listBackups } from './s3_list.ts'
import { type Cold, coldOf } from './s3_policy.ts'
import { unprovable } from './s3_proof.ts'
import { readObject } from './s3_read.ts'
import { storeDatabase, storeManifest } from './s3_store.ts'
import { thawObject } from './s3_thaw.ts'
import { needRoom } from './snapshot.ts'
import type { Context, Source, Tier } from './tier.ts'

/**
 * Backups in S3: `PREFIX + ID.DIGEST8.db.zst[.age]` and, written last, `PREFIX + ID.manifest.json`. What has a manifest is
 * whole and proven; what has none does not count. `scratch`: a folder for what is encrypted before it is sent.
 */
export function openColdTier(config: Config, scratch: string, patience: Patience = usualPatience): Tier {
  const cold = coldOf(config)
  const own = new OwnUploads(config.paths.state)
  let opening: Promise<Bucket> | undefined

  /** Does something with the bucket; what S3 answers with comes out as an error that says what to do. */
  async function reach<T>(signal: AbortSignal, work: (bucket: Bucket) => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted()
      opening ??= Bucket.open(cold, patience)
      return await work(await opening)
    } catch (error) {
      signal.throwIfAborted()
      throw explain(error, cold)
    }
  }

  return {
    name: 'cold',
    where: place(cold),
    policy: { days: cold.retention_days, hours: 0 },
    prepare: ({ signal }) =>
      reach(signal, async bucket => {
        refuseUnprovable(cold)
        const entries = await bucket.list(signal)
        await abandonUploads(bucket, own, signal)
        await removeOrphans(bucket, entries, signal)
      }),
    list: ({ signal }) => reach(signal, bucket => listBackups(bucket, signal)),
    put: (source, context) =>
      reach(context.signal, async bucket => {
        refuseUnprovable(cold)
        return await withPacked(source, cold.age_recipients, scratch, context, packed =>
          store(bucket, own, source, packed, context),
        )
      }),
    read: ({ stored }, { signal }) =>
      reach(signal, async bucket => (await readObject(bucket, stored.file, signal)).stream),
    // The manifest goes first: a removal that is killed leaves a database that no manifest names, as a killed upload does,
    // and not a backup that looks whole and is not. With versions or Object Lock both only get a mark on top.
    remove: ({ id, stored }, { signal }) =>
      reach(signal, async bucket => {
        await bucket.remove(manifestName(id), signal)
        await bucket.remove(stored.file, signal)
      }),
    thaw: ({ stored }, withinMs, { signal }) =>
      reach(signal, bucket => thawObject(bucket, stored.file, withinMs, signal)),
    close() {
      void opening?.then(bucket => bucket.close()).catch(() => undefined)
    },
  }
}

function refuseUnprovable(cold: Cold): void {
  const flaw = unprovable(cold)
  if (flaw !== undefined) throw new UserError(`${place(cold)}: ${flaw.what}`, { hint: flaw.hint })
}

type Packed = HashedFile & Pick<Stored, 'encryption'>

/** Does something with what is sent: the compressed database, encrypted where the cheat sheet says for whom. */
async function withPacked<T>(
  { archive, facts }: Source,
  recipients: string[],
  scratch: string,
  context: Context,
  work: (packed: Packed) => Promise<T>,
): Promise<T> {
  const compressed = await archive()
  if (recipients.length === 0) return await work({ ...compressed, encryption: null })
  const target = join(scratch, `${facts.id}.db.zst.age`)
  // the disk may be the agent's
  needRoom(scratch, compressed.bytes)
  try {
    const encrypted = await encrypt(compressed.file, target, recipients, context)
    return await work({ ...encrypted, encryption: 'age' })
  } finally {
    await rm(target, { force: true })
  }
}

async function store(
  bucket: Bucket,
  own: OwnUploads,
  { facts }: Source,
  { file, bytes, sha256, encryption }: Packed,
  context: Context,
): Promise<Manifest> {
  const { signal } = context
  const size = partSize(bytes, bucket.cold.part_mb)
  const digests = await digestInParts(file, size, signal)
  if (digests.sha256 !== sha256) throw new BadCopy(`${file} is not what was made`)
  const name = dataName(facts.id, { sha256, encryption })
  own.note(name)
  await storeDatabase(bucket, { digests, name, id: facts.id, file, bytes, partSize: size }, context)
  const manifest = {
    ...facts,
    stored: { file: name, bytes, sha256, compression: 'zstd' as const, encryption },
  }
  await storeManifest(bucket, manifestName(facts.id), renderManifest(manifest), signal)
  return manifest
}

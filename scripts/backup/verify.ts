import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeScratchFolder } from '../database/scratch.ts'
import type { TierName } from '../job/config.ts'
import { messageOf, UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import { command } from '../job/words.ts'
import { fetchCopy } from './archive.ts'
import { BadCopy, idOfName, type Manifest } from './manifest.ts'
import type { BackupRecords } from './records.ts'
import { DamagedSource, needRoom, prove, type Snapshotter } from './snapshot.ts'
import { type Context, NotReadable, type Tier } from './tier.ts'

export type VerifyTools = {
  records: BackupRecords
  snapshotter: Snapshotter
  scratch: string
  /** The key of encrypted backups, where it is here. */
  identity: string | undefined
  context: Context
}

/**
 * What reading a backup again came to: proven, all of it; read as it is stored, which was compared, but not decrypted;
 * bad; it could not be read; or that takes hours, as it is archived.
 */
export type Verified = {
  tier: TierName
  id: string
  result: 'proven' | 'read' | 'bad' | 'unknown' | 'archived'
  why: string
  bytes: number
}

/** What reading the backups of some tiers came to. */
export type Verification = {
  verified: Verified[]
  /** Tiers that could not even be looked at. */
  troubles: { tier: TierName; message: string }[]
}

/**
 * Proves the backups of some tiers again, or only the one called `id`: each is read in full, decoded, and checked as a
 * database.
 */
export async function verifyTiers(
  tiers: readonly Tier[],
  id: string | undefined,
  tools: VerifyTools,
): Promise<Verification> {
  const result: Verification = { verified: [], troubles: [] }
  for (const tier of tiers) {
    try {
      result.verified.push(...(await verifyTier(tier, id, tools)))
    } catch (error) {
      tools.context.signal.throwIfAborted()
      result.troubles.push({ tier: tier.name, message: messageOf(error) })
    }
  }
  if (id === undefined || result.verified.length > 0 || result.troubles.length > 0) return result
  throw new UserError(`there is no backup ${id} on ${tiers.map(({ name }) => name).join(', ')}`, {
    hint: `${command('backup', '--list')} shows those that there are.`,
    status: exitStatus.usage,
  })
}

async function verifyTier(tier: Tier, id: string | undefined, tools: VerifyTools): Promise<Verified[]> {
  const { records, context } = tools
  const listing = await tier.list(context)
  records.found(tier.name, listing)
  const wanted = (found: string) => id === undefined || found === id
  const results = listing.broken
    .map(({ name, why }) => ({
      tier: tier.name,
      id: idOfName(name),
      result: 'bad' as const,
      why,
      bytes: 0,
    }))
    .filter(broken => wanted(broken.id)) as Verified[]
  for (const manifest of listing.backups)
    if (wanted(manifest.id)) results.push(await verify(tier, manifest, tools))
  return results
}

async function verify(tier: Tier, manifest: Manifest, tools: VerifyTools): Promise<Verified> {
  const { records, context } = tools
  const { id, stored } = manifest
  const found = { tier: tier.name, id, bytes: stored.bytes }
  try {
    const whole = await readAgain(tier, manifest, tools)
    if (whole) {
      records.verified(tier.name, id)
      return { ...found, result: 'proven', why: '' }
    }
    // who has no key cannot acquit what was found bad with it
    const failure = records.of(tier.name).get(id)?.failure ?? null
    if (failure !== null) return { ...found, result: 'bad', why: failure }
    return { ...found, result: 'read', why: 'its key is not here' }
  } catch (error) {
    context.signal.throwIfAborted()
    const why = messageOf(error)
    // what SQLite will not even open is as bad as what it complains of
    const isBad = error instanceof BadCopy || error instanceof DamagedSource
    if (error instanceof NotReadable) return { ...found, result: 'archived', why }
    if (!isBad) return { ...found, result: 'unknown', why }
    records.verified(tier.name, id, why)
    return { ...found, result: 'bad', why }
  }
}

async function readAgain(tier: Tier, manifest: Manifest, tools: VerifyTools): Promise<boolean> {
  const file = join(tools.scratch, `${manifest.id}.db`)
  try {
    return await restoreProven(tier, manifest, file, tools)
  } finally {
    rmSync(file, { force: true })
  }
}

/**
 * Brings a backup into `file`, in the scratch folder, and proves it as a database. Throws a BadCopy or a DamagedSource where
 * anything is not as its manifest says, a NotReadable where it cannot be read now. Whether it was decoded: without its
 * key an encrypted one is compared as it is stored, and there is no `file`.
 */
export async function restoreProven(
  tier: Tier,
  manifest: Manifest,
  file: string,
  { snapshotter, scratch, identity, context }: Omit<VerifyTools, 'records'>,
): Promise<boolean> {
  makeScratchFolder(scratch)
  needRoom(scratch, manifest.database.bytes)
  if (!(await fetchCopy(tier, manifest, { file, identity }, context))) return false
  const { problems, database } = await prove(snapshotter, file)
  if (problems.length > 0)
    throw new BadCopy(`the database in it is damaged: ${problems.slice(0, 3).join('; ')}`)
  const { bytes: _, sha256: __, ...expected } = manifest.database
  if (JSON.stringify(database) !== JSON.stringify(expected))
    throw new BadCopy('the database in it is not what its manifest says')
  return true
}

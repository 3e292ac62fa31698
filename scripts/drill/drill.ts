import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { BadCopy, idOfName, type Manifest, timeOf } from '../backup/manifest.ts'
import type { BackupRecords } from '../backup/records.ts'
import { isFuture } from '../backup/retention.ts'
import { DamagedSource, type Snapshotter } from '../backup/snapshot.ts'
import { Archived, type Context, type Listing, type Tier } from '../backup/tier.ts'
import { restoreProven } from '../backup/verify.ts'
import type { TierName } from '../job/config.ts'
import { messageOf, UserError } from '../job/errors.ts'
import type { Log } from '../job/log.ts'
import type { FoundSecret } from '../job/secret.ts'
import { giveTo } from '../recovery/replace.ts'
import { type Comparison, compare } from './compare.ts'
import type { Live } from './live.ts'
import type { DrillRecords } from './records.ts'

/**
 * What restoring a backup came to: proven; bad, it is not what was stored; failed, it could not be restored for another
 * reason; archived, which would take hours and money, so it was not tried. Times in milliseconds.
 */
export type Drill = {
  tier: TierName
  /** null: the tier as a whole failed. */
  id: string | null
  result: 'proven' | 'bad' | 'failed' | 'archived'
  why: string
  hint: string | undefined
  startedAt: number
  finishedAt: number
  /** Of the database. */
  bytes: number | null
  /** How old the backup was. */
  ageMs: number | null
  /** With the live database, where both could be looked at. */
  comparison: Comparison | undefined
}

export type DrillTools = {
  records: BackupRecords
  drills: DrillRecords
  snapshotter: Snapshotter
  scratch: string
  /** The key of encrypted backups, and the name of the variable that has it. */
  key: FoundSecret & { name: string }
  live: () => Promise<Live>
  now: () => number
  log: Log
  context: Context
}

/** So many bad backups in a row say enough of a tier. */
const mostBad = 3

/**
 * Restores the newest backup of each tier, or all that there are, newest first, into the scratch folder, and proves it.
 * Where the newest is bad, the one before it is tried too, as a recovery would. Tiers fail alone.
 */
export async function drillTiers(tiers: readonly Tier[], all: boolean, tools: DrillTools): Promise<Drill[]> {
  const drills: Drill[] = []
  for (const tier of tiers) {
    for await (const drill of drillsOf(tier, all, tools)) {
      tools.drills.note(drill)
      drills.push(drill)
    }
  }
  return drills
}

async function* drillsOf(tier: Tier, all: boolean, tools: DrillTools): AsyncGenerator<Drill> {
  const { now, context } = tools
  const startedAt = now()
  const tried = new Set<string>()
  let [tells, bad] = [0, 0]
  try {
    for (let listing = await tier.list(context); ; ) {
      const next = nextOf(listing, tried, now())
      if (next === undefined) break
      tried.add(next.id)
      const drill = await drillOne(tier, next, tools)
      if (drill === 'gone') {
        // what has taken its place is newer than what has been seen
        listing = await tier.list(context)
        continue
      }
      yield drill
      tells++
      if (drill.result === 'bad') bad++
      if (!all && (drill.result !== 'bad' || bad === mostBad)) break
    }
    if (tells === 0) throw new UserError('it has no backup', { hint: 'A recovery would find nothing here.' })
  } catch (error) {
    context.signal.throwIfAborted()
    const ended = { startedAt, finishedAt: now(), bytes: null, ageMs: null, comparison: undefined }
    yield { tier: tier.name, id: null, result: 'failed', ...troubleOf(error), ...ended }
  }
}

type Found = { id: string; manifest: Manifest } | { id: string; broken: string }

/**
 * The newest that has not been tried yet, be it whole or not. What a clock that was ahead has dated in the future comes
 * last, as with a recovery: until its time has come it would be the only one that is ever tried.
 */
function nextOf({ backups, broken }: Listing, tried: ReadonlySet<string>, now: number): Found | undefined {
  const found: Found[] = [
    ...backups.map(manifest => ({ id: manifest.id, manifest })),
    ...broken.map(({ name, why }) => ({ id: idOfName(name), broken: why })),
  ]
  return found
    .filter(({ id }) => !tried.has(id))
    .map(entry => ({ entry, takenAt: timeOf(entry.id) ?? 0 }))
    .toSorted((a, b) => Number(isFuture(a, now)) - Number(isFuture(b, now)) || b.takenAt - a.takenAt)
    .at(0)?.entry
}

/** `gone`: it has been removed meanwhile, as the retention does. */
async function drillOne(tier: Tier, found: Found, tools: DrillTools): Promise<Drill | 'gone'> {
  const { records, now, log, context } = tools
  const { id } = found
  const startedAt = now()
  const about = {
    tier: tier.name,
    id,
    startedAt,
    bytes: 'manifest' in found ? found.manifest.database.bytes : null,
    ageMs: Math.max(0, startedAt - (timeOf(id) ?? startedAt)),
    comparison: undefined,
  }
  try {
    if ('broken' in found) throw new BadCopy(found.broken)
    await restore(tier, found.manifest, tools)
    const finishedAt = now()
    mark(records, tier.name, found.manifest)
    const live = await tools.live()
    const comparison = 'why' in live ? undefined : compare(found.manifest.database, live.database)
    return { ...about, result: 'proven', why: '', hint: undefined, finishedAt, comparison }
  } catch (error) {
    context.signal.throwIfAborted()
    const finishedAt = now()
    const trouble = troubleOf(error)
    log.info(`${id} of the ${tier.name} tier was not restored: ${trouble.why}`, {
      stack: error instanceof Error && !(error instanceof UserError) ? error.stack : undefined,
    })
    if (error instanceof Archived) return { ...about, result: 'archived', ...trouble, finishedAt }
    if (!(error instanceof BadCopy || error instanceof DamagedSource))
      return { ...about, result: 'failed', ...trouble, finishedAt }
    if (!(await isThere(tier, found, context))) return 'gone'
    mark(records, tier.name, 'manifest' in found ? found.manifest : { id }, trouble.why)
    return { ...about, result: 'bad', ...trouble, finishedAt }
  }
}

/** As a recovery does it, up to the name. Throws where it does not work. */
async function restore(tier: Tier, manifest: Manifest, tools: DrillTools): Promise<void> {
  const { id, stored, source } = manifest
  const { key, scratch } = tools
  const identity = key.secret?.reveal()
  if (stored.encryption !== null && identity === undefined)
    throw new UserError(
      `it is encrypted, and its key is not here${key.problem === undefined ? '' : `: ${key.problem}`}`,
      {
        hint: `Set ${key.name}, or ${key.name}_FILE: without the key nothing of this tier can be restored.`,
      },
    )
  const file = join(scratch, `${id}.db`)
  try {
    await restoreProven(tier, manifest, file, { ...tools, identity })
    giveBack(source.owner, file)
  } finally {
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  }
}

/** A listing that saw one half of a removal has it as broken: only what is still so is. */
async function isThere(tier: Tier, { id, ...found }: Found, context: Context): Promise<boolean> {
  const { backups, broken } = await tier.list(context)
  const isBroken = broken.some(({ name }) => idOfName(name) === id)
  return isBroken || ('manifest' in found && backups.some(backup => backup.id === id))
}

/** Notes what came out, also where the history knew nothing of the backup. */
function mark(
  records: BackupRecords,
  tier: TierName,
  backup: Manifest | { id: string },
  failure?: string,
): void {
  if ('stored' in backup && !records.of(tier).has(backup.id)) records.stored(tier, backup)
  records.verified(tier, backup.id, failure)
}

function troubleOf(error: unknown): { why: string; hint: string | undefined } {
  return {
    why: messageOf(error).replaceAll(/\s*\n\s*/g, ' '),
    hint: error instanceof UserError ? error.hint : undefined,
  }
}

/** To whom the database belonged. A recovery that cannot do that leaves the agent with a file that it cannot open. */
function giveBack({ uid, gid, mode }: Manifest['source']['owner'], file: string): void {
  try {
    giveTo({ uid, gid, mode: Number.parseInt(mode, 8) }, file)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new UserError(error.message, {
      hint: 'What is in it is good. Run drills and recoveries as that user, or as root.',
      cause: error,
    })
  }
}

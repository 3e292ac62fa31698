import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeScratchFolder } from '../database/scratch.ts'
import type { TierName } from '../job/config.ts'
import { messageOf, UserError } from '../job/errors.ts'
import type { Log } from '../job/log.ts'
import { compress, type HashedFile, proveArchive } from './archive.ts'
import { missedBy } from './catch_up.ts'
import { type BackupFacts, BadCopy, idAt, idOfName, type Manifest, timeOf } from './manifest.ts'
import type { BackupRecords } from './records.ts'
import { provenUpTo, retain } from './retention.ts'
import { DamagedSource, needRoom, type Snapshotter, takeSnapshot } from './snapshot.ts'
import { stateOf } from './source_state.ts'
import type { Context, Listing, Source, Tier } from './tier.ts'
import type { Tiers } from './tiers.ts'

export type BackupTools = {
  database: string
  tiers: Tiers
  records: BackupRecords
  snapshotter: Snapshotter
  /** A folder of this run's own, made when it is needed. */
  scratch: string
  now: () => number
  log: Log
  /** From here on the run takes only what nobody else wants of the processor. */
  giveWay: () => void
  context: Context
}

/** What became of a tier. */
export type TierResult = {
  tier: Tier
  /** What was put there: the new backup, then what it had missed. */
  stored: Manifest[]
  pruned: string[]
  /** What was there before. */
  listing: Listing
  /** Why it has not got what it should; nothing was pruned then. */
  trouble: { message: string; hint: string | undefined } | undefined
}

export type BackupResult = {
  facts: BackupFacts
  /** Nothing has been committed since: it is an earlier backup. */
  unchanged: boolean
  /** For how long writers had to wait; undefined: they never did. */
  heldMs: number | undefined
  tiers: TierResult[]
}

/** So many backups that a tier has missed are brought there by one run. */
const mostMissed = 7

/** Brings a proven copy of the database to `tiers`; each can fail without the others. */
export async function backUp(
  tools: BackupTools,
  { tiers, ifChanged }: { tiers: readonly TierName[]; ifChanged: boolean },
): Promise<BackupResult> {
  const visits: TierResult[] = []
  for (const tier of tools.tiers.of(tiers)) visits.push(await visit(tier, tools))
  refuseWhereNoneIsUsable(visits)
  const hot =
    visits.find(({ tier }) => tier === tools.tiers.hot) ?? (await visit(tools.tiers.hot, tools, 'look'))
  const seenAt = tools.now()
  const unchanged = ifChanged ? unchangedSince(hot, tools) : undefined
  // where one of them has a damaged copy of it, its name is taken there
  const last = visits.some(({ listing }) => brokenIds(listing).includes(unchanged?.facts.id ?? ''))
    ? undefined
    : unchanged
  const copy = last ?? (await takeNew(visits, tools))
  if (last !== undefined) tools.records.covers(last.facts.id, seenAt)
  try {
    for (const entry of visits) {
      await attempt(entry, tools, async () => {
        await putNew(entry, copy, tools, last === undefined ? undefined : seenAt)
        await catchUp(entry, hot, tools)
        await prune(entry, copy, tools)
      })
    }
  } finally {
    // only now: where the hot tier failed, the others may have been made from what it has left
    for (const { tier } of visits) tier.discard?.()
  }
  const { facts, heldMs } = copy
  return { facts, heldMs, unchanged: last !== undefined, tiers: visits }
}

/** A proven copy; where it lies changes when the hot tier takes it. */
type Copy = Source & { heldMs: number | undefined }

/** Makes a tier ready and sees what is there; `look`: sees only. */
async function visit(tier: Tier, tools: BackupTools, how?: 'look'): Promise<TierResult> {
  const entry: TierResult = {
    tier,
    stored: [],
    pruned: [],
    trouble: undefined,
    listing: { backups: [], broken: [] },
  }
  await attempt(entry, tools, async () => {
    if (how !== 'look') await tier.prepare(tools.context)
    entry.listing = await tier.list(tools.context)
    tools.records.found(tier.name, entry.listing)
  })
  return entry
}

/** Does something with a tier, unless that has failed already; what goes wrong there concerns that tier only. */
async function attempt(
  entry: TierResult,
  { context, log }: BackupTools,
  action: () => Promise<void>,
): Promise<void> {
  if (entry.trouble !== undefined) return
  try {
    await action()
  } catch (error) {
    context.signal.throwIfAborted()
    if (error instanceof DamagedSource) throw error
    const stack = error instanceof Error && !(error instanceof UserError) ? error.stack : undefined
    log.info(`the ${entry.tier.name} tier failed: ${messageOf(error)}`, { stack })
    entry.trouble = {
      message: messageOf(error),
      hint: error instanceof UserError ? error.hint : undefined,
    }
  }
}

function refuseWhereNoneIsUsable(visits: TierResult[]): void {
  if (visits.some(({ trouble }) => trouble === undefined)) return
  const lines = visits.map(({ tier, trouble }) => `${tier.name}: ${trouble?.message}`)
  const hints = [...new Set(visits.flatMap(({ trouble }) => trouble?.hint ?? []))]
  throw new NoUsableTier(`no backup was taken: ${lines.join('; ')}`, hints.join('\n   ') || undefined, visits)
}

/** There is no tier that anything could be put on. */
export class NoUsableTier extends UserError {
  override name = 'NoUsableTier'
  readonly tiers: TierResult[]

  constructor(message: string, hint: string | undefined, tiers: TierResult[]) {
    super(message, { hint })
    this.tiers = tiers
  }
}

function brokenIds({ broken }: Listing): string[] {
  return broken.map(({ name }) => idOfName(name))
}

function archiveOf(id: string, { scratch }: BackupTools): string {
  return join(scratch, `${id}.db.zst`)
}

/** The newest good backup of the hot tier, where nothing can have been committed since it was taken. */
function unchangedSince({ listing, trouble }: TierResult, tools: BackupTools): Copy | undefined {
  const { records, database, now } = tools
  // what is dated in the future counts nowhere as a backup of today
  const [good] = provenUpTo(now(), records.kept('hot', listing.backups))
  const newest = listing.backups.find(({ id }) => id === good?.id)
  if (newest === undefined || trouble !== undefined) return undefined
  const { source } = newest
  if (source.database !== database || source.state === null || source.state !== stateOf(database))
    return undefined
  return copyOf(stored(newest, tools), tools)
}

/** In the folder of the hot tier, where a new name is all that it needs then; where that cannot be, in a scratch folder. */
async function takeNew(visits: TierResult[], tools: BackupTools): Promise<Copy> {
  const { database, tiers, snapshotter, scratch, now, context } = tools
  const id = freeId(visits, now())
  const [hot, ...others] = visits.filter(({ trouble }) => trouble === undefined)
  const take = async (target: string) =>
    copyOf(await takeSnapshot(snapshotter, { database, id, target, now }, context), tools)
  if (hot?.tier === tiers.hot) {
    if (others.length === 0) return take(tiers.hot.temporary(id))
    let copy: Copy | undefined
    await attempt(hot, tools, async () => {
      copy = await take(tiers.hot.temporary(id))
    })
    if (copy !== undefined) return copy
  }
  makeScratchFolder(scratch)
  return take(join(scratch, `${id}.db`))
}

/** No name that is there already; a clock that was put back can bring one again. */
function freeId(visits: TierResult[], now: number): string {
  const taken = visits.flatMap(({ listing }) => [
    ...listing.backups.map(({ id }) => id),
    ...brokenIds(listing),
    ...(listing.strange ?? []).map(idOfName),
  ])
  for (let at = now; ; at += 1000) if (!taken.includes(idAt(at))) return idAt(at)
}

async function putNew(
  entry: TierResult,
  copy: Copy,
  tools: BackupTools,
  coversUntil?: number,
): Promise<void> {
  const { tier, listing } = entry
  if (listing.backups.some(({ id }) => id === copy.facts.id)) return
  try {
    await put(entry, copy, tools, coversUntil)
  } finally {
    // also where it failed after that
    if (tier === tools.tiers.hot && !existsSync(copy.file)) copy.file = tools.tiers.hot.named(copy.facts.id)
  }
}

/** What the tier missed while it was away, from the hot tier. */
async function catchUp(entry: TierResult, hot: TierResult, tools: BackupTools): Promise<void> {
  const { records, tiers, now } = tools
  if (entry.tier === tiers.hot) return
  const there = [...hot.stored, ...hot.listing.backups].filter(({ id }) => !hot.pruned.includes(id))
  const own = [...entry.stored, ...entry.listing.backups]
  // the names of damaged ones are taken: of their days other backups are wanted
  const broken = brokenIds(entry.listing).map(id => ({
    id,
    takenAt: timeOf(id) ?? Number.NaN,
    proven: false,
  }))
  const missed = missedBy(
    records.kept('hot', there),
    [...records.kept(entry.tier.name, own), ...broken],
    entry.tier.policy,
    now(),
    mostMissed,
  )
  for (const id of missed) {
    const manifest = there.find(found => found.id === id)
    if (manifest === undefined) continue
    await put(entry, copyOf(stored(manifest, tools), tools), tools)
    // the disk may be the agent's
    rmSync(archiveOf(id, tools), { force: true })
  }
}

async function put(
  entry: TierResult,
  copy: Copy,
  tools: BackupTools,
  coversUntil?: number,
): Promise<Manifest> {
  const manifest = await entry.tier.put(copy, tools.context)
  entry.stored.push(manifest)
  tools.records.stored(entry.tier.name, manifest, coversUntil)
  return manifest
}

/** The archive is made once, for all tiers that want it. */
function copyOf(given: Pick<Copy, 'facts' | 'file' | 'heldMs'>, tools: BackupTools): Copy {
  const { scratch, context, records } = tools
  let made: Promise<HashedFile> | undefined
  const copy: Copy = { ...given, archive: () => (made ??= make()) }
  const make = async () => {
    const { id, database } = copy.facts
    makeScratchFolder(scratch)
    // what does not compress takes as much: the disk may be the agent's
    needRoom(scratch, database.bytes)
    // from here on it is us who use the processor
    tools.giveWay()
    const plain = { file: copy.file, bytes: database.bytes, sha256: database.sha256 }
    try {
      const archive = await compress(plain, archiveOf(id, tools), context)
      await proveArchive(archive, plain, context)
      return archive
    } catch (error) {
      if (error instanceof BadCopy) records.verified('hot', id, error.message)
      throw error
    }
  }
  return copy
}

async function prune(entry: TierResult, copy: Copy, { records, now, context }: BackupTools): Promise<void> {
  const { tier, listing } = entry
  const there = [...entry.stored, ...listing.backups]
  const fresh = [copy.facts.id, ...entry.stored.map(({ id }) => id)]
  const verdicts = retain(records.kept(tier.name, there), tier.policy, now(), fresh)
  for (const { id } of verdicts.filter(verdict => verdict.prune)) {
    const manifest = there.find(found => found.id === id)
    if (manifest === undefined) continue
    await tier.remove(manifest, context)
    records.removed(tier.name, id)
    entry.pruned.push(id)
  }
}

/** A backup of the hot tier. */
function stored({ stored: _, ...facts }: Manifest, tools: BackupTools) {
  return { facts, file: tools.tiers.hot.fileOf({ ...facts, stored: _ }), heldMs: undefined }
}

import type { Manifest } from '../backup/manifest.ts'
import { isFuture } from '../backup/retention.ts'
import { type TierName, tierNames } from '../job/config.ts'

/** What a tier has, as the choice looks at it. */
export type Offer = { tier: TierName; backups: readonly Manifest[]; failed: ReadonlySet<string> }

/** A backup that a database could be made from. */
export type Candidate = { tier: TierName; manifest: Manifest }

/** What a person asked for: one backup, one tier, a state that is not newer than a time. */
export type Choice = { id?: string | undefined; tier?: TierName | undefined; at?: number | undefined }

/**
 * The order in which backups are tried: newest first, each from the fastest tier that has it. At the end, for when
 * there is nothing else, those that a proof has found bad, and those that a clock that was ahead has dated in the
 * future.
 */
export function candidates(offers: readonly Offer[], { id, tier, at }: Choice, now: number): Candidate[] {
  const all = offers.flatMap(offer =>
    offer.backups.map(manifest => ({
      tier: offer.tier,
      manifest,
      takenAt: Date.parse(manifest.taken_at),
      failed: offer.failed.has(manifest.id),
    })),
  )
  return all
    .filter(found => id === undefined || found.manifest.id === id)
    .filter(found => tier === undefined || found.tier === tier)
    .filter(found => at === undefined || found.takenAt <= at)
    .toSorted(
      (a, b) =>
        rank(a.failed) - rank(b.failed) ||
        rank(isFuture(a, now)) - rank(isFuture(b, now)) ||
        b.takenAt - a.takenAt ||
        tierNames.indexOf(a.tier) - tierNames.indexOf(b.tier),
    )
    .map(({ tier: name, manifest }) => ({ tier: name, manifest }))
}

function rank(doubtful: boolean): number {
  return doubtful ? 1 : 0
}

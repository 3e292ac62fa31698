import { messageOf } from '../job/errors.ts'
import type { BackupRecord, BackupRecords } from './records.ts'
import { retain, type Verdict } from './retention.ts'
import type { Context, Listing, Tier } from './tier.ts'

/** What is on a tier; `trouble`: why it could not be looked at. */
export type Looked = Listing & {
  tier: Tier
  records: Map<string, BackupRecord>
  /** What the retention would do after a backup that is taken right now. */
  verdicts: Verdict[]
  trouble: string | undefined
}

/** Looks at tiers and changes nothing. */
export function look(
  tiers: readonly Tier[],
  records: BackupRecords,
  now: number,
  context: Context,
): Promise<Looked[]> {
  return Promise.all(
    tiers.map(async tier => {
      const found = { tier, records: records.of(tier.name), verdicts: [], trouble: undefined }
      try {
        const listing = await tier.list(context)
        const next = { id: 'the next', takenAt: now, proven: true }
        const kept = [next, ...records.kept(tier.name, listing.backups)]
        const verdicts = retain(kept, tier.policy, now, [next.id]).filter(({ id }) => id !== next.id)
        return { ...found, ...listing, verdicts }
      } catch (error) {
        context.signal.throwIfAborted()
        return { ...found, backups: [], broken: [], trouble: messageOf(error) }
      }
    }),
  )
}

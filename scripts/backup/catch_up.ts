import { day, hour, lastTimeOfDay } from '../job/time.ts'
import { isFuture, type Kept, newestFirst, type Policy, provenUpTo, standIns } from './retention.ts'

/**
 * What a tier missed while it could not be reached: backups of the hot tier that it lacks and would keep, newest first,
 * at most `most`. With those that it has they stand for the hours and days that `retain` would keep of both together,
 * so nothing that is fetched is pruned again, and asking once more gives nothing.
 *
 * What the tier has goes before what the hot tier has: an hour or a day of which it has a proven backup needs no other.
 * The hot tier's newest of a day that is over was taken at 23:00, the tier's own, by the daily run, at 02:00; to replace
 * that would be to send every backup twice. Nor does it need a newer one of today: what is newer is for the next run
 * that takes one. So it does not matter whether what the caller is just storing is already among `tier`, only `hot`,
 * or neither: at worst it is named here, and is the first.
 *
 * A copy of which the tier has only a broken one under the same id is not named, as the name is taken: another of the
 * same day is, if there is one. Of what is dated in the future only one of the newest day is, where nothing else stands
 * for that day: where the clock is behind now, that is the newest that there is.
 */
export function missedBy(
  hot: readonly Kept[],
  tier: readonly Kept[],
  policy: Policy,
  now: number,
  most: number,
): string[] {
  const taken = new Set(tier.map(({ id }) => id))
  const lacked = hot.filter(({ id }) => !taken.has(id))
  const arrived = [...provenUpTo(now, tier), ...provenUpTo(now, lacked)]
  const future = [tier, lacked].flatMap(backups =>
    provenUpTo(Number.POSITIVE_INFINITY, backups).filter(backup => isFuture(backup, now)),
  )
  const wanted = new Set([
    ...standIns([...arrived, ...future], day, 1).values(),
    ...standIns(arrived, hour, policy.hours).values(),
    ...standIns(arrived, day, policy.days).values(),
  ])
  return newestFirst(lacked.filter(backup => wanted.has(backup)))
    .map(({ id }) => id)
    .slice(0, Math.max(0, most))
}

/**
 * Whether a tier has missed its daily backup: it has none since the time of day of the schedule (`02:00`, UTC) last
 * passed. `newestTakenAt`: of `provenUpTo(now, tier)`; one that is dated in the future says nothing of the time since.
 */
export function isOverdue(newestTakenAt: number | undefined, schedule: string, now: number): boolean {
  if (newestTakenAt === undefined || isFuture({ takenAt: newestTakenAt }, now)) return true
  // in doubt, with a time that is none, it is
  return !(newestTakenAt >= lastTimeOfDay(schedule, now))
}

import { day, formatTime, hour, minute } from '../job/time.ts'
import { count } from '../job/words.ts'

/** What a tier keeps. `hours`: hours of which the newest proven backup is kept, beside those of `days`; 0: none. */
export type Policy = { days: number; hours: number }

/** A backup on a tier. `proven`: it is whole, and what it was proven to be. */
export type Kept = { id: string; takenAt: number; proven: boolean }

/** Whether a backup is to go, and why or why not, for people. */
export type Verdict = { id: string; prune: boolean; why: string }

/** How far ahead of `now` a backup may be dated: clocks are corrected by seconds all the time. */
const tolerance = 5 * minute

/**
 * What a tier keeps of its backups, newest first. `fresh`: what this very run has stored, which always stays.
 *
 * It counts and does not measure age: of the newest `policy.hours` hours and the newest `policy.days` days (UTC) that
 * have a proven backup, the newest proven one of each stays. So neither a host that was off for years nor a clock that
 * jumped makes anything go, but only backups that are newer and proven.
 *
 * - The newest proven backup always stays.
 * - What is dated in the future comes from a clock that was ahead, or that is behind now. It stays until its time has
 *   come, and until then stands for no hour and no day, so that it displaces nothing.
 * - What is not proven stands for nothing. It stays until `policy.days` days have newer proven ones, which is when
 *   nothing newer lacks that it might be needed for.
 * - Whatever is not as it can be (a time that is none, a policy that keeps nothing) makes nothing go.
 *
 * The newest hours are also part of the newest days, at 24 to a day; so apart from what is fresh, of the future or not
 * proven, at most `hours + max(0, days - ceil(hours / 24))` stay: 60 of 14 days and 48 hours.
 */
export function retain(
  backups: readonly Kept[],
  policy: Policy,
  now: number,
  fresh: readonly string[] = [],
): Verdict[] {
  const ordered = newestFirst(backups)
  // the configuration has such policies refused; this is for whatever calls it without one
  if (!(policy.days >= 1 && policy.hours >= 0))
    return ordered.map(({ id }) => ({ id, ...stays('the retention makes no sense') }))
  if (Number.isNaN(now)) return ordered.map(({ id }) => ({ id, ...stays('nobody knows what time it is') }))
  const counted = provenUpTo(now, ordered)
  const days = standIns(counted, day, policy.days)
  const shared = {
    now,
    fresh: new Set(fresh),
    newest: counted[0],
    hours: standIns(counted, hour, policy.hours),
    days,
    lastDay: [...days.values()][policy.days - 1],
    ...reasons(policy),
  }
  return ordered.map(backup => ({ id: backup.id, ...judge(backup, shared) }))
}

type Judged = Omit<Verdict, 'id'>

type Shared = {
  now: number
  fresh: Set<string>
  newest: Kept | undefined
  /** What stands for each hour and day that counts. */
  hours: Map<number, Kept>
  days: Map<number, Kept>
  /** What stands for the last of the days; undefined: there are fewer than the policy has. */
  lastDay: Kept | undefined
} & ReturnType<typeof reasons>

/** The reasons that are the same for all backups. */
function reasons({ days, hours }: Policy) {
  const newest = [count(days, 'newest day'), ...(hours > 0 ? [count(hours, 'newest hour')] : [])].join(
    ' and the ',
  )
  return {
    tooOld: `older than the ${newest} with a proven backup`,
    notYetGone: `its proof failed; kept until ${count(days, 'day')} have newer proven ones`,
  }
}

function judge(backup: Kept, shared: Shared): Judged {
  const { now, fresh, newest, hours, days, lastDay, tooOld, notYetGone } = shared
  if (fresh.has(backup.id)) return stays('just taken')
  if (!isTime(backup.takenAt)) return stays('nobody knows when it was taken')
  if (isFuture(backup, now)) return stays('dated in the future')
  if (!backup.proven)
    return lastDay !== undefined && compare(lastDay, backup) < 0
      ? goes('its proof failed')
      : stays(notYetGone)
  if (backup === newest) return stays('newest proven')
  const ofHour = hours.get(slotOf(backup, hour))
  const ofDay = days.get(slotOf(backup, day))
  // most of what stands for a day stands for an hour too at first; the day is the reason that holds longer
  if (backup === ofDay) return stays(`daily ${nameOf(backup, day)}`)
  if (backup === ofHour) return stays(`hourly ${nameOf(backup, hour)}`)
  if (ofHour !== undefined) return goes(`a newer one stands for ${nameOf(backup, hour)}`)
  if (ofDay !== undefined) return goes(`a newer one stands for ${nameOf(backup, day)}`)
  return goes(tooOld)
}

function stays(why: string): Judged {
  return { prune: false, why }
}

function goes(why: string): Judged {
  return { prune: true, why }
}

/** The newest first; what has no time comes last. */
export function newestFirst(backups: readonly Kept[]): Kept[] {
  return [...backups].sort(compare)
}

/** The proven ones whose time has come, newest first: those that count. */
export function provenUpTo(now: number, backups: readonly Kept[]): Kept[] {
  return newestFirst(backups).filter(
    backup => backup.proven && isTime(backup.takenAt) && !isFuture(backup, now),
  )
}

/** Whether a backup was taken by a clock that was ahead, or that is behind now. */
export function isFuture({ takenAt }: Pick<Kept, 'takenAt'>, now: number): boolean {
  return takenAt > now + tolerance
}

/**
 * What stands for each of the newest `most` hours or days that have any of these backups, newest first: of several, the
 * one that is given first.
 */
export function standIns(backups: readonly Kept[], unit: number, most: number): Map<number, Kept> {
  const found = new Map<number, Kept>()
  for (const backup of backups) {
    const slot = slotOf(backup, unit)
    if (!found.has(slot)) found.set(slot, backup)
  }
  return new Map([...found].sort(([a], [b]) => b - a).slice(0, Math.max(0, most)))
}

function slotOf({ takenAt }: Kept, unit: number): number {
  return Math.floor(takenAt / unit)
}

/** `2026-11-24`, `2026-11-24 02:00`. */
function nameOf(backup: Kept, unit: number): string {
  const name = formatTime(slotOf(backup, unit) * unit).replace(' UTC', '')
  return unit === day ? name.slice(0, -' 00:00'.length) : name
}

function compare(a: Kept, b: Kept): number {
  const timeA = isTime(a.takenAt) ? a.takenAt : Number.NEGATIVE_INFINITY
  const timeB = isTime(b.takenAt) ? b.takenAt : Number.NEGATIVE_INFINITY
  if (timeA !== timeB) return timeA > timeB ? -1 : 1
  if (a.id === b.id) return 0
  return a.id > b.id ? -1 : 1
}

/** Whether a Date can hold it. */
function isTime(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15
}

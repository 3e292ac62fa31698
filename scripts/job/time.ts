import { UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'

export const second = 1000
export const minute = 60 * second
export const hour = 60 * minute
export const day = 24 * hour

/** `2026-03-15 01:00 UTC`, for people; damage can make a time of anything. */
export function formatTime(ms: number): string {
  if (Number.isNaN(new Date(ms).getTime())) return `time ${ms}`
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** `2026-03-15_01-00-00`, for file names; UTC. */
export function fileStamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-')
}

/** `850 ms`, `12.3 s`, `4 min 5 s`, `2 h 10 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  // each bound is where rounding reaches the next unit: 59.96 s is 1 min, not 60.0 s
  if (ms < second - 0.5) return `${Math.round(ms)} ms`
  if (ms < minute - 50) return `${(ms / second).toFixed(1)} s`
  const [large, largeName, small, smallName] =
    ms < hour - second / 2
      ? [minute, 'min', second, 's']
      : ms < day - minute / 2
        ? [hour, 'h', minute, 'min']
        : ([day, 'd', hour, 'h'] as const)
  const rounded = Math.round(ms / small)
  const rest = rounded % (large / small)
  return `${Math.floor(rounded / (large / small))} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`
}

/** The newest moment at which it was `time` (`01:00`, UTC). */
export function lastTimeOfDay(time: string, now: number): number {
  const [hours, minutes] = time.split(':').map(Number) as [number, number]
  const today = Math.floor(now / day) * day + hours * hour + minutes * minute
  return today <= now ? today : today - day
}

const ages = { h: hour, d: day, w: 7 * day }

/**
 * Reads a point in time from a flag: `2026-03-15`, `2026-03-15T01:00Z` (UTC where no zone is given), or an age
 * before `now` such as `36h`, `30d`, `2w`. Milliseconds since the epoch.
 */
export function parseTime(text: string, now: number, flag: string): number {
  const age = /^(\d+)([hdw])$/.exec(text)
  if (age !== null) return now - Number(age[1]) * ages[age[2] as keyof typeof ages]
  const date = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?(Z|[+-]\d{2}:\d{2})?$/.exec(
    text,
  )
  const time = date === null ? Number.NaN : Date.parse(`${date[1]}T${date[2] ?? '00:00'}${date[3] ?? 'Z'}`)
  // Date.parse lets 2026-02-30 pass as the 2nd of March: a day that does not exist is a typing mistake
  const sameDay =
    date !== null && new Date(Date.parse(`${date[1]}T00:00Z`)).toJSON()?.slice(0, 10) === date[1]
  if (Number.isNaN(time) || !sameDay) {
    throw new UserError(`${flag} ${JSON.stringify(text)} is not a time`, {
      hint: 'Write 2026-03-15, 2026-03-15T01:00Z, or an age such as 36h, 30d, 2w.',
      status: exitStatus.usage,
    })
  }
  return time
}

import sheet from '../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }

// When jobs are to be started, by the words of the cheat sheet and of the calendar rather than by sums.

/** From when to when a host was on, in minutes since the epoch. */
export type Boot = { on: number; off: number }

export const minutesOf = (text: string) => Date.parse(`${text}Z`) / 60_000
export const textOf = (minute: number) => new Date(minute * 60_000).toISOString().slice(0, 16)

/** What is due at a minute of UTC, such as `2026-03-29T01:00`, by the words of the cheat sheet. */
export const due: Record<string, (time: string) => boolean> = {
  daily_sync: time => time.endsWith(`T${sheet.schedule.daily_sync}`),
  backup: time => time.endsWith(`T${sheet.schedule.backup}`),
  // half an hour away from the backup
  hot_snapshot: time => time.endsWith(':30'),
  health_check: time => /T(?:00|06|12|18):00$/.test(time),
  restore_drill: time =>
    time.endsWith(sheet.schedule.restore_drill.replace('sunday ', 'T')) &&
    new Date(`${time}Z`).getUTCDay() === 0,
}

/** When a job is to be started: when it is due, or at the first quarter of an hour after that at which the host is on. */
export function expectedOf(isDue: (time: string) => boolean, boots: Boot[]): string[] {
  const found: string[] = []
  // a new host has done nothing yet
  let isWanted = true
  let before = boots[0]?.on ?? 0
  for (const { on, off } of boots) {
    // in eight days everything was due
    for (let minute = Math.max(before, on - 8 * 24 * 60) + 1; minute <= off; minute++) {
      const time = textOf(minute)
      isWanted ||= isDue(time)
      // cron begins with the minute after the one in which it is started
      if (!isWanted || minute <= on || minute % 15 !== 0) continue
      found.push(time)
      isWanted = false
    }
    before = off
  }
  return found
}

/** A time as a host in that zone writes it, by the zones that Node has. */
export function localTime(seconds: number, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('sv', {
    timeZone,
    dateStyle: 'short',
    timeStyle: 'medium',
  }).format(seconds * 1000)
  const minutes = Math.round((Date.parse(`${parts}Z`) / 1000 - seconds) / 60)
  const [hours, rest] = [Math.abs(minutes) / 60, Math.abs(minutes) % 60].map(part =>
    `${Math.floor(part)}`.padStart(2, '0'),
  )
  return `${parts.replace(' ', 'T')}${minutes < 0 ? '-' : '+'}${hours}:${rest}`
}

import type { CheatSheet } from '../scripts/job/config_types.ts'

/** A job that cron starts. */
export type ScheduledJob = {
  name: string
  title: string
  /** `scripts/COMMAND.mts` */
  command: string
  arguments: string[]
  /** Due every `period` seconds, `offset` seconds after a multiple of that, by UTC since the epoch. */
  period: number
  offset: number
  /** How often a run that failed is tried again, an hour later each time. */
  retries: number
  /** The job's own limit. */
  timeoutMinutes: number
}

const minute = 60
const hour = 60 * minute
const day = 24 * hour
const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
/** 1970-01-01 was a Thursday. */
const firstSunday = 3 * day

/** The jobs of a cheat sheet. */
export function jobsOf({ schedule, sync, backup, health }: CheatSheet): ScheduledJob[] {
  const drilled = schedule.restore_drill_tiers
  const snapshots = schedule.hot_snapshot_minutes * minute
  const dailyBackup = secondsOf(schedule.backup)
  // away from the daily backup, which has a copy of the same moment
  const beside = Math.min(Math.floor(snapshots / 2 / minute) * minute, 30 * minute)
  return [
    {
      name: 'daily_sync',
      title: `Candles: every day at ${schedule.daily_sync} UTC`,
      command: 'daily_candle_sync',
      arguments: [],
      period: day,
      offset: secondsOf(schedule.daily_sync),
      retries: 3,
      timeoutMinutes: sync.timeout_minutes,
    },
    {
      name: 'backup',
      title: `Backup to all tiers: every day at ${schedule.backup} UTC`,
      command: 'backup',
      arguments: [],
      period: day,
      offset: dailyBackup,
      retries: 3,
      timeoutMinutes: backup.timeout_minutes,
    },
    {
      name: 'hot_snapshot',
      title: `Snapshot to the hot tier: every ${schedule.hot_snapshot_minutes} minutes, where something has changed`,
      command: 'backup',
      arguments: ['--tiers', 'hot', '--if-changed', '--catch-up'],
      period: snapshots,
      offset: (dailyBackup + beside) % snapshots,
      retries: 0,
      timeoutMinutes: backup.timeout_minutes,
    },
    {
      name: 'health_check',
      title: `Health check: every ${schedule.health_check_hours} h`,
      command: 'health_check',
      arguments: ['--notify'],
      period: schedule.health_check_hours * hour,
      offset: 0,
      retries: 0,
      timeoutMinutes: health.timeout_minutes,
    },
    {
      name: 'restore_drill',
      title: `Restore drill: ${schedule.restore_drill} UTC`,
      command: 'restore_drill',
      arguments: drilled === null ? [] : ['--tier', drilled.join(',')],
      period: 7 * day,
      offset: secondsOfWeek(schedule.restore_drill),
      retries: 1,
      timeoutMinutes: backup.timeout_minutes,
    },
    {
      name: 'sla_audit',
      title: `Audit of the last month, once: every day at ${schedule.sla_audit} UTC it is seen to`,
      command: 'sla_audit',
      arguments: ['--month', '--unless-kept'],
      period: day,
      offset: secondsOf(schedule.sla_audit),
      retries: 1,
      timeoutMinutes: auditMinutes,
    },
  ]
}

/** An audit takes some seconds; its own limit is in `scripts/sla_audit.mts`. */
const auditMinutes = 10

/**
 * The minutes of an hour at which a job can be due in a host's own time, whatever its zone: zones are multiples of 15
 * minutes from UTC (IANA time zone database). Cron runs what has a `*` for its hour by real time when clocks are changed.
 */
export function minutesFor({ offset }: Pick<ScheduledJob, 'offset'>): number[] {
  const first = Math.floor(offset / minute) % 15
  return [0, 15, 30, 45].map(quarter => first + quarter)
}

/** `01:30` in seconds. */
function secondsOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number) as [number, number]
  return hours * hour + minutes * minute
}

/** `sunday 03:00` in seconds since the first Thursday, as weeks are counted since the epoch. */
function secondsOfWeek(text: string): number {
  const [name = '', time = ''] = text.split(' ')
  const seconds = firstSunday + weekdays.indexOf(name.toLowerCase()) * day + secondsOf(time)
  return seconds % (7 * day)
}

import type { CheatSheet } from '../scripts/job/config_types.ts'
import { freshLimits } from '../scripts/job/fresh_limits.ts'
import { render } from './render.ts'
import { jobsOf } from './schedule.ts'

/** What is written into conf/alerting_rules.yml, and what the file says of itself. */
export const managedRules =
  'Written by `npm run generate` from templates/monitoring/alerting_rules and the cheat sheet: change those.'

const minute = 60
const hour = 60 * minute
const day = 24 * hour
/** Lengths of candles, in seconds. */
export const candleSeconds = { '1h': hour, '4h': 4 * hour, '1d': day }

/** So often in a row a channel may fail before an alert says so. */
export const maxChannelFailures = 3

/** Prometheus' rules for hosts with this cheat sheet: all of their thresholds are its own. */
export function alertingRules(sheet: CheatSheet, managed: string): string {
  const { health, monitoring, sla, sync } = sheet
  return render('monitoring/alerting_rules', {
    managed,
    runbooks: monitoring.runbooks_url,
    interval_seconds: candleSeconds[sync.interval],
    ...ages('fresh', sla.freshness_hours, sheet),
    error_budget: decimal(1 - sla.availability_percent / 100),
    availability_percent: decimal(sla.availability_percent),
    sync_minutes: Math.ceil(sync.timeout_minutes),
    ...ages('stale', health.max_data_age_hours, sheet),
    stale_critical_hours: decimal(health.max_data_age_hours),
    stale_warning_seconds: seconds(monitoring.stale_warning_hours * hour),
    stale_warning_hours: decimal(monitoring.stale_warning_hours),
    rate_limit_hits: monitoring.rate_limit_hits,
    rate_limit_hours: monitoring.rate_limit_hours,
    backup_seconds: seconds(health.max_backup_age_hours * hour),
    backup_hours: decimal(health.max_backup_age_hours),
    free_disk_ratio: decimal(health.min_free_disk_ratio),
    free_disk_percent: decimal(health.min_free_disk_ratio * 100),
    drill_seconds: monitoring.drill_max_age_days * day,
    drill_days: monitoring.drill_max_age_days,
    clock_seconds: monitoring.max_clock_skew_seconds,
    channel_failures: maxChannelFailures,
    jobs: overdueJobs(sheet),
  })
}

/** How old the last sync and the newest candle may be. */
function ages(name: string, allowedHours: number, sheet: CheatSheet): Record<string, number> {
  const { syncMs, candleMs } = freshLimits(allowedHours, sheet, candleSeconds[sheet.sync.interval] * 1000)
  return {
    [`${name}_sync_seconds`]: seconds(syncMs / 1000),
    [`${name}_candle_seconds`]: seconds(candleMs / 1000),
  }
}

/**
 * When the last run of a job is too long ago, in seconds. By the names of the history: snapshots are backups too, and the most
 * frequent one counts.
 */
export function overdueJobs(sheet: CheatSheet) {
  const jobs = jobsOf(sheet)
  const commands = Map.groupBy(jobs, ({ command }) => command)
  return [...commands.values()].map(same => {
    const [first] = same
    const period = Math.min(...same.map(job => job.period))
    const limit = Math.ceil(Math.max(...same.map(job => job.timeoutMinutes)) * minute)
    return {
      name: first?.name,
      // a run that was missed is made up for within a quarter of an hour, and may take so long
      seconds: period + limit + hour,
      every:
        period % day === 0
          ? `${period / day} d`
          : period % hour === 0
            ? `${period / hour} h`
            : `${period / minute} min`,
    }
  })
}

function seconds(value: number): number {
  return Math.round(value)
}

/** Without the noise of binary fractions, such as 0.0050000000000000044. */
function decimal(value: number): string {
  return String(Number(value.toPrecision(12)))
}

import type { CheatSheet } from '../../scripts/job/config_types.ts'
import { freshLimits } from '../../scripts/job/fresh_limits.ts'
import { candleSeconds } from '../alerting_rules.ts'

const minute = 60
const hour = 60 * minute
const day = 24 * hour

export type Limits = ReturnType<typeof limitsOf>

/** From where on what a panel shows is worse: the numbers of the cheat sheet as the alerting rules have them, in seconds. */
export function limitsOf({ health, monitoring, schedule, sla, sync }: CheatSheet) {
  const candle = candleSeconds[sync.interval]
  const stale = freshLimits(health.max_data_age_hours, { schedule, sync }, candle * 1000)
  return {
    candle,
    staleWarning: monitoring.stale_warning_hours * hour,
    staleSync: stale.syncMs / 1000,
    staleCandle: stale.candleMs / 1000,
    backupAge: health.max_backup_age_hours * hour,
    drillAge: monitoring.drill_max_age_days * day,
    slowSync: sla.sync_minutes * minute,
    syncDeadline: sync.timeout_minutes * minute,
    slowRecovery: sla.rto_minutes * minute,
    clockSkew: monitoring.max_clock_skew_seconds,
    freeDisk: health.min_free_disk_ratio,
    availability: sla.availability_percent / 100,
    rateLimitHits: monitoring.rate_limit_hits,
    rateLimitWindow: `${monitoring.rate_limit_hours}h`,
  }
}

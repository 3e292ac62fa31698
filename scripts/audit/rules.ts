import { intervals } from '../candles/intervals.ts'
import { type Config, configuredTiers, type TierName } from '../job/config.ts'
import { type FreshLimits, freshLimits } from '../job/fresh_limits.ts'
import { hour, minute } from '../job/time.ts'

/** What the service is measured against; times in milliseconds. */
export type Rules = {
  availability: number
  rpoMs: number
  rtoMs: number
  /** As the rule `candlekeep:available` has it. */
  fresh: FreshLimits
  syncMs: number
  /** `01:00`, UTC, and how long such a run may take. */
  syncDue: string
  syncTakesMs: number
  backupDue: string
  backupTakesMs: number
  tiers: TierName[]
}

export function rulesOf(config: Config): Rules {
  const { sla, schedule, sync, backup } = config
  return {
    availability: sla.availability_percent / 100,
    rpoMs: sla.rpo_hours * hour,
    rtoMs: sla.rto_minutes * minute,
    fresh: freshLimits(sla.freshness_hours, config, intervals[sync.interval].step),
    syncMs: sla.sync_minutes * minute,
    syncDue: schedule.daily_sync,
    syncTakesMs: sync.timeout_minutes * minute,
    backupDue: schedule.backup,
    backupTakesMs: backup.timeout_minutes * minute,
    tiers: configuredTiers(config),
  }
}

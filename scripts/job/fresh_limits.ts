import type { CheatSheet } from './config_types.ts'
import { day, hour, lastTimeOfDay, minute } from './time.ts'

/** How old the last sync that counts may be, and how long ago the newest candle may have closed; milliseconds. */
export type FreshLimits = { syncMs: number; candleMs: number }

/**
 * As much as is allowed, and never less than all is well with: a sync comes a day after the one before, and may take its
 * time. One that is due in the middle of a candle leaves the newest closed one as old as that. `stepMs`: length of a candle.
 */
export function freshLimits(
  allowedHours: number,
  { schedule, sync }: Pick<CheatSheet, 'schedule' | 'sync'>,
  stepMs: number,
): FreshLimits {
  const limit = sync.timeout_minutes * minute
  const intoCandle = lastTimeOfDay(schedule.daily_sync, 2 * day) % stepMs
  const syncMs = Math.max(allowedHours * hour, day + limit)
  return { syncMs, candleMs: Math.max(syncMs, day + intoCandle + limit) }
}

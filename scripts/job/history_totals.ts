import type Database from 'better-sqlite3'

/** Everything that the metrics count, by name: never goes down while the history lives. */
export type Totals = Map<string, number>

/** How a run can end. */
export const outcomes = ['done', 'partly', 'failed', 'deadline', 'interrupted', 'killed']

/**
 * Upper bounds of the sync's durations, in seconds, up to its usual deadline; what takes longer ran into that. They
 * are for good: of runs that are gone, only these counts are left.
 */
export const durationBounds = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 900, 1200, 1800]

/** Names of totals. */
export const total = {
  runs: (outcome: string) => `daily_sync_runs_total{outcome="${outcome}"}`,
  failures: 'daily_sync_failures_total',
  timeouts: 'daily_sync_timeout_total',
  scriptErrors: 'sync_script_errors_total',
  rateLimitHits: 'binance_rate_limit_hits_total',
  /** Runs that took up to so many seconds, those of the lower bounds counted in. */
  within: (bound: number) => `daily_sync_duration_seconds_bucket{le="${bound}"}`,
  timed: 'daily_sync_duration_seconds_count',
  /** Whole milliseconds: sums of them are exact, so that adding and taking away leaves nothing over. */
  took: 'daily_sync_duration_milliseconds_sum',
  integrityFailures: 'db_integrity_check_failures_total',
  drillFailures: 'restore_drill_failures_total',
}

/** Of the daily syncs that have ended, by total, as SQL. */
const ofSyncs: Record<string, string> = {
  ...Object.fromEntries(
    outcomes.map(outcome => [total.runs(outcome), `count(*) FILTER (WHERE outcome = '${outcome}')`]),
  ),
  [total.failures]: "count(*) FILTER (WHERE outcome IN ('failed', 'killed'))",
  [total.timeouts]: "count(*) FILTER (WHERE outcome = 'deadline')",
  [total.scriptErrors]: "count(*) FILTER (WHERE outcome = 'killed' OR pair ->> 0)",
  [total.rateLimitHits]: 'sum(max(0, pair ->> 1))',
  ...Object.fromEntries(
    durationBounds.map(bound => [total.within(bound), `count(*) FILTER (WHERE took <= ${bound * 1000})`]),
  ),
  [total.timed]: 'count(took)',
  [total.took]: 'sum(took)',
}

// how long a killed run took nobody knows; a clock that was set back makes no run shorter than nothing; a sync of some
// symbols only does not stand for the daily one, but what Binance said to it counts
const endedSyncs = `
  WITH ended AS MATERIALIZED (
    SELECT CASE WHEN whole THEN outcome END AS outcome,
      CASE WHEN whole AND outcome <> 'killed' THEN max(0, finished_at - started_at) END AS took, pair
    FROM (
      SELECT outcome, started_at, finished_at,
        coalesce(CASE WHEN json_valid(figures) THEN figures ->> 'everything' END, 1) AS whole,
        CASE WHEN json_valid(figures) THEN json_extract(figures, '$.defect', '$.rate_limit_hits') END AS pair
      FROM runs WHERE job = 'daily_sync' AND outcome <> 'running'))`

/** Counted from what the history holds, and from what the runs that the retention has removed left behind. */
export function readTotals(database: Database.Database): Totals {
  const totals = countPresent(database)
  const retired = database.prepare('SELECT name, value FROM retired_totals').all() as NamedValue[]
  for (const { name, value } of retired) totals.set(name, (totals.get(name) ?? 0) + value)
  return totals
}

type NamedValue = { name: string; value: number }

function countPresent(database: Database.Database): Totals {
  const sync = database
    .prepare(`${endedSyncs} SELECT ${Object.values(ofSyncs).join(', ')} FROM ended`)
    .raw()
    .get() as (number | null)[]
  const integrityFailures = database
    .prepare("SELECT count(*) FROM checks WHERE name = 'database_integrity' AND status = 'critical'")
    .pluck()
    .get() as number
  const drillFailures = database
    .prepare('SELECT count(*) FROM drills WHERE failure IS NOT NULL')
    .pluck()
    .get() as number
  const totals: Totals = new Map(Object.keys(ofSyncs).map((name, i) => [name, sync[i] ?? 0]))
  return totals.set(total.integrityFailures, integrityFailures).set(total.drillFailures, drillFailures)
}

/** Does `remove` to runs, checks and drills, and keeps what they had added to the totals. In a transaction of the caller's. */
export function keepingTotals(database: Database.Database, remove: () => void): void {
  const before = countPresent(database)
  remove()
  const after = countPresent(database)
  const retire = database.prepare(
    `INSERT INTO retired_totals (name, value) VALUES (?, ?)
     ON CONFLICT (name) DO UPDATE SET value = value + excluded.value`,
  )
  for (const [name, value] of before) {
    const gone = value - (after.get(name) ?? 0)
    if (gone !== 0) retire.run(name, gone)
  }
}

import type Database from 'better-sqlite3'
import manifest from '../../package.json' with { type: 'json' }
import { type Config, configuredTiers } from './config.ts'
import { countingSync } from './counting_sync.ts'
import { durationBounds, outcomes, readTotals, type Totals, total } from './history_totals.ts'
import { type Family, renderValue, type Sample } from './prometheus_text.ts'

/**
 * Everything that candlekeep tells Prometheus, read from the history. What the history dates after `now`
 * (milliseconds) is of a clock that was ahead: it must not hide for as long that nothing has come since.
 */
export function readFamilies(database: Database.Database, config: Config, now: number): Family[] {
  const totals = readTotals(database)
  return [
    ...syncFamilies(database, totals, now),
    ...candleFamilies(database, config.sync),
    ...checkFamilies(database, totals),
    ...backupFamilies(database, configuredTiers(config), now),
    ...recoveryFamilies(database, now),
    ...drillFamilies(database, totals, drilledTiers(config), now),
    ...runFamilies(database, now),
    ...channelFamilies(database),
    gauge('candlekeep_info', 'Which candlekeep wrote this file, and the Node it ran on; always 1.', [
      { labels: { version: manifest.version, node: process.version }, value: 1 },
    ]),
  ]
}

function syncFamilies(database: Database.Database, totals: Totals, now: number): Family[] {
  const count = (name: string) => totals.get(name) ?? 0
  const counted = (name: string, help: string) => counter(name, help, [{ value: count(name) }])
  const lastSync = database
    .prepare(
      `SELECT finished_at FROM runs WHERE started_at <= ? AND ${countingSync} ORDER BY started_at DESC LIMIT 1`,
    )
    .pluck()
    .get(now) as number | undefined
  const lastStatus = database.prepare(lastWholeSync).pluck().get(now) as number | undefined
  return [
    gauge(
      'daily_sync_last_exit_status',
      'Exit status of the last daily sync of all symbols; 137 if it died without one.',
      lastStatus === undefined ? [] : [{ value: lastStatus }],
    ),
    gauge(
      'last_sync_timestamp_seconds',
      'When the last daily sync ended that was about all symbols and complete enough to count, in Unix time.',
      lastSync === undefined ? [] : [{ value: lastSync / 1000 }],
    ),
    counter(
      'daily_sync_runs_total',
      'Daily syncs that have ended, by how.',
      outcomes.map(outcome => ({ labels: { outcome }, value: count(total.runs(outcome)) })),
    ),
    counted(
      total.failures,
      'Daily syncs that failed or were killed; daily_sync_timeout_total has those that ran out of time.',
    ),
    counted(total.timeouts, 'Daily syncs that were stopped at their deadline.'),
    counted(total.scriptErrors, 'Daily syncs that ended by a defect of candlekeep, or were killed.'),
    counted(total.rateLimitHits, 'Answers of Binance to daily syncs that said too many requests.'),
    {
      name: 'daily_sync_duration_seconds',
      type: 'histogram',
      help: 'How long daily syncs took, however they ended; one that was killed does not count.',
      samples: [
        ...durationBounds.map(bound => bucket(renderValue(bound), count(total.within(bound)))),
        bucket('+Inf', count(total.timed)),
        { suffix: '_sum', value: count(total.took) / 1000 },
        { suffix: '_count', value: count(total.timed) },
      ],
    },
  ]
}

// one that only some symbols were asked of says nothing of the daily one; of a run that died it is not known
const lastWholeSync = `
  SELECT coalesce(exit_status, 137) FROM runs
  WHERE job = 'daily_sync' AND started_at <= ? AND finished_at IS NOT NULL
    AND coalesce(CASE WHEN json_valid(figures) THEN figures ->> 'everything' END, 1)
  ORDER BY started_at DESC LIMIT 1`

function bucket(le: string, value: number): Sample {
  return { suffix: '_bucket', labels: { le }, value }
}

type StoredRow = { interval: string; symbol: string; count: number; last: number }

/** Of all intervals how much there is; of the interval and the symbols that are configured, up to when. */
function candleFamilies(database: Database.Database, sync: Config['sync']): Family[] {
  const rows = database
    .prepare('SELECT interval, symbol, count, last FROM stored_candles ORDER BY interval, symbol')
    .all() as StoredRow[]
  const configured = new Set(sync.symbols)
  const newest = rows.filter(({ interval, symbol }) => interval === sync.interval && configured.has(symbol))
  return [
    gauge(
      'last_candle_timestamp_seconds',
      'Open time of the newest stored candle of a symbol of the cheat sheet, in Unix time.',
      newest.map(({ symbol, last }) => ({ labels: { symbol }, value: last / 1000 })),
    ),
    ...[...Map.groupBy(rows, ({ interval }) => interval)].flatMap(([interval, stored]) => {
      const table = candleTable(interval)
      const records = stored.reduce((sum, { count }) => sum + count, 0)
      return [
        gauge(`${table}_distinct_symbols`, `Symbols that have ${interval} candles.`, [
          { value: stored.length },
        ]),
        gauge(`${table}_records`, `Stored ${interval} candles of all symbols.`, [{ value: records }]),
      ]
    }),
  ]
}

/** The agent's name for the candles of an interval: `4h` is `ohlcv_h4`. */
export function candleTable(interval: string): string {
  return `ohlcv_${interval.slice(-1)}${interval.slice(0, -1)}`
}

type SizeRow = { bytes: number | null; free: number | null; disk: number | null }

const statusValues: Record<string, number> = { ok: 0, warning: 1, critical: 2, unknown: 3 }

function checkFamilies(database: Database.Database, totals: Totals): Family[] {
  const checks = database
    .prepare(
      'SELECT name, status, checked_at AS at FROM checks WHERE run = (SELECT max(run) FROM checks) ORDER BY name',
    )
    .all() as { name: string; status: string; at: number }[]
  const size = database
    .prepare(
      `SELECT figures ->> 'file_bytes' AS bytes, figures ->> 'disk_free_bytes' AS free,
         figures ->> 'disk_total_bytes' AS disk
       FROM checks WHERE name = 'database_size' AND json_valid(figures) ORDER BY run DESC LIMIT 1`,
    )
    .get() as SizeRow | undefined
  const measured = (name: string, help: string, value: number | null | undefined) =>
    gauge(name, help, typeof value === 'number' ? [{ value }] : [])
  const [newest] = checks
  return [
    gauge(
      'health_check_status',
      'What the last health check found, by check: 0 ok, 1 warning, 2 critical, 3 unknown.',
      checks.map(({ name, status }) => ({ labels: { check: name }, value: statusValues[status] ?? 3 })),
    ),
    counter(total.integrityFailures, 'Health checks that found the database damaged.', [
      { value: totals.get(total.integrityFailures) ?? 0 },
    ]),
    measured(
      'last_health_check_timestamp_seconds',
      'When the last health check looked, in Unix time.',
      newest && newest.at / 1000,
    ),
    measured(
      'database_size_bytes',
      "Size of the agent's database file at the last health check.",
      size?.bytes,
    ),
    measured(
      'database_disk_free_bytes',
      'Free on the disk of that file at the last health check.',
      size?.free,
    ),
    measured(
      'database_disk_total_bytes',
      'Size of the disk of that file at the last health check.',
      size?.disk,
    ),
  ]
}

type BackupRow = { tier: string; at: number; bytes: number }

function backupFamilies(database: Database.Database, expected: readonly string[], now: number): Family[] {
  const backups = database
    .prepare(
      `SELECT tier, max(taken_at) AS at, bytes FROM backups
       WHERE proven_at IS NOT NULL AND failed_at IS NULL AND removed_at IS NULL AND taken_at <= ?
       GROUP BY tier ORDER BY tier`,
    )
    .all(now) as BackupRow[]
  return [
    gauge(
      'backup_tier_expected',
      'The tiers that the cheat sheet has; always 1.',
      expected.map(tier => ({ labels: { tier }, value: 1 })),
    ),
    gauge(
      'backup_last_success_timestamp_seconds',
      'When the newest proven backup of a tier was taken, in Unix time.',
      backups.map(({ tier, at }) => ({ labels: { tier }, value: at / 1000 })),
    ),
    gauge(
      'backup_size_bytes',
      'Size of the newest proven backup of a tier.',
      backups.map(({ tier, bytes }) => ({ labels: { tier }, value: bytes })),
    ),
  ]
}

type RecoveryRow = { at: number; took: number; lost: number; salvaged: number }

function recoveryFamilies(database: Database.Database, now: number): Family[] {
  // they stay for good
  const recoveries = database
    .prepare('SELECT count(*) FROM recoveries WHERE serving_at IS NOT NULL')
    .pluck()
    .get() as number
  const last = database
    .prepare(
      `SELECT serving_at AS at, rto_ms AS took, known_lost AS lost, salvaged FROM recoveries
       WHERE serving_at <= ? ORDER BY serving_at DESC LIMIT 1`,
    )
    .get(now) as RecoveryRow | undefined
  const ofLast = (name: string, help: string, value: (row: RecoveryRow) => number) =>
    gauge(name, help, last === undefined ? [] : [{ value: value(last) }])
  return [
    counter('recoveries_total', 'Databases that were brought back.', [{ value: recoveries }]),
    ofLast(
      'recovery_last_timestamp_seconds',
      'Since when the database serves that was last brought back, in Unix time.',
      ({ at }) => at / 1000,
    ),
    ofLast(
      'recovery_duration_seconds',
      'How long the last recovery took, from its start to a proven database in place.',
      ({ took }) => took / 1000,
    ),
    ofLast(
      'recovery_rows_lost',
      'Rows that the last recovery knows to be lost, at most.',
      ({ lost }) => lost,
    ),
    ofLast(
      'recovery_rows_salvaged',
      'Rows that the last recovery brought over from the damaged database.',
      ({ salvaged }) => salvaged,
    ),
  ]
}

type DrillRow = { tier: string; at: number; took: number }

/** Those of which a drill can be expected: it brings nothing back from an archive, since that costs money. */
function drilledTiers(config: Config): string[] {
  const { restore_drill_tiers: chosen } = config.schedule
  const archived = ['GLACIER', 'DEEP_ARCHIVE'].includes(config.backup.cold.storage_class)
  return configuredTiers(config).filter(
    tier => (chosen === null || chosen.includes(tier)) && !(tier === 'cold' && archived),
  )
}

function drillFamilies(
  database: Database.Database,
  totals: Totals,
  expected: readonly string[],
  now: number,
): Family[] {
  const isExpected = ({ tier }: { tier: string }) => expected.includes(tier)
  const successes = database
    .prepare(
      `SELECT tier, max(finished_at) AS at, max(0, finished_at - started_at) AS took FROM drills
       WHERE failure IS NULL AND finished_at <= ? GROUP BY tier ORDER BY tier`,
    )
    .all(now) as DrillRow[]
  // of a run, all that it restored from a tier
  const last = database
    .prepare(
      `SELECT tier, min(failure IS NULL) AS well FROM drills
       WHERE run = (SELECT run FROM drills AS newest WHERE newest.tier = drills.tier AND finished_at <= ?
         ORDER BY finished_at DESC, id DESC LIMIT 1)
       GROUP BY tier ORDER BY tier`,
    )
    .all(now) as { tier: string; well: number }[]
  return [
    gauge(
      'restore_drill_expected',
      'The tiers that the weekly drill restores from; always 1.',
      expected.map(tier => ({ labels: { tier }, value: 1 })),
    ),
    gauge(
      'restore_drill_last_success_timestamp_seconds',
      'When a backup of a tier was last restored and proven by a drill, in Unix time.',
      successes.filter(isExpected).map(({ tier, at }) => ({ labels: { tier }, value: at / 1000 })),
    ),
    gauge(
      'restore_drill_duration_seconds',
      'How long that took, from the first byte to a proven database.',
      successes.filter(isExpected).map(({ tier, took }) => ({ labels: { tier }, value: took / 1000 })),
    ),
    gauge(
      'restore_drill_last_status',
      'What the last drill of a tier came to: 1 all well, 0 something failed.',
      last.filter(isExpected).map(({ tier, well }) => ({ labels: { tier }, value: well })),
    ),
    counter(total.drillFailures, 'Restores by drills that failed.', [
      { value: totals.get(total.drillFailures) ?? 0 },
    ]),
  ]
}

type EndedRow = { name: string; at: number; status: number }

// 137: what a shell says of a process that was killed
const lastRuns = `
  SELECT jobs.job AS name, last.finished_at AS at, coalesce(last.exit_status, 137) AS status
  FROM (SELECT DISTINCT job FROM runs) AS jobs JOIN runs AS last ON last.id = (
    SELECT id FROM runs WHERE job = jobs.job AND started_at <= ? AND finished_at IS NOT NULL
    ORDER BY started_at DESC LIMIT 1)
  ORDER BY name`

function runFamilies(database: Database.Database, now: number): Family[] {
  const runs = database.prepare(lastRuns).all(now) as EndedRow[]
  // not `job`: Prometheus has a label of that name itself and would rename this one to exported_job
  const labelled = runs.map(({ name, at, status }) => ({ labels: { name }, at, status }))
  return [
    gauge(
      'job_last_run_timestamp_seconds',
      'When the last run of a job ended, however it did, in Unix time.',
      labelled.map(({ labels, at }) => ({ labels, value: at / 1000 })),
    ),
    gauge(
      'job_last_exit_status',
      'Exit status of the last run of a job; 137 if it died without one.',
      labelled.map(({ labels, status }) => ({ labels, value: status })),
    ),
  ]
}

function channelFamilies(database: Database.Database): Family[] {
  // where nothing is left to be told, that it once failed is of no account
  const channels = database
    .prepare(
      `SELECT name, iif(name IN (SELECT channel FROM alert_deliveries WHERE outcome = 'due'), failures, 0) AS failures
       FROM alert_channels ORDER BY name`,
    )
    .all() as { name: string; failures: number }[]
  return [
    gauge(
      'alert_channel_failures',
      'How often in a row people could not be told by a channel what they still have to be told.',
      channels.map(({ name, failures }) => ({ labels: { channel: name }, value: failures })),
    ),
  ]
}

function gauge(name: string, help: string, samples: Sample[]): Family {
  return { name, type: 'gauge', help, samples }
}

function counter(name: string, help: string, samples: Sample[]): Family {
  return { name, type: 'counter', help, samples }
}

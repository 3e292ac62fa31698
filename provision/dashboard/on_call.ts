import { maxChannelFailures, overdueJobs } from '../alerting_rules.ts'
import type { Limits } from './limits.ts'
import { checkNames, drillNames, exitNames, nothing, nothingNames, upNames } from './names.ts'
import { chosen, goodBelow, goodFrom, neutral, type Row } from './panel.ts'

const host = '{{instance}}'
const tier = '{{instance}} {{tier}}'

/** Candles, and the syncs that bring them. `table`: the agent's table of the candles that are synced. */
export function candles(limits: Limits, table: string): Row {
  const hits = chosen('binance_rate_limit_hits_total')
  return {
    title: 'Sync and candles',
    lines: [
      {
        height: 8,
        panels: [
          {
            kind: 'graph',
            title: 'Age of the data',
            description:
              'Falls with each daily sync. A line that climbs on is a sync that does not come; the dashed lines are where alerts begin.',
            runbooks: ['DataStalenessWarning', 'DataStalenessCritical'],
            width: 12,
            unit: 'duration',
            limits: goodBelow([limits.staleWarning, 'yellow'], [limits.staleSync, 'red']),
            queries: [
              { expr: chosen('candlekeep:sync_age_seconds'), legend: `${host} last sync that counts` },
              { expr: chosen('candlekeep:candle_age_seconds'), legend: `${host} newest candle` },
            ],
          },
          {
            kind: 'table',
            title: 'Age of the newest candle of each symbol',
            description:
              'Since it closed, the oldest first. One symbol that is older than the others was not synced, or does not trade any more: `symbols` on the host says which.',
            runbooks: ['MissingSymbols'],
            width: 12,
            none: 'no candle',
            queries: [
              {
                expr: `max by (instance, symbol) (time() - ${chosen('last_candle_timestamp_seconds')} - ${limits.candle})`,
              },
            ],
            columns: [
              { of: 'symbol', title: 'Symbol' },
              { of: 'instance', title: 'Host' },
              {
                of: 'A',
                title: 'Closed, ago',
                unit: 'age',
                limits: goodBelow([limits.staleCandle, 'red']),
                highestFirst: true,
              },
            ],
          },
        ],
      },
      {
        height: 8,
        panels: [
          {
            kind: 'graph',
            title: 'How long syncs take',
            description:
              'Mean, and what 19 of 20 stay below, of the syncs of the seven days before. The dashed lines are the promise and the deadline. Where it climbs: the exchange is slow, its limits are hit, or others use the address too.',
            runbooks: ['DailySyncTimeout', 'BinanceRateLimitAbuse'],
            width: 9,
            unit: 'duration',
            limits: goodBelow([limits.slowSync, 'yellow'], [limits.syncDeadline, 'red']),
            queries: [
              { expr: `${tookOf('sum')} / (${tookOf('count')} > 0)`, legend: `${host} mean` },
              {
                expr: `histogram_quantile(0.95, ${tookOf('bucket')}) >= 0`,
                legend: `${host} 95 %`,
              },
            ],
          },
          {
            kind: 'graph',
            title: `Times that Binance said "too many requests", ${limits.rateLimitWindow}`,
            description:
              'Who goes on after that is banned, and the trading agent at the same address with it. Look who else asks from there; `sync.weight_budget_ratio` is what syncs may use.',
            runbooks: ['BinanceRateLimitAbuse'],
            width: 8,
            unit: 'count',
            limits: goodBelow([limits.rateLimitHits, 'red']),
            queries: [{ expr: `increase(${hits}[${limits.rateLimitWindow}])`, legend: host }],
          },
          {
            kind: 'bars',
            title: 'How syncs ended, in the time shown',
            description:
              'Whole runs of all symbols. Failed and killed ones are tried again; what they had stored stays. The history and the logs have the reason of each.',
            runbooks: ['DailySyncFailed', 'SyncScriptError'],
            width: 7,
            unit: 'count',
            limits: neutral,
            queries: [
              {
                expr: `sum by (outcome) (increase(${chosen('daily_sync_runs_total')}[$__range]))`,
                legend: '{{outcome}}',
              },
            ],
          },
        ],
      },
      {
        height: 7,
        panels: [
          {
            kind: 'graph',
            title: 'Failures of syncs, 24 h',
            description:
              'Failed or killed; stopped at the deadline; ended by a defect of candlekeep, or killed. A defect is worth a report with the log.',
            runbooks: ['DailySyncFailed', 'DailySyncTimeout', 'SyncScriptError'],
            width: 9,
            unit: 'count',
            limits: goodBelow([1, 'red']),
            queries: [
              { expr: `increase(${chosen('daily_sync_failures_total')}[24h])`, legend: `${host} failed` },
              {
                expr: `increase(${chosen('daily_sync_timeout_total')}[24h])`,
                legend: `${host} out of time`,
              },
              {
                expr: `increase(${chosen('sync_script_errors_total')}[24h])`,
                legend: `${host} defect, or killed`,
              },
            ],
          },
          {
            kind: 'graph',
            title: 'Stored candles',
            description:
              'Of all symbols. It only grows; a fall is rows that were lost or deleted: run a health check.',
            runbooks: ['DatabaseCorruption'],
            width: 8,
            unit: 'count',
            queries: [{ expr: chosen(`${table}_records`), legend: host }],
          },
          {
            kind: 'graph',
            title: 'Symbols that have candles',
            description: 'As many as the cheat sheet lists, or more where it listed others before.',
            runbooks: ['MissingSymbols'],
            width: 7,
            unit: 'count',
            queries: [{ expr: chosen(`${table}_distinct_symbols`), legend: host }],
          },
        ],
      },
    ],
  }
}

/** Of the syncs of seven days. */
function tookOf(part: 'sum' | 'count' | 'bucket'): string {
  return `increase(${chosen(`daily_sync_duration_seconds_${part}`)}[7d])`
}

/** Backups, the drills that prove them, and recoveries. */
export function backups(limits: Limits): Row {
  const proven = chosen('backup_last_success_timestamp_seconds')
  const drilled = chosen('restore_drill_last_success_timestamp_seconds')
  const undrilled = `(${chosen('restore_drill_expected')} unless on (instance, tier) ${drilled})`
  return {
    title: 'Backups, drills, recoveries',
    lines: [
      {
        height: 8,
        panels: [
          {
            kind: 'graph',
            title: 'Age of the newest proven backup, by tier',
            description:
              'Falls with each backup that was read again and found good. The dashed line is where the alert begins. A tier that climbs alone: its disk is not mounted or full, or its service refuses.',
            runbooks: ['BackupStale', 'BackupTierMissing'],
            width: 12,
            unit: 'duration',
            limits: goodBelow([limits.backupAge, 'red']),
            queries: [{ expr: `time() - ${proven}`, legend: tier }],
          },
          {
            kind: 'graph',
            title: 'Size of the newest proven backup, by tier',
            description:
              'Hot copies are plain, the others compressed. A fall is a database that has lost rows: compare with the size of the database below before the retention removes older ones.',
            runbooks: ['DatabaseCorruption'],
            width: 12,
            unit: 'bytes',
            queries: [{ expr: chosen('backup_size_bytes'), legend: tier }],
          },
        ],
      },
      {
        height: 5,
        panels: [
          {
            kind: 'stat',
            title: 'Last drill that proved a tier, ago',
            description:
              'Since a backup of the tier was restored elsewhere and found whole. Red: overdue, or never. `restore_drill` on the host does one now.',
            runbooks: ['RestoreDrillOverdue'],
            width: 8,
            unit: 'age',
            names: nothingNames,
            limits: goodBelow([limits.drillAge, 'red']),
            none: 'none',
            queries: [{ expr: `time() - ${drilled} or ${nothing} * ${undrilled}`, legend: tier }],
          },
          {
            kind: 'stat',
            title: 'Last drill of a tier, its result',
            description:
              'Failed: something of that tier did not come back. Another tier may still; take a new backup, and look at the disk or the bucket.',
            runbooks: ['RestoreDrillFailed'],
            width: 6,
            unit: 'status',
            names: drillNames,
            limits: goodFrom(1),
            none: 'none',
            queries: [{ expr: chosen('restore_drill_last_status'), legend: tier }],
          },
          {
            kind: 'stat',
            title: 'How long a restore took in the last drill',
            description:
              'From the first byte to a proven database: what a recovery from that tier takes at least. Red: longer than what is promised.',
            runbooks: ['RestoreDrillFailed'],
            width: 6,
            unit: 'duration',
            limits: goodBelow([limits.slowRecovery, 'red']),
            none: 'none',
            queries: [{ expr: chosen('restore_drill_duration_seconds'), legend: tier }],
          },
          {
            kind: 'stat',
            title: 'Restores that failed, 30 days',
            description: 'In drills. `backup --list` says which backups are marked bad.',
            runbooks: ['RestoreDrillFailed'],
            width: 4,
            unit: 'count',
            limits: goodBelow([1, 'red']),
            queries: [{ expr: `increase(${chosen('restore_drill_failures_total')}[30d])`, legend: host }],
          },
        ],
      },
      {
        height: 5,
        panels: [
          {
            kind: 'stat',
            title: 'Recoveries, ever',
            description: 'Databases that were brought back on this host.',
            runbooks: ['DatabaseRecovered'],
            width: 4,
            unit: 'count',
            limits: neutral,
            queries: [{ expr: chosen('recoveries_total'), legend: host }],
          },
          {
            kind: 'stat',
            title: 'Last recovery, ago',
            description:
              'Since the database serves again. Its report, in `quarantine/` beside the database, says what happened, what was lost and why.',
            runbooks: ['DatabaseRecovered'],
            width: 6,
            unit: 'age',
            limits: neutral,
            none: 'never',
            queries: [{ expr: `time() - ${chosen('recovery_last_timestamp_seconds')}`, legend: host }],
          },
          {
            kind: 'stat',
            title: 'How long the last recovery took',
            description: 'From its start to a proven database in place. Red: longer than what is promised.',
            runbooks: ['DatabaseRecovered'],
            width: 6,
            unit: 'duration',
            limits: goodBelow([limits.slowRecovery, 'red']),
            none: 'never',
            queries: [{ expr: chosen('recovery_duration_seconds'), legend: host }],
          },
          {
            kind: 'stat',
            title: 'Rows lost by it, at most',
            description:
              'Candles are fetched again; the report names the tables of all others, and `not_restored.db` beside it has what was set aside.',
            runbooks: ['DatabaseRecovered'],
            width: 4,
            unit: 'count',
            limits: goodBelow([1, 'red']),
            none: 'never',
            queries: [{ expr: chosen('recovery_rows_lost'), legend: host }],
          },
          {
            kind: 'stat',
            title: 'Rows salvaged by it',
            description: 'Brought over from the damaged database: the backup did not have them.',
            runbooks: ['DatabaseRecovered'],
            width: 4,
            unit: 'count',
            limits: neutral,
            none: 'never',
            queries: [{ expr: chosen('recovery_rows_salvaged'), legend: host }],
          },
        ],
      },
    ],
  }
}

/** The database, its disk, and the host. */
export function machine(limits: Limits): Row {
  const free = `${chosen('database_disk_free_bytes')} / ${chosen('database_disk_total_bytes')}`
  const fileSystems = 'job="candlekeep",fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|erofs"'
  const ofNode = `${chosen('node_filesystem_avail_bytes', fileSystems)} / (${chosen('node_filesystem_size_bytes', fileSystems)} > 0)`
  const clock = chosen('node_time_seconds', 'job="candlekeep"')
  return {
    title: 'Database and host',
    lines: [
      {
        height: 8,
        panels: [
          {
            kind: 'graph',
            title: 'Size of the database',
            description:
              'Of its file, at the last health check. What it gives no room for any more stops the agent too.',
            runbooks: ['DiskSpaceRunningOut'],
            width: 8,
            unit: 'bytes',
            queries: [{ expr: chosen('database_size_bytes'), legend: host }],
          },
          {
            kind: 'graph',
            title: 'Free share of disks',
            description:
              'Of the disk of the database at the last health check, and of all disks now. Below the dashed line is the alert: remove what is not needed, or give it a larger disk; `backup --dry-run` says what the retention would remove.',
            runbooks: ['DiskSpaceRunningOut'],
            width: 9,
            unit: 'ratio',
            limits: goodFrom(limits.freeDisk),
            queries: [
              {
                expr: `label_replace(${free}, "mountpoint", "disk of the database", "", "") or ${ofNode}`,
                legend: `${host} {{mountpoint}}`,
              },
            ],
          },
          {
            kind: 'graph',
            title: 'Clock, ahead of that of Prometheus',
            description:
              'Candles, retention and alerts go by it. Beyond the dashed line, or as far below zero, is the alert: see that the host keeps time (`timedatectl`).',
            runbooks: ['ClockSkew'],
            width: 7,
            unit: 'duration',
            limits: [
              { from: Number.NEGATIVE_INFINITY, colour: 'red' },
              { from: -limits.clockSkew, colour: 'green' },
              { from: limits.clockSkew, colour: 'red' },
            ],
            queries: [{ expr: `${clock} - timestamp(${clock})`, legend: host }],
          },
        ],
      },
      {
        height: 6,
        panels: [
          {
            kind: 'table',
            title: 'Hosts',
            description:
              'Down: its node_exporter does not answer, so nothing is known of its jobs. Up without a version: the file that each run writes is not there, or cannot be read.',
            runbooks: ['HostDown', 'MetricsMissing'],
            width: 14,
            none: 'none',
            queries: [
              { expr: `max by (instance) (${chosen('up', 'job="candlekeep"')})` },
              { expr: `max by (instance, version, node) (${chosen('candlekeep_info')})` },
              {
                expr: `max by (instance) (${chosen('node_textfile_scrape_error', 'job="candlekeep"')})`,
              },
            ],
            columns: [
              { of: 'instance', title: 'Host' },
              { of: 'A', title: 'node_exporter', unit: 'status', names: upNames },
              { of: 'version', title: 'candlekeep' },
              { of: 'node', title: 'Node' },
              {
                of: 'C',
                title: 'Metrics files',
                unit: 'status',
                names: [
                  { value: 0, text: 'readable', colour: 'green' },
                  { value: 1, text: 'not readable', colour: 'red' },
                ],
              },
            ],
          },
          {
            kind: 'graph',
            title: 'Health checks that found the database damaged, 7 days',
            description: 'Each of them by itself: damage that stays is found by every check.',
            runbooks: ['DatabaseCorruption'],
            width: 10,
            unit: 'count',
            limits: goodBelow([1, 'red']),
            queries: [{ expr: `increase(${chosen('db_integrity_check_failures_total')}[7d])`, legend: host }],
          },
        ],
      },
    ],
  }
}

/** What runs, and whether people are told. */
export function jobs(due: ReturnType<typeof overdueJobs>): Row {
  const lastRun = 'job_last_run_timestamp_seconds'
  const shares = due.map(
    ({ name, seconds }) => `(time() - ${chosen(lastRun, `name="${name}"`)}) / ${seconds}`,
  )
  return {
    title: 'Jobs and alerts',
    lines: [
      {
        height: 8,
        panels: [
          {
            kind: 'table',
            title: 'Jobs, their last runs',
            description:
              'When the last run of each job ended, and how. Of what is allowed: 100 % is where the alert begins, the time for the run itself and for making up for one that was missed counted in; what no timetable has shows none.',
            runbooks: ['JobNotRunning'],
            width: 14,
            none: 'never',
            queries: [
              { expr: `max by (instance, name) (time() - ${chosen(lastRun)})` },
              // a health check ends with the statuses of monitoring plugins, and is shown above
              { expr: `max by (instance, name) (${chosen('job_last_exit_status', 'name!="health_check"')})` },
              { expr: `max by (instance, name) (${shares.join(' or ')})` },
            ],
            columns: [
              { of: 'name', title: 'Job' },
              { of: 'instance', title: 'Host' },
              { of: 'A', title: 'Ended, ago', unit: 'age' },
              { of: 'B', title: 'How', unit: 'status', names: exitNames },
              {
                of: 'C',
                title: 'Of what is allowed',
                unit: 'ratio',
                limits: goodBelow([1, 'red']),
                highestFirst: true,
              },
            ],
          },
          {
            kind: 'graph',
            title: 'Times in a row that people could not be told, by channel',
            description:
              'Of what they still have to be told. `cheat_sheet --test-alert` on the host tries each channel and says what is wrong.',
            runbooks: ['AlertChannelFailing'],
            width: 10,
            unit: 'count',
            limits: goodBelow([maxChannelFailures, 'red']),
            none: 'nothing was to be told',
            queries: [{ expr: chosen('alert_channel_failures'), legend: `${host} {{channel}}` }],
          },
        ],
      },
      {
        height: 8,
        panels: [
          {
            kind: 'timeline',
            title: 'Health checks',
            description:
              'What each of the six found, over time. Yellow that comes and goes with the time of day is a limit that is too tight; look at the check before changing it.',
            runbooks: ['DatabaseCorruption', 'MissingSymbols'],
            width: 24,
            unit: 'status',
            names: checkNames,
            limits: goodFrom(0),
            queries: [{ expr: chosen('health_check_status'), legend: '{{instance}} {{check}}' }],
          },
        ],
      },
    ],
  }
}

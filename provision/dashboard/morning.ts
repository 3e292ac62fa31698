import type { Limits } from './limits.ts'
import { checkNames, exitNames, nothing, nothingNames, severityNames } from './names.ts'
import { chosen, goodBelow, goodFrom, type Row } from './panel.ts'

const firing = chosen('ALERTS', 'alertstate="firing",severity!="none"')
const proven = chosen('backup_last_success_timestamp_seconds')
const unproven = `(${chosen('backup_tier_expected')} unless on (instance, tier) ${proven})`
const integrity = chosen('health_check_status', 'check="database_integrity"')

/** What is looked at every morning: all green, and nobody has to do anything. */
export function morning(limits: Limits): Row {
  return {
    title: 'Is all well?',
    lines: [
      {
        height: 4,
        panels: [
          {
            kind: 'stat',
            title: 'Alerts that fire',
            description:
              'Of the chosen hosts; the table below says which. Each leads to a page that says what to do. The watchdog, which always fires, is left out.',
            runbooks: [],
            width: 4,
            unit: 'count',
            limits: goodBelow([1, 'red']),
            queries: [{ expr: `count(${firing}) or vector(0)`, legend: 'alerts' }],
          },
          {
            kind: 'stat',
            title: 'Last sync that counts, ago',
            description:
              'Since the last sync of all symbols ended that was complete enough. Yellow: one was due since and has not ended well. Red: the data is stale. Look at the log of the last sync, then sync by hand.',
            runbooks: ['DataStalenessWarning', 'DataStalenessCritical', 'NeverSynced'],
            width: 4,
            unit: 'age',
            limits: goodBelow([limits.staleWarning, 'yellow'], [limits.staleSync, 'red']),
            none: 'never',
            queries: [{ expr: chosen('candlekeep:sync_age_seconds'), legend: '{{instance}}' }],
          },
          {
            kind: 'stat',
            title: 'Last sync, its end',
            description:
              'How the last sync of all symbols ended. It is tried again every hour, three times. Partly done: some symbols lack candles; its report names them.',
            runbooks: ['DailySyncFailed', 'DailySyncTimeout', 'MissingSymbols'],
            width: 4,
            unit: 'status',
            names: exitNames,
            limits: goodFrom(0),
            none: 'never',
            queries: [{ expr: chosen('daily_sync_last_exit_status'), legend: '{{instance}}' }],
          },
          {
            kind: 'stat',
            title: 'Newest candle closed, ago',
            description:
              'Since the newest stored candle of any symbol closed. Red: what the agent reads is stale, whatever the sync says of itself.',
            runbooks: ['DataStalenessCritical'],
            width: 4,
            unit: 'age',
            limits: goodBelow([limits.staleCandle, 'red']),
            none: 'no candle',
            queries: [{ expr: chosen('candlekeep:candle_age_seconds'), legend: '{{instance}}' }],
          },
          {
            kind: 'stat',
            title: 'Availability, 30 days',
            description:
              'Share of time in which the data was fresh and the database sound; of a host that is watched for less than 30 days, since then. Red: below the promise.',
            runbooks: ['ErrorBudgetSpent'],
            width: 4,
            unit: 'ratio',
            limits: goodFrom(limits.availability),
            none: 'not known yet',
            queries: [{ expr: chosen('candlekeep:availability:ratio_30d'), legend: '{{instance}}' }],
          },
          {
            kind: 'stat',
            title: 'Error budget left',
            description:
              'What is left of the time in 30 days that a host may be stale or damaged. Red: it is spent; change nothing that is not needed until it has grown again.',
            runbooks: ['ErrorBudgetSpent'],
            width: 4,
            unit: 'ratio',
            limits: goodFrom(0),
            none: 'not known yet',
            queries: [{ expr: chosen('candlekeep:error_budget_left:ratio_30d'), legend: '{{instance}}' }],
          },
        ],
      },
      {
        height: 4,
        panels: [
          {
            kind: 'stat',
            title: 'Database integrity',
            description:
              'What the last health check found. Critical: not there, not sound, or not what was stored. `db_recovery --check` on the host says what is wrong.',
            runbooks: ['DatabaseCorruption'],
            width: 4,
            unit: 'status',
            names: checkNames,
            limits: goodFrom(0),
            none: 'never checked',
            queries: [{ expr: integrity, legend: '{{instance}}' }],
          },
          {
            kind: 'stat',
            title: 'Newest proven backup of each tier, its age',
            description:
              'Only backups that were read again and found good. Red: too old, or none where there should be one. `backup --list` says what is there.',
            runbooks: ['BackupStale', 'BackupTierMissing'],
            width: 9,
            unit: 'age',
            names: nothingNames,
            limits: goodBelow([limits.backupAge, 'red']),
            none: 'none',
            queries: [
              {
                expr: `time() - ${proven} or ${nothing} * ${unproven}`,
                legend: '{{instance}} {{tier}}',
              },
            ],
          },
          {
            kind: 'stat',
            title: 'All checks of the last health check',
            description:
              'Each of the six by itself. `health_check` on the host says in a line what is wrong with each, and the command that helps.',
            runbooks: ['DatabaseCorruption', 'MissingSymbols', 'DiskSpaceRunningOut'],
            width: 11,
            unit: 'status',
            names: checkNames,
            limits: goodFrom(0),
            none: 'never checked',
            queries: [{ expr: chosen('health_check_status'), legend: '{{instance}} {{check}}' }],
          },
        ],
      },
      {
        height: 6,
        panels: [
          {
            kind: 'table',
            title: 'Which alerts fire, since when',
            description:
              'Empty when all is well. The page of an alert (Runbooks, above) has its meaning, its impact, how to find the cause and what to do.',
            runbooks: [],
            width: 24,
            none: 'none',
            queries: [
              {
                expr: `(time() - ${chosen('ALERTS_FOR_STATE')}) and ignoring (alertstate) ${firing}`,
              },
            ],
            columns: [
              { of: 'severity', title: 'Severity', names: severityNames },
              { of: 'alertname', title: 'Alert' },
              { of: 'instance', title: 'Host' },
              { of: 'name', title: 'Job' },
              { of: 'tier', title: 'Tier' },
              { of: 'channel', title: 'Channel' },
              { of: 'A', title: 'For', unit: 'age', highestFirst: true },
            ],
          },
        ],
      },
    ],
  }
}

import type { CheckName } from '../health/check.ts'
import type { CheatSheet } from '../job/config_types.ts'

/** What an operator needs at hand. */
export type OperatorSheet = {
  /** What is asked every morning, each with the check that answers it. */
  morning: { check: CheckName; question: string }[]
  syncFails: Step[]
  symptoms: Symptom[]
  commands: Reference[]
  /** Names and what the cheat sheet has for them. */
  numbers: [name: string, value: string][]
}

type Step = { text: string; commands: string[] }

type Symptom = {
  symptom: string
  commands: string[]
  /** The page in docs/runbooks that says more. */
  runbook: string
}

type Reference = { command: string; does: string; runs?: string }

/** How a command of ours is called: `backup --list` → `/opt/jobs/candlekeep.sh backup --list`. */
export type Call = (command: string) => string

export const morningTime = '08:00 UTC'

/** The one home of what the terminal and docs/cheat_sheet.md tell. All numbers are the configuration's. */
export function operatorSheet(config: CheatSheet, call: Call): OperatorSheet {
  return {
    morning: morning(config),
    syncFails: syncFails(config, call),
    symptoms: symptoms(config, call),
    commands: [...jobs(config, call), ...byHand(call), ...installer],
    numbers: numbers(config),
  }
}

function morning({ health, sync }: CheatSheet): OperatorSheet['morning'] {
  const { max_data_age_hours, min_database_mb, max_backup_age_hours, max_log_age_hours } = health
  return [
    {
      check: 'data_freshness',
      question: `Are the last sync and the newest candle younger than ${max_data_age_hours} h?`,
    },
    { check: 'symbol_coverage', question: `Have all ${sync.symbols.length} symbols their candles, no gap?` },
    { check: 'database_integrity', question: 'Is the database sound?' },
    {
      check: 'database_size',
      question: `Is it larger than ${min_database_mb} MB, and ${percent(health.min_free_disk_ratio)} of its disk free?`,
    },
    {
      check: 'backup_status',
      question: `Has each tier a proven backup younger than ${max_backup_age_hours} h?`,
    },
    {
      check: 'recent_activity',
      question: `Has the sync run within ${max_log_age_hours} h, and no job failed?`,
    },
  ]
}

function syncFails({ paths, schedule }: CheatSheet, call: Call): Step[] {
  return [
    {
      text: 'Read what it says: each symbol that failed, why, and what was done about it.',
      commands: [`tail -n 40 ${paths.logs}/daily_sync.log`],
    },
    {
      text: 'See whether the configuration is valid, and the exchange and the database can be reached.',
      commands: [call('cheat_sheet --validate'), call('daily_candle_sync --dry-run')],
    },
    {
      text: 'Sync by hand. It is safe at any time: a second one at once ends with status 75.',
      commands: [call('daily_candle_sync')],
    },
    {
      text: 'Where the database is the trouble, see what is wrong with it, stop the agent, and bring it back.',
      commands: [call('db_recovery --check'), call('db_recovery')],
    },
    {
      text: `Still not well: call the engineer on call, with what the check says. The next sync that succeeds fills all gaps; it is tried again every hour, three times, and then at ${schedule.daily_sync} UTC.`,
      commands: [call('health_check --full')],
    },
  ]
}

function symptoms({ paths, sync }: CheatSheet, call: Call): Symptom[] {
  return [
    {
      symptom: 'The data is old, and no sync runs',
      commands: ['systemctl status cron', `tail -n 40 ${paths.logs}/daily_sync.log`],
      runbook: 'JobNotRunning',
    },
    {
      symptom: 'A sync ends with status 124: out of time',
      commands: [call('daily_candle_sync --dry-run')],
      runbook: 'DailySyncTimeout',
    },
    {
      symptom: 'Some symbols lack candles',
      commands: [call('symbols'), call(`daily_candle_sync --symbols ${sync.symbols[0]} --lookback 50`)],
      runbook: 'MissingSymbols',
    },
    {
      symptom: 'Binance says too many requests',
      commands: [call('daily_candle_sync --dry-run')],
      runbook: 'BinanceRateLimitAbuse',
    },
    {
      symptom: 'A run ends with status 75: another one, which it names, holds the lock',
      commands: [call('health_check')],
      runbook: 'DailySyncFailed',
    },
    {
      symptom: 'SQLite says "malformed", or a check finds damage',
      commands: [call('db_recovery --check'), call('db_recovery --dry-run')],
      runbook: 'DatabaseCorruption',
    },
    {
      symptom: 'A disk is nearly full',
      commands: [`df -h ${paths.workspace} ${paths.state}`, call('backup --dry-run')],
      runbook: 'DiskSpaceRunningOut',
    },
    {
      symptom: 'A tier has no backup, or an old one',
      commands: [call('backup --list'), call('backup')],
      runbook: 'BackupTierMissing',
    },
    {
      symptom: 'A backup does not come back in a drill',
      commands: [call('backup --verify'), call('backup')],
      runbook: 'RestoreDrillFailed',
    },
    {
      symptom: 'Nobody was told of an alert',
      commands: [call('cheat_sheet --test-alert')],
      runbook: 'AlertChannelFailing',
    },
    {
      symptom: 'Candles come too early or too late',
      commands: ['timedatectl', 'date -u'],
      runbook: 'ClockSkew',
    },
    {
      symptom: 'A host does not answer, or its metrics are gone',
      commands: ['npx zx provision/status.mts'],
      runbook: 'HostDown',
    },
    {
      symptom: 'A release is worse than the one before',
      commands: ['npx zx provision/rollback.mts'],
      runbook: 'SyncScriptError',
    },
  ]
}

function jobs({ schedule }: CheatSheet, call: Call): Reference[] {
  const { daily_sync, backup, hot_snapshot_minutes, health_check_hours, restore_drill, sla_audit } = schedule
  return [
    {
      command: call('daily_candle_sync'),
      does: 'brings every symbol up to its last closed candle and fills inner gaps',
      runs: `every day at ${daily_sync} UTC`,
    },
    {
      command: call('backup'),
      does: 'takes a copy, proves it, keeps it on all tiers',
      runs: `every day at ${backup} UTC`,
    },
    {
      command: call('backup --tiers hot --if-changed --catch-up'),
      does: 'the same to the hot tier, where something has changed, and to tiers that missed theirs',
      runs: `every ${hot_snapshot_minutes} minutes`,
    },
    {
      command: call('health_check --notify'),
      does: 'six checks, and tells people what has changed',
      runs: `every ${health_check_hours} h`,
    },
    {
      command: call('restore_drill'),
      does: 'restores a backup of each tier elsewhere and proves it',
      runs: `${restore_drill} UTC`,
    },
    {
      command: call('sla_audit --month --unless-kept'),
      does: 'audits the last month once, keeps the page and tells people',
      runs: `every day at ${sla_audit} UTC`,
    },
  ]
}

function byHand(call: Call): Reference[] {
  return [
    { command: call('daily_candle_sync --dry-run'), does: 'what a sync would fetch' },
    {
      command: call('daily_candle_sync --since 30d --reread'),
      does: 'reads all of that again; what differs is rewritten',
    },
    { command: call('health_check --full'), does: 'compares the seals of all symbols' },
    { command: call('backup --list'), does: 'what is there' },
    { command: call('backup --verify'), does: 'reads all backups in full and proves them again' },
    { command: call('db_recovery --check'), does: 'whether the database is sound; changes nothing' },
    { command: call('db_recovery --dry-run'), does: 'what a recovery would do, and who is in the way' },
    { command: call('db_recovery'), does: 'brings a damaged database back; asks first' },
    { command: call('restore_drill --all'), does: 'restores every backup that there is' },
    {
      command: call('sla_audit'),
      does: 'judges the last 30 days: each target, met or missed, and what cost it',
    },
    { command: call('symbols'), does: 'checks the symbol list against the exchange' },
    {
      command: call('cheat_sheet --validate'),
      does: 'whether the configuration is valid, which tiers and channels it has',
    },
    {
      command: call('cheat_sheet --test-alert'),
      does: 'sends a message marked as a test through each channel',
    },
    { command: call('cheat_sheet'), does: 'this page, with the answers of now' },
  ]
}

const installer: Reference[] = [
  { command: 'npx zx provision/status.mts', does: 'what runs where: release, drift, last runs, health' },
  { command: 'npx zx provision/install.mts --check --diff', does: 'what an installation would change' },
  { command: 'npx zx provision/install.mts', does: 'sets all hosts of the inventory up' },
  { command: 'npx zx provision/rollback.mts', does: 'makes the release run that ran before' },
]

function numbers({ backup, sla, health, recovery, sync }: CheatSheet): OperatorSheet['numbers'] {
  return [
    ['Availability, 30 days', `${sla.availability_percent} %`],
    ['Data older than this is stale', `${health.max_data_age_hours} h`],
    ['A sync takes at most', `${sync.timeout_minutes} min`],
    ['What may be lost (RPO)', `${sla.rpo_hours} h`],
    ['How soon the database is back (RTO)', `${sla.rto_minutes} min`],
    ['A restore takes at most', `${recovery.max_restore_minutes} min`],
    [
      'Backups stay: hot, warm, cold',
      [backup.hot, backup.warm, backup.cold].map(tier => `${tier.retention_days} d`).join(', '),
    ],
  ]
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toPrecision(3))} %`
}

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { alertingRules } from '../provision/alerting_rules.ts'
import { checkConfig } from '../scripts/job/config.ts'
import { debianYaml, skipWithoutPackages } from './support/debian.ts'
import { temporaryFolder } from './support/workspace.ts'

// Prometheus' rules, by promtool: that each fires where it should, and not just before, and not for want of a series.

const project = join(import.meta.dirname, '..')
const file = join(project, 'conf/alerting_rules.yml')
const skip = skipWithoutPackages({ prometheus: 'promtool', ...debianYaml })

const minute = 60
const hour = 60 * minute
const day = 24 * hour

/** A series by its name, and its values as promtool writes them: a minute apart, the first at time 0. */
type Series = Record<string, string>

type Case = {
  alert: string
  /** What happens. */
  when: string
  series: Series
  /** Seconds after the first values. */
  at: number
  /** Labels that the alert has; where it does not fire, none. */
  fires?: Record<string, string>
  /** Seconds from one value to the next, and from one evaluation to the next; default 60. */
  step?: number
}

const host = 'instance="md-1",job="candlekeep"'
const of = (name: string, labels = '') => `${name}{${host}${labels === '' ? '' : `,${labels}`}}`
const [info, up, lastStatus] = [of('candlekeep_info'), of('up'), of('daily_sync_last_exit_status')]
const [synced, counted] = [of('last_sync_timestamp_seconds'), of('candlekeep_info', 'version="1"')]
const tier = (name: string, of_: string) => of(name, `tier="${of_}"`)
const job = (name: string) => of('job_last_run_timestamp_seconds', `name="${name}"`)
const integrity = of('health_check_status', 'check="database_integrity"')
const coverage = of('health_check_status', 'check="symbol_coverage"')
/** So many values of one kind: two days are enough for most. */
const always = (value: number, minutes = 600) => `${value}x${minutes}`

const { health, monitoring, sync } = checkConfig(structuredClone(sheet), 'the cheat sheet')
const critical = health.max_data_age_hours * hour
const warning = monitoring.stale_warning_hours * hour
const backup = health.max_backup_age_hours * hour
const patience = sync.timeout_minutes * minute

/** Fires at `after` seconds, does not just before, and does not where there is no such series. */
function aged(alert: string, series: Series, after: number, labels: Record<string, string>): Case[] {
  // what takes a day is looked at every ten minutes: promtool takes long enough
  const step = after > 12 * hour ? 10 * minute : minute
  const count = Math.ceil(after / step) + 10
  const kept = Object.fromEntries(Object.entries(series).map(([name, value]) => [name, `${value}x${count}`]))
  const none = { [info]: `1x${count}` }
  // at an evaluation: what a rule said is looked for in the five minutes before only
  const early = Math.floor((after - minute) / step) * step
  const late = Math.ceil(after / step + 2) * step
  return [
    { alert, when: 'the time has come', series: kept, at: late, step, fires: labels },
    { alert, when: 'it is a moment before', series: kept, at: early, step },
    { alert, when: 'there is no such series', series: none, at: late, step },
  ]
}

/** Fires with the first values, not with the second, and not where there is no such series. */
function valued(
  alert: string,
  bad: Series,
  good: Series,
  at: number,
  labels: Record<string, string>,
): Case[] {
  return [
    { alert, when: 'it is so', series: bad, at, fires: labels },
    { alert, when: 'it is not quite so', series: good, at },
    { alert, when: 'there is no such series', series: { [info]: always(1) }, at },
  ]
}

const theTen: Case[] = [
  ...[1, 130, 137].flatMap(code =>
    valued('DailySyncFailed', { [lastStatus]: always(code) }, { [lastStatus]: always(0) }, minute, {
      severity: 'critical',
    }),
  ),
  ...[2, 124].flatMap(code =>
    valued('DailySyncFailed', { [lastStatus]: always(1) }, { [lastStatus]: always(code) }, minute, {
      severity: 'critical',
    }),
  ),
  ...valued('DailySyncTimeout', { [lastStatus]: always(124) }, { [lastStatus]: always(1) }, minute, {
    severity: 'critical',
  }),
  ...aged('DataStalenessCritical', { [synced]: '0' }, critical + 5 * minute, { severity: 'critical' }),
  // the newest candle opened four hours before it closed
  ...aged(
    'DataStalenessCritical',
    { [of('last_candle_timestamp_seconds', 'symbol="BTCUSDT"')]: '0' },
    critical + 4 * hour + 5 * minute,
    { severity: 'critical' },
  ),
  ...valued('DatabaseCorruption', { [integrity]: always(2) }, { [integrity]: always(1) }, minute, {
    severity: 'critical',
    check: 'database_integrity',
  }),
  ...valued('DatabaseCorruption', { [integrity]: always(2) }, { [integrity]: always(3) }, minute, {
    severity: 'critical',
    check: 'database_integrity',
  }),
  ...aged('DataStalenessWarning', { [synced]: '0' }, warning + patience, { severity: 'warning' }),
  ...valued(
    'BinanceRateLimitAbuse',
    { [of('binance_rate_limit_hits_total')]: `0x59 ${monitoring.rate_limit_hits}x600` },
    { [of('binance_rate_limit_hits_total')]: `0x59 ${monitoring.rate_limit_hits - 1}x600` },
    2 * hour,
    { severity: 'warning' },
  ),
  ...aged(
    'BackupStale',
    { [tier('backup_last_success_timestamp_seconds', 'hot')]: '0' },
    backup + 5 * minute,
    {
      severity: 'warning',
    },
  ),
  // a backup comes a while after the last one has become too old
  ...[
    { alert: 'BackupStale', after: minute, fires: { severity: 'warning' } },
    { alert: 'BackupStale', after: 4 * minute },
    // it goes before that which stands for it
    { alert: 'BackupTierMissing', after: minute },
  ].map(({ alert, after, fires }): Case => {
    const taken = backup + 40 * minute
    const when = `a backup was taken ${after} s ago`
    const newest = `0x${taken / minute - 1} ${taken}x20`
    const series = {
      [tier('backup_tier_expected', 'hot')]: always(1, taken / minute + 20),
      [tier('backup_last_success_timestamp_seconds', 'hot')]: newest,
    }
    return { alert, when, series, at: taken + after, ...(fires && { fires }) }
  }),
  ...[1, 2].flatMap(code =>
    valued('MissingSymbols', { [coverage]: always(code) }, { [coverage]: always(0) }, minute, {
      severity: 'warning',
    }),
  ),
  ...valued(
    'MissingSymbols',
    { [lastStatus]: always(2) },
    { [lastStatus]: always(0), [coverage]: always(3) },
    minute,
    {
      severity: 'warning',
    },
  ),
  ...valued(
    'DiskSpaceRunningOut',
    { [of('database_disk_free_bytes')]: always(149), [of('database_disk_total_bytes')]: always(1000) },
    { [of('database_disk_free_bytes')]: always(151), [of('database_disk_total_bytes')]: always(1000) },
    20 * minute,
    { severity: 'info' },
  ),
  ...valued(
    'DiskSpaceRunningOut',
    {
      [of('node_filesystem_avail_bytes', 'fstype="ext4",mountpoint="/"')]: always(149),
      [of('node_filesystem_size_bytes', 'fstype="ext4",mountpoint="/"')]: always(1000),
    },
    {
      [of('node_filesystem_avail_bytes', 'fstype="tmpfs",mountpoint="/run"')]: always(1),
      [of('node_filesystem_size_bytes', 'fstype="tmpfs",mountpoint="/run"')]: always(1000),
    },
    20 * minute,
    { severity: 'info' },
  ),
  {
    alert: 'DiskSpaceRunningOut',
    when: 'nothing at all is left',
    series: {
      [of('node_filesystem_avail_bytes', 'fstype="ext4",mountpoint="/"')]: always(0),
      [of('node_filesystem_size_bytes', 'fstype="ext4",mountpoint="/"')]: always(1000),
    },
    at: 20 * minute,
    fires: { severity: 'info' },
  },
  {
    alert: 'DiskSpaceRunningOut',
    when: 'it is a host of somebody else',
    series: {
      'node_filesystem_avail_bytes{instance="web-1",job="node",fstype="ext4"}': always(1),
      'node_filesystem_size_bytes{instance="web-1",job="node",fstype="ext4"}': always(1000),
    },
    at: 20 * minute,
  },
  ...valued(
    'SyncScriptError',
    { [of('sync_script_errors_total')]: '4x59 5x600' },
    { [of('sync_script_errors_total')]: '5x700' },
    2 * hour,
    { severity: 'info' },
  ),
]

const beyond: Case[] = [
  ...valued('HostDown', { [up]: always(0) }, { [up]: always(1) }, 6 * minute, { severity: 'critical' }),
  ...valued('MetricsMissing', { [up]: always(1) }, { [up]: always(1), [counted]: always(1) }, 16 * minute, {
    severity: 'critical',
  }),
  { alert: 'MetricsMissing', when: 'the host is down', series: { [up]: always(0) }, at: 16 * minute },
  ...valued(
    'MetricsUnreadable',
    { [of('node_textfile_scrape_error')]: always(1) },
    { [of('node_textfile_scrape_error')]: always(0) },
    16 * minute,
    { severity: 'warning' },
  ),
  {
    alert: 'NeverSynced',
    when: 'it is so',
    series: { [info]: always(1) },
    at: 2 * hour + minute,
    fires: { severity: 'critical' },
  },
  { alert: 'NeverSynced', when: 'it may still come', series: { [info]: always(1) }, at: 2 * hour - minute },
  {
    alert: 'NeverSynced',
    when: 'there was one',
    series: { [info]: always(1), [synced]: always(0) },
    at: 2 * hour + minute,
  },
  ...aged('JobNotRunning', { [job('daily_sync')]: '0' }, day + hour + patience + 5 * minute, {
    severity: 'warning',
    name: 'daily_sync',
  }),
  ...aged('JobNotRunning', { [job('health_check')]: '0' }, 7 * hour + 15 * minute, {
    severity: 'warning',
    name: 'health_check',
  }),
  {
    alert: 'JobNeverRan',
    when: 'it is so, and the others have run',
    series: {
      [info]: always(1),
      ...Object.fromEntries(['daily_sync', 'backup', 'restore_drill'].map(name => [job(name), always(0)])),
    },
    at: 7 * hour + 15 * minute,
    fires: { severity: 'warning', name: 'health_check' },
  },
  {
    alert: 'JobNeverRan',
    when: 'another version has come meanwhile',
    series: {
      [of('candlekeep_info', 'version="1"')]: '1x240 _x2640',
      [of('candlekeep_info', 'version="2"')]: '_x240 1x2640',
      ...Object.fromEntries(['daily_sync', 'backup', 'restore_drill'].map(name => [job(name), always(0)])),
    },
    at: 7 * hour + 15 * minute,
    fires: { severity: 'warning', name: 'health_check' },
  },
  {
    alert: 'JobNeverRan',
    when: 'it was not due yet',
    series: {
      [info]: always(1),
      ...Object.fromEntries(['daily_sync', 'backup', 'restore_drill'].map(name => [job(name), always(0)])),
    },
    at: 7 * hour + 5 * minute,
  },
  {
    alert: 'JobNeverRan',
    when: 'all have run',
    series: {
      [info]: always(1),
      ...Object.fromEntries(
        ['daily_sync', 'backup', 'restore_drill', 'health_check'].map(name => [job(name), always(0)]),
      ),
    },
    at: 9 * hour,
  },
  ...valued(
    'BackupTierMissing',
    {
      [tier('backup_tier_expected', 'cold')]: always(1),
      [tier('backup_last_success_timestamp_seconds', 'hot')]: always(0),
    },
    {
      [tier('backup_tier_expected', 'cold')]: always(1),
      [tier('backup_last_success_timestamp_seconds', 'cold')]: always(0),
    },
    31 * minute,
    { severity: 'warning', tier: 'cold' },
  ),
  ...valued(
    'RestoreDrillFailed',
    { [tier('restore_drill_last_status', 'warm')]: always(0) },
    { [tier('restore_drill_last_status', 'warm')]: always(1) },
    minute,
    { severity: 'warning', tier: 'warm' },
  ),
  ...aged(
    'RestoreDrillOverdue',
    { [tier('restore_drill_last_success_timestamp_seconds', 'hot')]: '0' },
    monitoring.drill_max_age_days * day + day,
    { severity: 'warning', tier: 'hot' },
  ),
  {
    alert: 'RestoreDrillOverdue',
    when: 'there was none',
    series: { [tier('restore_drill_expected', 'hot')]: always(1) },
    at: day + 20 * minute,
    step: 10 * minute,
    fires: { severity: 'warning', tier: 'hot' },
  },
  ...valued(
    'DatabaseRecovered',
    { [of('recovery_last_timestamp_seconds')]: always(0) },
    { [of('recovery_last_timestamp_seconds')]: always(-2 * day) },
    hour,
    { severity: 'info' },
  ),
  ...valued(
    'ClockSkew',
    { [of('node_time_seconds')]: `${monitoring.max_clock_skew_seconds + 5}+60x120` },
    { [of('node_time_seconds')]: `-${monitoring.max_clock_skew_seconds - 5}+60x120` },
    20 * minute,
    { severity: 'warning' },
  ),
  ...valued(
    'AlertChannelFailing',
    { [of('alert_channel_failures', 'channel="slack"')]: always(3) },
    { [of('alert_channel_failures', 'channel="slack"')]: always(2) },
    31 * minute,
    { severity: 'warning', channel: 'slack' },
  ),
  ...valued(
    'NotificationsFailing',
    {
      [of('alertmanager_notifications_failed_total', 'integration="slack",reason="other"')]: '0x30 1x9 2x500',
    },
    { [of('alertmanager_notifications_failed_total', 'integration="slack",reason="other"')]: '2x600' },
    38 * minute,
    { severity: 'warning', integration: 'slack' },
  ),
  ...valued(
    'ErrorBudgetSpent',
    { [synced]: '0x1600', [integrity]: '2x20 0x1580' },
    { [synced]: '0x1600', [integrity]: '0x1600' },
    2 * hour,
    { severity: 'info' },
  ),
  { alert: 'Watchdog', when: 'nothing is known at all', series: {}, at: minute, fires: { severity: 'none' } },
]

type Group = {
  name: string
  rules: { alert?: string; labels?: { severity: string }; annotations?: Record<string, string> }[]
}

/** The groups, as a reader of YAML that is not ours has them. */
function groupsOf(text: string): Group[] {
  const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'
  const { stdout } = spawnSync('/usr/bin/python3', ['-c', script], { input: text, encoding: 'utf8' })
  return (JSON.parse(stdout) as { groups: Group[] }).groups
}

await t.test('Each rule fires where it should, and not where it should not', { skip }, async group => {
  for (const [alert, cases] of Map.groupBy([...theTen, ...beyond], each => each.alert)) {
    await group.test(alert, test => {
      for (const [step, together] of Map.groupBy(cases, each => each.step ?? minute)) {
        const input = join(temporaryFolder(test), 'test.json')
        const tests = together.map(each => testOf(each, step))
        // without an order promtool takes any: an alert would have its recorded series now and then a step late
        const order = groupsOf(readFileSync(file, 'utf8')).map(({ name }) => name)
        const content = {
          rule_files: [file],
          evaluation_interval: `${step}s`,
          group_eval_order: order,
          tests,
        }
        writeFileSync(input, JSON.stringify(content))
        const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', input], {
          encoding: 'utf8',
        })
        test.equal(status, 0, `${together.length} cases: ${status === 0 ? '' : stdout + stderr}`)
      }
      test.end()
    })
  }
})

/** A case as promtool takes it. */
function testOf({ alert, when, series, at, fires }: Case, step: number) {
  const labels = { alertname: alert, ...(alert === 'Watchdog' ? {} : { instance: 'md-1' }), ...fires }
  const firing = `ALERTS{alertname="${alert}", alertstate="firing"}`
  return {
    name: `${alert}: ${when}`,
    interval: `${step}s`,
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: `count by (alertname, severity, instance, name, tier, channel, check, integration) (${firing})`,
        eval_time: `${at}s`,
        exp_samples: fires === undefined ? [] : [{ labels: labelsOf(labels), value: 1 }],
      },
    ],
  }
}

function labelsOf(labels: Record<string, string>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`
}

await t.test('The rules', { skip }, async group => {
  const groups = groupsOf(readFileSync(file, 'utf8'))
  const alerts = groups.flatMap(({ rules }) => rules.filter(({ alert }) => alert !== undefined))

  await group.test('are sound for promtool', test => {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })
    test.equal(status, 0, stdout + stderr)
    test.end()
  })

  await group.test(
    'are the ten of the mission, with their severities, and others in a group of their own',
    test => {
      const severities = groups
        .find(({ name }) => name === 'candlekeep')
        ?.rules.map(({ alert, labels }) => `${alert} ${labels?.severity}`)
      test.same(severities?.sort(), [
        'BackupStale warning',
        'BinanceRateLimitAbuse warning',
        'DailySyncFailed critical',
        'DailySyncTimeout critical',
        'DataStalenessCritical critical',
        'DataStalenessWarning warning',
        'DatabaseCorruption critical',
        'DiskSpaceRunningOut info',
        'MissingSymbols warning',
        'SyncScriptError info',
      ])
      test.end()
    },
  )

  await group.test('are all tested here', test => {
    const tested = new Set([...theTen, ...beyond].map(({ alert }) => alert))
    test.same(
      [...new Set(alerts.map(({ alert }) => alert))].filter(alert => !tested.has(alert ?? '')),
      [],
    )
    test.end()
  })

  await group.test('count in whole numbers, whatever Prometheus extrapolates', test => {
    const input = join(temporaryFolder(test), 'test.json')
    const runbook = (alert: string) => `${monitoring.runbooks_url}/${alert}.md`
    const alertTest = (alertname: string, severity: string, summary: string, description: string) => ({
      alertname,
      eval_time: '2h',
      exp_alerts: [
        {
          exp_labels: { severity, instance: 'md-1', job: 'candlekeep' },
          exp_annotations: { summary, description, runbook_url: runbook(alertname) },
        },
      ],
    })
    const tests = [
      {
        interval: '1m',
        input_series: [
          { series: of('binance_rate_limit_hits_total'), values: '_x30 5x40 8x100' },
          { series: of('sync_script_errors_total'), values: '_x30 5x40 6x100' },
        ],
        alert_rule_test: [
          alertTest(
            'BinanceRateLimitAbuse',
            'warning',
            'Binance told md-1 to slow down 3 times',
            'In 2 h. Who goes on after that is banned, and the trading agent with it.',
          ),
          alertTest(
            'SyncScriptError',
            'info',
            'A daily sync of md-1 ended by a defect, or was killed',
            '1 in the last 6 h.',
          ),
        ],
      },
    ]
    writeFileSync(input, JSON.stringify({ rule_files: [file], evaluation_interval: '1m', tests }))
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', input], { encoding: 'utf8' })
    test.equal(status, 0, stdout + stderr)
    test.end()
  })

  await group.test('lead to a page that says what to do', test => {
    for (const { alert, annotations = {} } of alerts) {
      for (const name of ['summary', 'description', 'runbook_url'])
        test.ok(annotations[name], `${alert}: ${name}`)
      const page = annotations['runbook_url']?.replace(`${monitoring.runbooks_url}/`, '') ?? ''
      test.ok(existsSync(join(project, 'docs/runbooks', page)), `${alert}: docs/runbooks/${page}`)
    }
    test.end()
  })

  await group.test('have their thresholds from the cheat sheet', test => {
    const changed = structuredClone({ ...sheet })
    changed.health.max_data_age_hours = 27
    changed.health.max_backup_age_hours = 28
    changed.health.min_free_disk_ratio = 0.07
    changed.monitoring = {
      ...changed.monitoring,
      stale_warning_hours: 25,
      rate_limit_hits: 4,
      drill_max_age_days: 9,
    }
    const rules = alertingRules(checkConfig(changed, 'another'), 'another')
    for (const wanted of ['> 97200', '> 90000', '> 100800', '< 0.07', '>= 4', '> 777600'])
      test.match(rules, wanted)
    test.end()
  })

  await group.test('let a candle be older where the sync is due in the middle of one', test => {
    const changed = structuredClone({ ...sheet })
    changed.schedule.daily_sync = '03:30'
    const rules = alertingRules(checkConfig(changed, 'another'), 'another')
    // a day, three hours and a half into a candle, and half an hour for the sync
    test.match(rules, `candlekeep:candle_age_seconds > ${28 * hour}`)
    test.match(rules, `candlekeep:sync_age_seconds > ${26 * hour}`)
    test.end()
  })
})

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { grafanaDashboard } from '../provision/dashboard.ts'
import { jobsOf } from '../provision/schedule.ts'
import { checkConfig } from '../scripts/job/config.ts'
import { alertsFor, channelEnvironment } from './support/alerts/here.ts'
import { startServices } from './support/alerts/services.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { freeAddresses, startDaemon } from './support/monitoring/daemon.ts'
import { metricNames } from './support/monitoring/metric_names.ts'
import { labelValues, query, ruleExpressions } from './support/monitoring/prometheus.ts'
import { withShortWaits } from './support/monitoring/shortened.ts'
import { makeWorkspace, temporaryFolder } from './support/workspace.ts'

// Grafana's dashboard: that the file is sound, and that a real Prometheus has an answer to all that its panels ask.

const project = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(project, file), 'utf8')
const packages = {
  prometheus: 'prometheus',
  'prometheus-alertmanager': 'prometheus-alertmanager',
  'prometheus-node-exporter': 'prometheus-node-exporter',
}
const skip = skipWithoutPackages(packages)

type Source = { type?: string; uid?: string }
type Target = { refId: string; expr: string; datasource: Source; legendFormat?: string }
type Step = { color: string; value: number | null }
type Panel = {
  id: number
  type: string
  title: string
  description?: string
  gridPos: { x: number; y: number; w: number; h: number }
  datasource?: Source
  links?: { url: string }[]
  targets?: Target[]
  fieldConfig?: {
    defaults: { unit?: string; thresholds: { steps: Step[] } }
    overrides: { matcher: { options: string }; properties: { id: string; value: unknown }[] }[]
  }
}
type Board = {
  panels: Panel[]
  templating: { list: { name: string; type: string; query: string | { query: string } }[] }
}

const board = JSON.parse(read('conf/grafana_dashboard.json')) as Board
const shown = board.panels.filter(({ type }) => type !== 'row')
const targetsOf = (panels: Panel[]) =>
  panels.flatMap(({ title, targets = [] }) => targets.map(target => ({ title, ...target })))
const pathOf = (url: string) => url.replace(`${sheet.monitoring.runbooks_url}/`, 'docs/runbooks/')

await t.test('the dashboard', async group => {
  await group.test('is what the cheat sheet makes of it', test => {
    const made = grafanaDashboard(checkConfig(structuredClone(sheet), 'the cheat sheet'))
    test.equal(read('conf/grafana_dashboard.json'), made)
    test.end()
  })

  await group.test('has each panel once, in a place of its own, and no hole', test => {
    const ids = board.panels.map(({ id }) => id)
    test.equal(new Set(ids).size, ids.length)
    const cells = board.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    )
    test.equal(new Set(cells).size, cells.length, 'none lies over another')
    const columns = cells.map(cell => Number(cell.split(',')[0]))
    test.ok(Math.min(...columns) === 0 && Math.max(...columns) === 23, 'within 24 columns')
    const lines = new Set(cells.map(cell => cell.split(',')[1]))
    test.equal(cells.length, 24 * lines.size, 'each line is filled')
    test.equal(new Set(shown.map(({ title }) => title)).size, shown.length, 'no title is there twice')
    test.end()
  })

  await group.test('says of each panel what it shows and what to do, in units', test => {
    for (const { title, description = '', type, fieldConfig, links = [] } of shown) {
      test.match(description, /^[A-Z].{20,}\.$/s, title)
      const units = fieldConfig?.overrides.flatMap(({ properties }) =>
        properties.filter(({ id }) => id === 'unit'),
      )
      test.ok(type === 'table' ? units?.length : fieldConfig?.defaults.unit, `${title}: a unit`)
      for (const { url } of links) test.ok(read(pathOf(url)), `${title}: ${url}`)
    }
    test.end()
  })

  await group.test(
    'asks the Prometheus and the hosts that are chosen, and nothing that is not defined',
    test => {
      const variables = board.templating.list.map(({ name }) => name)
      test.same(variables, ['datasource', 'instance'])
      const ofGrafana = ['__range', '__all']
      const used = Array.from(JSON.stringify(board).matchAll(/\$\{?(\w+)/g), ([, name = '']) => name)
      test.same(
        used.filter(name => ![...variables, ...ofGrafana].includes(name)),
        [],
      )
      for (const { title, expr, datasource, legendFormat, refId } of targetsOf(shown)) {
        test.same(datasource, { type: 'prometheus', uid: '${datasource}' }, `${title} ${refId}`)
        for (const selector of expr.match(/\{[^}]*\}/g) ?? [''])
          test.match(selector, 'instance=~"$instance"', `${title} ${refId}`)
        const table = shown.some(panel => panel.title === title && panel.type === 'table')
        test.equal(legendFormat === undefined, table, `${title} ${refId}: a legend where it has one`)
      }
      test.end()
    },
  )

  await group.test('has its limits from the cheat sheet', test => {
    const hour = 3600
    const changed = structuredClone({ ...sheet })
    changed.health.max_data_age_hours = 27
    changed.health.max_backup_age_hours = 28
    changed.health.min_free_disk_ratio = 0.07
    changed.sla = { ...changed.sla, availability_percent: 99, rto_minutes: 40, sync_minutes: 5 }
    changed.monitoring = {
      ...changed.monitoring,
      stale_warning_hours: 25,
      rate_limit_hits: 4,
      rate_limit_hours: 3,
      drill_max_age_days: 9,
      max_clock_skew_seconds: 70,
    }
    const { panels } = JSON.parse(grafanaDashboard(checkConfig(changed, 'another'))) as Board
    const stepsOf = (title: string) => {
      const { fieldConfig } = panels.find(panel => panel.title.startsWith(title)) as Panel
      return fieldConfig?.defaults.thresholds.steps.map(({ color, value }) => `${value} ${color}`)
    }
    const wanted: Record<string, string[]> = {
      'Last sync that counts, ago': ['null green', `${25 * hour} yellow`, `${27 * hour} red`],
      'Newest candle closed, ago': ['null green', `${27 * hour} red`],
      'Age of the data': ['null green', `${25 * hour} yellow`, `${27 * hour} red`],
      'Availability, 30 days': ['null red', '0.99 green'],
      'Newest proven backup of each tier': ['null green', `${28 * hour} red`],
      'Age of the newest proven backup': ['null green', `${28 * hour} red`],
      'How long syncs take': ['null green', '300 yellow', '1800 red'],
      'Times that Binance said "too many requests", 3h': ['null green', '4 red'],
      'Last drill that proved a tier': ['null green', `${9 * 24 * hour} red`],
      'How long a restore took': ['null green', '2400 red'],
      'How long the last recovery took': ['null green', '2400 red'],
      'Free share of disks': ['null red', '0.07 green'],
      'Clock, ahead': ['null red', '-70 green', '70 red'],
    }
    for (const [title, steps] of Object.entries(wanted)) test.same(stepsOf(title), steps, title)
    test.end()
  })
})

/** How the names of our metrics, and of node_exporter's, begin. */
const beginnings =
  /^(?:candlekeep[_:]|last_|daily_sync_|sync_script_|binance_|ohlcv_|health_check_|db_|database_|backup_|restore_drill_|recovery_|recoveries_|job_|alert_channel|node_)/

/** What begins like a metric and is none: keys of the cheat sheet, checks, commands, tables. */
const notMetrics = new Set([
  ...keysOf(sheet),
  'database_integrity',
  'database_size',
  'backup_status',
  'db_recovery',
  'ohlcv_h1',
  'ohlcv_h4',
  'ohlcv_d1',
])

/** Why a query may have no answer while all is well. */
const emptyWhenWell: Record<string, string> = {
  'Which alerts fire, since when': 'no alert fires',
  'Last recovery, ago': 'there has been none',
  'How long the last recovery took': 'there has been none',
  'Rows lost by it, at most': 'there has been none',
  'Rows salvaged by it': 'there has been none',
  'Times in a row that people could not be told, by channel': 'there was nothing to tell',
}

/** A host on which all jobs have run, its node_exporter, an Alertmanager, and a Prometheus that has our rules. */
async function watchedHost(test: Test) {
  const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
  const replay = await startReplay({ source: generatedSource({ symbols }), clock: new ReplayClock() })
  test.teardown(() => replay.close())
  const services = await startServices(test)
  const workspace = makeWorkspace(test, { url: replay.url, symbols })
  workspace.configure(changed => {
    changed.backup = { warm: { path: 'warm', mount: null } }
    changed.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
    changed.alerts = alertsFor(services)
  })
  const env = channelEnvironment(services)
  const run = (command: string, args: string[] = []) => workspace.run(command, args, { env })

  const [exporter = '', alertmanager = '', prometheus = ''] = await freeAddresses(3)
  const folder = temporaryFolder(test)
  await startDaemon(
    test,
    'prometheus-node-exporter',
    [
      `--web.listen-address=${exporter}`,
      `--collector.textfile.directory=${join(workspace.folder, 'metrics')}`,
    ],
    { listen: exporter, path: '/metrics' },
  )
  // nobody is told: it is there for what it says of itself
  const nobody = { route: { receiver: 'nobody' }, receivers: [{ name: 'nobody' }] }
  writeFileSync(join(folder, 'alertmanager.yml'), JSON.stringify(nobody))
  await startDaemon(
    test,
    'prometheus-alertmanager',
    [
      `--config.file=${join(folder, 'alertmanager.yml')}`,
      `--storage.path=${join(folder, 'alertmanager')}`,
      `--web.listen-address=${alertmanager}`,
      '--cluster.listen-address=',
    ],
    { listen: alertmanager, path: '/-/ready' },
  )
  writeFileSync(join(folder, 'rules.yml'), withShortWaits(read('conf/alerting_rules.yml'), 3600))
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yml'],
    scrape_configs: [
      {
        job_name: 'candlekeep',
        static_configs: [{ targets: [exporter], labels: { instance: 'md-1' } }],
      },
      { job_name: 'alertmanager', static_configs: [{ targets: [alertmanager] }] },
    ],
  }
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config))
  const { url } = await startDaemon(
    test,
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${prometheus}`,
    ],
    { listen: prometheus, path: '/-/ready' },
  )
  // all that cron starts: what has never run is an alert
  for (const job of jobsOf(checkConfig(structuredClone(sheet), 'the cheat sheet')))
    expectStatus(test, await run(job.command, job.arguments), 0)
  /** Waits until a query has an answer. */
  const until = async (expr: string) => {
    const end = Date.now() + 30_000
    while ((await query(url, expr)).length === 0) {
      if (Date.now() > end) throw new Error(`there is no answer to ${expr}`)
      await delay(100)
    }
  }
  return { replay, run, url, until }
}

/** As Grafana fills in its variables. */
function filled(text: string): string {
  return text.replaceAll('$instance', 'md-1').replaceAll('$__range', '1h')
}

/** Titles of panels with a query that has no answer. Of those that have one, that their legends say something. */
async function unanswered(test: Test, url: string): Promise<string[]> {
  const titles = new Set<string>()
  for (const { title, refId, expr, legendFormat = '' } of targetsOf(shown)) {
    const series = await query(url, filled(expr))
    if (series.length === 0) titles.add(title)
    const labels = Array.from(legendFormat.matchAll(/\{\{(\w+)\}\}/g), ([, label = '']) => label)
    for (const { metric } of series)
      for (const label of labels) test.ok(metric[label], `${title} ${refId}: the legend's ${label}`)
  }
  return [...titles]
}

await t.test('Prometheus', { skip }, async group => {
  const { replay, run, url, until } = await watchedHost(group)
  // what counts has to have counted, and what was missing before the jobs ran is there
  expectStatus(group, await run('daily_candle_sync'), 0)
  await until('increase(daily_sync_duration_seconds_count[1h]) > 0')
  await until('candlekeep:error_budget_left:ratio_30d')
  await until('absent(ALERTS{alertstate="firing",alertname!="Watchdog"})')

  await group.test(
    'has an answer to every query while all is well, but for what there is none of',
    async test => {
      test.same(await unanswered(test, url), Object.keys(emptyWhenWell))
      const [firing] = await query(url, filled(targetsOf(shown)[0]?.expr ?? ''))
      test.equal(firing?.value[1], '0', 'no alert is 0, not nothing')
    },
  )

  await group.test('knows the hosts that can be chosen', async test => {
    const hosts = board.templating.list.find(({ name }) => name === 'instance')?.query
    const [, metric, label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(Object(hosts).query) ?? []
    test.same(await labelValues(url, label, metric), ['md-1'])
  })

  // a sync that fails and a recovery: alerts that fire, people who are told, rows that were lost or not
  replay.setFaults([{ when: {}, do: { kind: 'html200' } }])
  expectStatus(group, await run('daily_candle_sync'), 1)
  replay.setFaults([])
  expectStatus(group, await run('db_recovery', ['--yes', '--force', '--from', 'hot']), 0)
  await until('ALERTS{alertname="DatabaseRecovered",alertstate="firing"}')

  await group.test('has an answer to every query when something was wrong', async test => {
    test.same(await unanswered(test, url), [])
    const [firing] = await query(url, filled(targetsOf(shown)[0]?.expr ?? ''))
    const alerts = await query(url, 'ALERTS{alertstate="firing",alertname!="Watchdog"}')
    test.equal(firing?.value[1], String(alerts.length))
  })

  await group.test('has every metric that a panel, a rule or a document names', async test => {
    const there = new Set(await labelValues(url, '__name__'))
    const rules = await ruleExpressions(url)
    const asked = [...rules, ...targetsOf(shown).map(({ expr }) => expr)].flatMap(metricNames)
    test.ok(asked.length > 100 && asked.includes('candlekeep_info'), `${asked.length} are asked for`)
    test.same(
      [...new Set(asked)].filter(name => !there.has(name)),
      [],
      'in rules and panels',
    )
    test.ok(metricsNamed(read('README.md')).length > 30, 'the README names them')
    for (const file of documents()) {
      const named = metricsNamed(read(file))
      const ends = ['', '_bucket']
      test.same(
        named.filter(name => !ends.some(end => there.has(name + end))),
        [],
        `in ${file}`,
      )
    }
  })
})

function documents(): string[] {
  const pages = readdirSync(join(project, 'docs'), { recursive: true, encoding: 'utf8' })
  return ['README.md', ...pages.filter(name => name.endsWith('.md')).map(name => join('docs', name))]
}

/** Words in code that look like names of metrics. */
function metricsNamed(text: string): string[] {
  const code = Array.from(text.matchAll(/`([^`\n]+)`/g), ([, inside = '']) => inside)
  const names = code.flatMap(inside => inside.match(/(?<![\w.-])[a-z][\w:]*(?![\w.*-])/g) ?? [])
  return [...new Set(names)].filter(name => beginnings.test(name) && !notMetrics.has(name))
}

function keysOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)])
}

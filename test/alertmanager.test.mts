import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { alertmanagerConfig } from '../provision/alertmanager.ts'
import { checkConfig } from '../scripts/job/config.ts'
import { debianYaml, skipWithoutPackages } from './support/debian.ts'
import { thrownBy } from './support/thrown.ts'
import { temporaryFolder } from './support/workspace.ts'

// Alertmanager's configuration, as its own tool and a reader of YAML that is not ours have it.

const skip = skipWithoutPackages({ 'prometheus-alertmanager': 'amtool', ...debianYaml })
const rules = join(import.meta.dirname, '../conf/alerting_rules.yml')

type Routes = typeof sheet.alerts.routes
type Severity = keyof Routes

const all = {
  CANDLEKEEP_SLACK_WEBHOOK_URL: 'https://hooks.slack.example/services/T0/B0/marker-1',
  CANDLEKEEP_PAGERDUTY_ROUTING_KEY: 'pagerduty-marker-2-0123456789012',
  CANDLEKEEP_SMTP_URL: 'smtp://ops%40example.com:marker-3%20%22%27%5C@mail.example:587',
  CANDLEKEEP_WATCHDOG_URL: 'https://beat.example/ping/marker-4',
}

const { routes } = sheet.alerts
const changed: { what: string; secrets: Record<string, string>; routes: Routes }[] = [
  { what: 'all secrets', secrets: all, routes },
  { what: 'no secrets', secrets: {}, routes },
  ...Object.keys(all).map(name => ({
    what: `only ${name}`,
    secrets: { [name]: all[name as keyof typeof all] },
    routes,
  })),
  { what: 'criticals to Slack only', secrets: all, routes: { ...routes, critical: ['slack'] } },
  { what: 'criticals to nobody', secrets: all, routes: { ...routes, critical: [] } },
  { what: 'warnings by PagerDuty', secrets: all, routes: { ...routes, warning: ['pagerduty', 'email'] } },
  { what: 'news everywhere', secrets: all, routes: { ...routes, info: ['slack', 'email', 'pagerduty'] } },
]

type Receiver = { name: string } & Record<string, object[] | undefined>
type Matchers = string[]
type Config = {
  route: { routes: { matchers: Matchers; receiver: string; group_by?: string[] }[] }
  receivers: Receiver[]
  inhibit_rules: { source_matchers: Matchers; target_matchers: Matchers; equal: string[] }[]
}

/** Puts the files in place; the one that Alertmanager begins with. */
function written(test: Test, secrets: Record<string, string>, given: Routes) {
  const folder = join(temporaryFolder(test), 'with a space')
  const alerts = { ...sheet.alerts, routes: given, email: { ...sheet.alerts.email, to: ['ops@example.com'] } }
  const config = alertmanagerConfig(checkConfig({ ...sheet, alerts }, 'the cheat sheet'), secrets, {
    managed: 'a test',
    folder: join(folder, 'secrets'),
    hello: 'md-1',
  })
  const file = join(folder, 'alertmanager.yml')
  for (const { path, value } of [...config.secrets, { path: file, value: config.text }]) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, value)
  }
  return { ...config, file, parsed: yaml(config.text) as Config }
}

function yaml(text: string): unknown {
  const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'
  const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', script], { input: text, encoding: 'utf8' })
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as unknown
}

function amtool(...args: string[]) {
  const { status, stdout, stderr } = spawnSync('amtool', args, { encoding: 'utf8' })
  return { status, stdout: stdout.trim(), stderr }
}

/** The receiver that an alert with these labels is led to. */
function receiverOf(file: string, ...labels: string[]): string {
  return amtool('config', 'routes', 'test', `--config.file=${file}`, ...labels).stdout
}

/** The secret of a channel; without it the jobs do not use it either. */
const secretOf: Record<string, keyof typeof all> = {
  slack: 'CANDLEKEEP_SLACK_WEBHOOK_URL',
  pagerduty: 'CANDLEKEEP_PAGERDUTY_ROUTING_KEY',
  email: 'CANDLEKEEP_SMTP_URL',
}

await t.test('Alertmanager tells of each severity by its channels', { skip }, async group => {
  for (const { what, secrets, routes: given } of changed) {
    await group.test(what, test => {
      const { file, parsed, text, secrets: files } = written(test, secrets, given)
      const { status, stdout, stderr } = amtool('check-config', file)
      test.equal(status, 0, stdout + stderr)
      for (const severity of Object.keys(given) as Severity[]) {
        const labels = [`severity=${severity}`, 'alertname=DailySyncFailed', 'instance=md-1']
        test.equal(receiverOf(file, ...labels), severity)
        const receiver = parsed.receivers.find(({ name }) => name === severity)
        const channels = Object.keys(receiver ?? {}).filter(key => key !== 'name')
        const wanted = given[severity].filter(
          channel => secretOf[channel] !== undefined && secretOf[channel] in secrets,
        )
        test.same(channels.toSorted(), wanted.map(channel => `${channel}_configs`).toSorted(), severity)
        // an incident is one group
        const { group_by } = parsed.route.routes.find(({ receiver: name }) => name === severity) ?? {}
        test.same(group_by, wanted.includes('pagerduty') ? ['alertname', 'instance'] : undefined)
      }
      test.equal(receiverOf(file, 'severity=none', 'alertname=Watchdog'), 'watchdog')
      test.equal(receiverOf(file, 'alertname=SomebodyElses'), 'warning')
      // it takes the heartbeat's address from no file
      test.notMatch(text, /marker-[123]/)
      for (const [name, value] of Object.entries({
        slack_webhook_url: secrets['CANDLEKEEP_SLACK_WEBHOOK_URL'],
        pagerduty_routing_key: secrets['CANDLEKEEP_PAGERDUTY_ROUTING_KEY'],
        smtp_password: secrets['CANDLEKEEP_SMTP_URL'] && 'marker-3 "\'\\',
      }))
        test.equal(files.find(({ path }) => path.endsWith(`/${name}`))?.value, value, name)
      test.end()
    })
  }
})

await t.test('what stands for others, and for which, are alerts that there are', { skip }, async test => {
  const { parsed } = written(test, all, routes)
  const { groups } = yaml(readFileSync(rules, 'utf8')) as { groups: { rules: { alert?: string }[] }[] }
  const known = new Set(groups.flatMap(group => group.rules.map(({ alert }) => alert)))
  const named = parsed.inhibit_rules.flatMap(({ source_matchers, target_matchers }) => {
    return [...source_matchers, ...target_matchers].map(matcher => {
      const [, names] = /^alertname (?:=|!=|=~) "([\w|]+)"$/.exec(matcher) ?? []
      return names?.split('|') ?? [matcher]
    })
  })
  test.ok(named.length >= 10)
  for (const alert of named.flat()) test.ok(known.has(alert), alert)
  for (const { equal } of parsed.inhibit_rules) test.same(equal, ['instance'], 'of one host')
})

await t.test(
  'what another one stands for is over first, or as long as that goes on',
  { skip },
  async test => {
    const { parsed } = written(test, all, routes)
    type Group = { rules: { alert?: string; keep_firing_for?: string }[] }
    const { groups } = yaml(readFileSync(rules, 'utf8')) as { groups: Group[] }
    const namesIn = (matchers: Matchers) => {
      return matchers.flatMap(matcher => /^alertname =~? "([\w|]+)"$/.exec(matcher)?.[1]?.split('|') ?? [])
    }
    let pairs = 0
    for (const { source_matchers, target_matchers } of parsed.inhibit_rules)
      for (const source of namesIn(source_matchers))
        for (const target of namesIn(target_matchers)) {
          // those of a group are looked at, and told of, one after the other
          const together =
            groups.find(group => group.rules.some(({ alert }) => alert === source))?.rules ?? []
          const at = together.findIndex(({ alert }) => alert === source)
          const isBefore = together.findIndex(({ alert }) => alert === target)
          const stays = together[at]?.keep_firing_for !== undefined
          // what lacks with the metrics is unknown until they are back, and has to wait then
          const waits = source === 'MetricsMissing'
          test.ok(stays || waits || (isBefore !== -1 && isBefore < at), `${target} before ${source}`)
          pairs++
        }
    test.ok(pairs >= 5)
  },
)

await t.test('an address of a mail server that it could not use is refused', async test => {
  for (const address of ['smtps://u:p@mail.example:587', 'smtp://u:p@mail.example:465', 'mail.example']) {
    const error = thrownBy(() => written(test, { CANDLEKEEP_SMTP_URL: address }, routes))
    test.match(error, { status: 78, message: /CANDLEKEEP_SMTP_URL/ })
    test.notMatch(String(error), 'u:p')
  }
})

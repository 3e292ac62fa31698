import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import sheet from '../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { mailPassword } from '../support/alerts/mail_server.ts'
import { skipWithoutPackages } from '../support/debian.ts'
import { skipWithoutRoot } from '../support/full_disk.ts'
import type { Host } from '../support/monitoring/host.ts'
import { makeHosts } from '../support/monitoring/hosts.ts'
import { metricNames } from '../support/monitoring/metric_names.ts'
import { startPeople } from '../support/monitoring/people.ts'
import { type Scenario, scenarios } from '../support/monitoring/scenarios.ts'
import { startStation } from '../support/monitoring/station.ts'

// From a fault to the people who are told, and back: node_exporter, Prometheus and Alertmanager of Debian with the files
// that a host gets, and listeners in place of Slack, PagerDuty and the mail server. Each fault is a real one on a host of
// its own, found and mended by the project's own commands. Only waits are shorter than they are (`for`, intervals, what is
// counted over hours); test/alerting_rules.test.mts holds the true ones. No threshold is another one.

const skip =
  skipWithoutPackages({
    prometheus: 'prometheus',
    'prometheus-alertmanager': 'prometheus-alertmanager',
    'prometheus-node-exporter': 'prometheus-node-exporter',
  }) || skipWithoutRoot()

/** Seconds, in place of the hours over which rules count. */
const window = 30

const routes: Record<string, string[]> = sheet.alerts.routes

await t.test('From a fault to the people, and back', { skip }, async group => {
  const sound = scenarios.filter(({ produce }) => produce !== undefined).map(({ host }) => host)
  const hosts = await makeHosts(group, sound)
  const people = await startPeople(group)
  await Promise.all([...hosts.values()].map(host => host.startExporter()))
  const filesBefore = new Map(
    [...hosts].map(([name, { metricsFile }]) => [name, readFileSync(metricsFile, 'utf8')]),
  )
  const targets = [...hosts.values()].map(({ target }) => target)
  const startedAt = performance.now()
  const station = await startStation(group, { targets, people, window })
  const rules = await station.rules()
  people.know(rules.filter(({ type }) => type === 'alerting'))

  /** How people hear of an alert: by the channels of its severity. */
  const heard = (alert: string, state: string): string[] => {
    const severity = rules.find(({ name }) => name === alert)?.labels.severity ?? ''
    return (routes[severity] ?? []).map(channel => `${alert} ${state} ${channel}`)
  }
  const allOf = ({ alert, besides = [] }: Scenario): string[] =>
    [
      ...heard(alert, 'firing'),
      ...heard(alert, 'resolved'),
      ...besides.flatMap(each => [
        ...heard(each.alert, 'firing'),
        ...(each.ends ? heard(each.alert, 'resolved') : []),
      ]),
    ].toSorted()

  await group.test('there is a fault for each of the ten alerts', async test => {
    const theTen = rules.filter(({ group: name }) => name === 'candlekeep').map(({ name }) => name)
    test.equal(theTen.length, 10)
    test.same(
      theTen.filter(name => !scenarios.some(({ alert }) => alert === name)),
      [],
    )
  })

  await group.test('the rules are those that are checked in', async test => {
    const checkedIn = readFileSync(new URL('../../conf/alerting_rules.yml', import.meta.url), 'utf8')
    const withoutOrigin = (text: string) => text.replace(/^#.*\n/, '')
    test.equal(withoutOrigin(station.rulesText), withoutOrigin(checkedIn))
  })

  await group.test('of sound hosts nobody hears but that somebody watches', async test => {
    await until(async () => {
      const up = await station.query('sum(up{job="candlekeep"})')
      return up[0]?.value === hosts.size
    }, 'all hosts are asked')
    const seenAt = Date.now()
    // what one group of rules records, another one reads
    await until(async () => {
      return (await station.rules()).every(({ lastEvaluation }) => Date.parse(lastEvaluation) > seenAt + 2500)
    }, 'all rules have seen them')
    await until(() => people.heartbeats() > 0, 'the heartbeat comes')
    const alerts = await station.alerts()
    test.same(
      alerts.filter(({ labels: { alertname, instance = '' }, state }) => {
        // that may be a scrape which a busy machine has missed
        return sound.includes(instance) && !(alertname === 'HostDown' && state === 'pending')
      }),
      [],
      'not even an alert that waits',
    )
    for (const name of sound) test.same(people.heardOf(name), [], name)
    test.ok(
      alerts.some(({ labels, state }) => labels['alertname'] === 'Watchdog' && state === 'firing'),
      'while Prometheus does alert',
    )
  })

  const table: string[][] = []
  const over = new Map(scenarios.map(({ host }) => [host, Promise.withResolvers<void>()]))
  const play = async (scenario: Scenario, test: Test) => {
    const { alert, besides = [], fault, after } = scenario
    const host = hosts.get(scenario.host) as Host
    /** When the last of these was told. */
    const lastOf = (all: string[]) => Math.max(...all.map(each => people.heardAt(host.name, each)))
    const firing = heard(alert, 'firing')
    const resolved = heard(alert, 'resolved')
    // that of a recovery comes with the mend
    const early = besides.filter(each => each.alert !== 'DatabaseRecovered')

    const struckAt = scenario.produce === undefined ? startedAt : await timed(host, scenario.produce, test)
    await people.hear(host.name, firing)
    await people.hear(
      host.name,
      early.flatMap(each => heard(each.alert, 'firing')),
    )
    test.notMatch(people.heardOf(host.name).join(), 'resolved', 'nothing is over yet')
    if (scenario.produce === undefined)
      test.equal(readFileSync(host.metricsFile, 'utf8'), filesBefore.get(host.name), 'no metric has changed')
    if (after !== undefined) await over.get(after)?.promise
    const mendedAt = await timed(host, scenario.mend, test)
    await people.hear(host.name, allOf(scenario))
    test.same(people.heardOf(host.name), allOf(scenario), 'all that anybody heard')
    const channels = firing.map(each => each.split(' ').at(-1)).join(', ')
    table.push([
      fault,
      alert,
      channels,
      seconds(lastOf(firing) - struckAt),
      seconds(lastOf(resolved) - mendedAt),
    ])
  }

  group.jobs = scenarios.length
  await Promise.all(
    scenarios.map(scenario =>
      group.test(`${scenario.fault}: ${scenario.alert}`, test =>
        play(scenario, test).finally(() => over.get(scenario.host)?.resolve()),
      ),
    ),
  )
  group.jobs = 1

  await group.test('every metric that a rule names was there', async test => {
    for (const { name, query: expression } of rules) {
      const names = metricNames(expression)
      if (name !== 'Watchdog') test.ok(names.length > 0, `${name} asks for something`)
      for (const metric of names) {
        const series = await station.query(`count(last_over_time({__name__="${metric}"}[1h]))`)
        test.ok((series[0]?.value ?? 0) > 0, `${name}: ${metric}`)
      }
    }
  })

  await group.test('nobody heard anything else', async test => {
    // Alertmanager tells what it has left to tell each second
    await delay(3000)
    for (const scenario of scenarios) test.same(people.heardOf(scenario.host), allOf(scenario), scenario.host)
    test.same(people.instances().toSorted(), [...hosts.keys()].toSorted(), 'and of no other host')
    test.same(people.services.faults, [], 'each message was one that the service takes')
    test.equal(station.complaints(), '', 'and arrived at the first try')
    test.ok(people.mail.mails.every(({ secure }) => secure))
    test.same([...new Set(people.mail.passwords)], [mailPassword])
  })

  const head = ['fault', 'alert', 'channels', 's to arrive', 's to resolve']
  for (const line of lined([head, ...table])) group.comment(line)
})

/** Does something to a host; when its first command began by that. */
async function timed(
  host: Host,
  act: (host: Host, test: Test) => Promise<void>,
  test: Test,
): Promise<number> {
  const [known, now] = [host.began.length, performance.now()]
  await act(host, test)
  return host.began[known] ?? now
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited for a minute: ${what}`)
    await delay(100)
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1)
}

/** Rows with columns of one width each. */
function lined(rows: string[][]): string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0))) ?? []
  return rows.map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' | ')
      .trimEnd(),
  )
}

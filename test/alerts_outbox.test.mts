import { readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { alerting } from '../scripts/alerts/alerting.ts'
import type { Alerting, Condition } from '../scripts/job/alerting.ts'
import { History } from '../scripts/job/history.ts'
import { type AlertsHere, alertsHere } from './support/alerts/here.ts'
import { type Answer, type Services, shownBySlack, startServices } from './support/alerts/services.ts'
import { checkAsync, runs, seed } from './support/properties.ts'
import { temporaryFolder } from './support/workspace.ts'

const down = { status: 500, text: 'rollup_error' }
const day = 24 * 60

async function setUp(test: Test): Promise<AlertsHere & { services: Services }> {
  const services = await startServices(test)
  const here = alertsHere(test, services)
  return { ...here, services }
}

/** What was sent to Slack, a headline each. */
const headlines = ({ slack }: Services) =>
  slack.map(({ attachments }) => attachments[0]?.blocks[0]?.text?.text)
const actions = ({ pagerduty }: Services) => pagerduty.map(({ event_action }) => event_action)

function deliveries({ context }: AlertsHere, channel: string) {
  return context.history.transact(database =>
    database
      .prepare('SELECT outcome, tries FROM alert_deliveries WHERE channel = ? ORDER BY event')
      .all(channel),
  )
}

await t.test('a check that flaps ten times makes one alert and one recovery', async test => {
  const { services, at, see, deliver } = await setUp(test)
  for (let n = 0; n < 10; n++) {
    at(10 * n)
    see('critical')
    await deliver()
    at(10 * n + 5)
    see('ok')
    await deliver()
  }
  test.same(headlines(services), ['🔴 CRITICAL: it is critical'])
  at(110)
  await deliver()
  await deliver()
  test.same(headlines(services), ['🔴 CRITICAL: it is critical', '✅ RECOVERED: all is well'])
  test.same(actions(services), ['trigger', 'resolve'])
  test.equal(services.pagerduty[0]?.dedup_key, services.pagerduty[1]?.dedup_key)
})

await t.test('a change for the worse is told, a change for the better resolves the incident', async test => {
  const { services, at, see, deliver } = await setUp(test)
  see('warning')
  await deliver()
  test.same(actions(services), [], 'a warning gets nobody up')
  at(1)
  see('critical')
  await deliver()
  at(2)
  see('warning')
  at(20)
  await deliver()
  at(30)
  see('ok')
  at(50)
  await deliver()
  test.same(headlines(services), [
    '🟠 WARNING: it is warning',
    '🔴 CRITICAL: it is critical',
    '🟠 WARNING, no longer critical: it is warning',
    '✅ RECOVERED: all is well',
  ])
  test.same(actions(services), ['trigger', 'resolve'])
})

await t.test('what cannot be looked at any more is as bad as it was', async test => {
  const { services, at, see, deliver, context } = await setUp(test)
  const unknown = { unsure: true, title: 'nobody could look', details: ['the disk is gone'] }
  const state = () =>
    context.history.transact(database =>
      database.prepare('SELECT current, lower_since, title, details FROM alert_states').get(),
    )
  see('critical', { details: ['3 rows lack'] })
  await deliver()
  for (const minutes of [5, 25, 45]) {
    at(minutes)
    see('warning', unknown)
    await deliver()
  }
  test.same(headlines(services), ['🔴 CRITICAL: it is critical'])
  test.same(actions(services), ['trigger'], 'its incident stays open')
  const details = '["3 rows lack"]'
  test.same(state(), { current: 'critical', lower_since: null, title: 'it is critical', details })
  at(day + 1)
  see('warning', unknown)
  await deliver()
  test.equal(headlines(services)[1], '🔴 STILL CRITICAL: it is critical')

  at(day + 5)
  see('ok')
  at(day + 25)
  see('warning', unknown)
  await deliver()
  at(day + 45)
  await deliver()
  test.equal(services.slack.length, 2, 'a recovery that nobody could see the end of is none')
  at(2 * day + 45)
  see('warning', unknown)
  await deliver()
  test.match(
    shownBySlack(services.slack[2] as never),
    /STILL CRITICAL: it is critical\n(.*\n)*nobody could look\nthe disk is gone/,
  )
  test.same(actions(services), ['trigger', 'trigger', 'trigger'])

  at(2 * day + 50)
  see('ok')
  at(2 * day + 70)
  await deliver()
  test.equal(headlines(services)[3], '✅ RECOVERED: all is well')
  see('warning', unknown)
  await deliver()
  test.equal(headlines(services)[4], '🟠 WARNING: nobody could look', 'what was well may be anything')
})

await t.test('what stays bad is told again after a day, not before', async test => {
  const { services, at, see, deliver } = await setUp(test)
  for (let hours = 0; hours <= 49; hours++) {
    at(60 * hours)
    see('critical')
    await deliver()
  }
  test.same(headlines(services), [
    '🔴 CRITICAL: it is critical',
    '🔴 STILL CRITICAL: it is critical',
    '🔴 STILL CRITICAL: it is critical',
  ])
  test.same(actions(services), ['trigger', 'trigger', 'trigger'])
  test.equal(new Set(services.pagerduty.map(({ dedup_key }) => dedup_key)).size, 1, 'one incident')
})

await t.test('a channel that fails three times gets the alert once, after 1, 2 and 4 seconds', async test => {
  const { services, see, deliver, waits, warnings } = await setUp(test)
  services.script.slack = [down, down, down]
  see('critical')
  await deliver()
  await deliver()
  test.equal(services.slack.length, 1)
  test.equal(services.tries.slack, 4)
  test.same(waits, [1000, 2000, 4000])
  test.same(warnings, [])
})

await t.test('a channel that asks for patience gets it, where there is time', async test => {
  const { services, see, deliver, waits, warnings } = await setUp(test)
  services.script.slack = [{ status: 429, headers: { 'retry-after': '7' } }]
  see('critical')
  await deliver()
  test.same(waits, [7000])
  test.equal(services.slack.length, 1)
  services.script.slack = [{ status: 429, headers: { 'retry-after': '600' } }]
  see('critical', { key: 'health:other' })
  await deliver()
  test.same(waits, [7000], 'ten minutes are not waited for')
  test.same(warnings, ['slack is down: it answered 429; 1 alert is kept for a later run'])
})

await t.test('a channel that refuses is asked once a run', async test => {
  const { services, see, deliver, warnings } = await setUp(test)
  services.script.slack = [{ status: 404, text: 'no_service' }]
  services.script.pagerduty = [{ status: 400 }]
  see('critical')
  await deliver()
  test.same(services.tries, { slack: 1, pagerduty: 1 })
  test.same([...warnings].sort(), [
    'pagerduty is down: it answered 400 (is the routing key that of an Events API v2 integration?); 1 alert is kept for a later run',
    'slack is down: it answered 404 (the webhook is gone or switched off); 1 alert is kept for a later run',
  ])
  services.script.slack = [{ status: 302, headers: { location: services.slackUrl }, text: '' }]
  see('critical', { key: 'health:other' })
  await deliver()
  test.equal(services.tries.slack, 2, 'a redirect is not followed')
})

await t.test('an outage ends in one message with the newest state of each thing', async test => {
  const { services, at, see, deliver, warnings } = await setUp(test)
  services.script.slack = Array.from({ length: 1000 }, () => down)
  for (let n = 0; n < 30; n++) {
    at(n * 60)
    see('critical', { key: `health:${n}`, title: `thing ${n} is broken` })
    await deliver()
  }
  at(30 * 60)
  see('ok', { key: 'health:0', title: 'thing 0 is well' })
  at(31 * 60)
  test.equal(warnings.at(-1), 'slack is down: it answered 500; 30 alerts are kept for a later run')
  services.script.slack = []
  await deliver()
  await deliver()
  test.equal(services.slack.length, 1)
  const shown = shownBySlack(services.slack[0] as never)
  test.match(shown, '🔴 29 alerts, 1 recovery')
  test.match(shown, '… and 10 more')
  test.match(shown, 'thing 1 is broken')
  test.notMatch(shown, 'CRITICAL: thing 0 is broken', 'the newest state, not each on the way')
  test.match(shown, 'it could not be delivered before')
})

await t.test('a channel that stays down is tried after a minute, two, four … an hour', async test => {
  const { services, at, see, deliver } = await setUp(test)
  services.script.slack = Array.from({ length: 10_000 }, () => down)
  see('warning')
  const tried: number[] = []
  for (let minutes = 0; minutes <= 5 * 60; minutes++) {
    const before = services.tries.slack
    at(minutes)
    await deliver()
    if (services.tries.slack > before) tried.push(minutes)
  }
  test.same(tried, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243])
})

await t.test('a channel that has been down for a week is told of nothing that is as old', async test => {
  const { services, at, see, deliver, warnings } = await setUp(test)
  services.script.slack = Array.from({ length: 10_000 }, () => ({ status: 404 }))
  see('warning')
  let minutes = 0
  const givenUp = () => warnings.find(text => text.includes('given up'))
  for (; givenUp() === undefined && minutes < 9 * day; minutes += 30) {
    if (minutes % 60 === 30) see('warning', { key: `health:${minutes}` })
    at(minutes)
    await deliver()
  }
  test.ok(minutes > 7 * day && minutes < 7.5 * day, `it took ${minutes / day} days`)
  test.match(givenUp(), /^\d+ alerts are given up: slack has been down for a week$/)
  services.script.slack = []
  at(minutes + 60)
  await deliver()
  test.match(shownBySlack(services.slack[0] as never), /16\d alerts/, 'what is newer is')
})

await t.test('an alert outlives a week in which the host was off', async test => {
  const { services, at, see, deliver, warnings } = await setUp(test)
  services.script.slack = Array.from({ length: 181 }, () => ({ status: 404 }))
  // however often news was tried in the hours before
  for (let minutes = 0; minutes < 180; minutes++) {
    at(minutes)
    see('warning', { key: `health:${minutes}` })
    await deliver()
  }
  const before = services.tries.slack
  at(8 * day)
  await deliver()
  test.equal(services.tries.slack, before + 1)
  test.match(warnings.at(-1), /^slack is down: .*; 180 alerts are kept for a later run$/)
  test.notOk(warnings.some(text => text.includes('given up')))
  services.script.slack = []
  at(8 * day + 60)
  await deliver()
  test.match(shownBySlack(services.slack[0] as never), '180 alerts')
})

await t.test('PagerDuty need not hear of the end of what it has not heard of', async test => {
  const { services, at, see, deliver, context } = await setUp(test)
  see('critical')
  at(1)
  see('ok')
  at(20)
  await deliver()
  test.same(headlines(services), ['✅ RECOVERED: all is well'], 'Slack hears of it in one message')
  test.match(shownBySlack(services.slack[0] as never), 'It was critical')
  test.same(services.tries.pagerduty, 0)
  test.same(deliveries({ context } as never, 'pagerduty'), [
    { outcome: 'superseded', tries: 0 },
    { outcome: 'needless', tries: 0 },
  ])

  // no answer: the trigger may have arrived all the same
  services.script.pagerduty = [{ status: 503 }, { status: 503 }, { status: 503 }, { status: 503 }]
  at(30)
  see('critical')
  await deliver()
  at(31)
  see('ok')
  at(120)
  await deliver()
  test.same(actions(services), ['resolve'])
})

await t.test('two that deliver at once do not send twice', async test => {
  const { services, see, context, workspace } = await setUp(test)
  const other = { ...context, history: History.open(workspace.state, context.log, context.clock) }
  test.teardown(() => other.history.close())
  services.script.slack = [down, down]
  for (let n = 0; n < 5; n++) see('critical', { key: `health:${n}` })
  await Promise.all([alerting.deliver(context), alerting.deliver(other), alerting.deliver(context)])
  test.equal(services.slack.length, 1)
  test.equal(services.pagerduty.length, 5)
})

await t.test('what is seen while another delivers is sent by that one', async test => {
  const { services, see, deliver, context } = await setUp(test)
  see('critical')
  services.script.slack = [down]
  context.clock.sleep = async () => {
    see('critical', { key: 'health:second', title: 'a second one' })
    await deliver()
  }
  await deliver()
  test.same(headlines(services), ['🔴 CRITICAL: it is critical', '🔴 CRITICAL: a second one'])
})

/** What can happen around the channels; an answer that is `taken` was only lost on its way back. */
const happenings = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('see' as const),
      key: fc.constantFrom('health:a', 'health:b', 'job:c'),
      level: fc.constantFrom<Condition['severity']>('ok', 'ok', 'info', 'warning', 'critical', 'critical'),
    }),
    fc.record({ kind: fc.constant('doubt' as const), key: fc.constantFrom('health:a', 'health:b', 'job:c') }),
    fc.record({ kind: fc.constant('wait' as const), minutes: fc.constantFrom(1, 10, 20, 90, 30 * 60, -40) }),
    fc.record({ kind: fc.constant('deliver' as const) }),
    fc.record({
      kind: fc.constant('answers' as const),
      channel: fc.constantFrom('slack' as const, 'pagerduty' as const),
      answers: fc.array(
        fc.constantFrom<Answer>(down, { ...down, taken: true }, { status: 404 }, { status: 429 }),
        { maxLength: 12 },
      ),
    }),
  ),
  { maxLength: 40 },
)

await t.test('in the end everybody knows how things are, whatever was lost on the way', async test => {
  test.comment(`FC_SEED=${seed}`)
  const services = await startServices(test)
  let start = Date.parse('2024-05-05T12:00:00Z')
  await checkAsync(
    fc.asyncProperty(happenings, async course => {
      Object.assign(services, { slack: [], pagerduty: [], script: { slack: [], pagerduty: [] } })
      const { at, see, deliver, done } = alertsHere(test, services, (start += 1))
      let minutes = 0
      const levels = new Map<string, Condition['severity']>()
      for (const happening of course) {
        if (happening.kind === 'see') {
          levels.set(happening.key, happening.level)
          see(happening.level, { key: happening.key, title: `${happening.key} ${happening.level}` })
        } else if (happening.kind === 'doubt') {
          // it may be anything; what is seen of it later counts again
          levels.delete(happening.key)
          see('warning', { key: happening.key, title: `${happening.key} warning`, unsure: true })
        } else if (happening.kind === 'wait') at((minutes += happening.minutes))
        else if (happening.kind === 'deliver') await deliver()
        else services.script[happening.channel] = happening.answers
      }
      services.script = { slack: [], pagerduty: [] }
      for (let n = 0; n < 3; n++) {
        at((minutes += 3 * 60))
        await deliver()
      }
      done()
      const lines = services.slack.flatMap(message => shownBySlack(message).split('\n'))
      const told = lines.filter(line => /^\*?(🔴|🟠|🔵|✅)/u.test(line)).join('\n')
      for (const [key, level] of levels) {
        const incidents = services.pagerduty.filter(({ dedup_key }) => dedup_key.endsWith(key))
        const isOpen = incidents.at(-1)?.event_action === 'trigger'
        if (isOpen !== (level === 'critical'))
          throw new Error(`${key} is ${level}, its incident open: ${isOpen}`)
        const last = told.lastIndexOf(`${key} ${level}`)
        const others = ['ok', 'info', 'warning', 'critical'].filter(other => other !== level)
        const stale = others.find(other => told.lastIndexOf(`: ${key} ${other}`) > last)
        if (stale !== undefined && level !== 'info')
          throw new Error(`${key} is ${level}, told last: ${stale}`)
      }
      return services.faults.length === 0
    }),
    runs(100),
  )
})

await t.test('a clock that is put back keeps nothing waiting', async test => {
  const { services, at, see, deliver } = await setUp(test)
  services.script.slack = [down, down, down, down]
  at(400 * day)
  see('critical')
  await deliver()
  test.equal(services.slack.length, 0)
  at(0)
  await deliver()
  test.equal(services.slack.length, 1)
  see('ok')
  at(20)
  await deliver()
  test.equal(services.slack.length, 2)
})

await t.test('a channel without its secret is skipped without a word', async test => {
  const { services, at, see, deliver, warnings } = await setUp(test)
  const url = process.env.CANDLEKEEP_SLACK_WEBHOOK_URL
  delete process.env.CANDLEKEEP_SLACK_WEBHOOK_URL
  see('critical')
  await deliver()
  test.same(warnings, [])
  test.equal(services.pagerduty.length, 1)
  process.env.CANDLEKEEP_SLACK_WEBHOOK_URL = url
  at(60)
  await deliver()
  test.equal(services.slack.length, 1, 'the next process that has it tells')

  delete process.env.CANDLEKEEP_SLACK_WEBHOOK_URL
  see('critical', { key: 'health:other' })
  at(2 * day)
  await deliver()
  process.env.CANDLEKEEP_SLACK_WEBHOOK_URL = url
  await deliver()
  test.equal(services.slack.length, 1, 'what is older than a day is not told to who comes late')
})

/** What is left in the temporary folder where there is no history goes into one of the test's own. */
function useStamps(test: Test): string {
  const before = process.env.TMPDIR
  const stamps = temporaryFolder(test)
  process.env.TMPDIR = stamps
  test.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  return stamps
}

await t.test('nothing that goes wrong with the history or the settings reaches the job', async test => {
  const { services, see, deliver, context, warnings, workspace } = await setUp(test)
  useStamps(test)
  context.history.transact(database => database.exec('DROP TABLE alert_events'))
  see('critical')
  await deliver()
  test.match(warnings, [/^the history cannot be written \(SQLITE_ERROR\)/])
  test.equal(services.slack.length, 1, 'it is told all the same, from memory')

  context.history.close()
  see('critical')
  await deliver()
  test.match(warnings.slice(1), [
    /^alerts could not be put down: TypeError/,
    /^alerts could not be delivered: TypeError/,
  ])
  const [conditions, without]: [Condition[], Alerting] = [[], alerting]
  without.observe(conditions, context)
  test.equal(new Database(join(workspace.state, 'ops.db')).pragma('integrity_check', { simple: true }), 'ok')
})

await t.test('without a history', async group => {
  /** Runs whose history cannot be opened: none of them knows of another. What they leave goes into `stamps`. */
  async function setUpWithout(test: Test) {
    const here = await setUp(test)
    const { context, workspace, see, deliver } = here
    const stamps = useStamps(test)
    context.history.close()
    rmSync(workspace.state, { recursive: true })
    writeFileSync(workspace.state, 'in the way')
    const run = async (...seen: Parameters<typeof see>) => {
      context.history = History.open(workspace.state, context.log, context.clock)
      see(...seen)
      await deliver()
      context.history.close()
    }
    const age = (hours: number) => {
      const time = Date.now() / 1000 - hours * 3600
      for (const name of readdirSync(stamps)) utimesSync(join(stamps, name), time, time)
    }
    return { ...here, run, age, stamps }
  }

  await group.test('an alert is told once a day, not by each run', async test => {
    const { services, run, age, stamps, warnings } = await setUpWithout(test)
    for (let n = 0; n < 5; n++) await run('critical')
    test.match(warnings[0], /^the history cannot be written/)
    test.same(headlines(services), ['🔴 CRITICAL: it is critical'])
    test.same(actions(services), ['trigger'])
    const [name, ...others] = readdirSync(stamps)
    test.match(name, /^candlekeep-alert-[0-9a-f]{32}$/)
    test.same(others, [])

    await run('ok')
    test.equal(services.slack.length, 1, 'nobody knows of anything that is well again')
    await run('warning')
    await run('critical', { key: 'health:other' })
    test.same(headlines(services).slice(1), ['🟠 WARNING: it is warning', '🔴 CRITICAL: it is critical'])
    age(23)
    await run('critical')
    test.equal(services.slack.length, 3)
    age(24)
    await run('critical')
    await run('critical')
    test.equal(services.slack.length, 4, 'after a day it is told again, and the stamp is new')
    age(-1)
    await run('critical')
    test.equal(services.slack.length, 5, 'a stamp of tomorrow counts for nothing')
  })

  await group.test('what has not arrived is told by the next run', async test => {
    const { services, run, stamps } = await setUpWithout(test)
    services.script.slack = [{ status: 404 }]
    services.script.pagerduty = [{ status: 400 }]
    await run('critical')
    test.same(readdirSync(stamps), [])
    await run('critical')
    await run('critical')
    test.same([services.slack.length, services.pagerduty.length], [1, 1])
  })

  await group.test('no link or file of somebody else keeps an alert back', async test => {
    const { services, run, stamps } = await setUpWithout(test)
    await run('critical')
    const [name] = readdirSync(stamps) as [string]
    const stamp = join(stamps, name)
    const elsewhere = temporaryFolder(test)
    rmSync(stamp, { recursive: true })
    symlinkSync(elsewhere, stamp)
    await run('critical')
    test.equal(services.slack.length, 2)
    rmSync(stamp)
    symlinkSync(join(elsewhere, 'new'), stamp)
    await run('critical')
    test.equal(services.slack.length, 3)
    test.same(readdirSync(elsewhere), [], 'and nothing is made where it leads')
    process.env.TMPDIR = join(stamps, 'absent')
    await run('critical')
    await run('critical')
    test.equal(services.slack.length, 5, 'where no stamp can be made it is told all the same')
  })
})

await t.test('what is over is forgotten after 400 days', async test => {
  const here = await setUp(test)
  here.see('critical')
  here.at(1)
  here.see('ok')
  await here.deliver()
  here.at(20)
  await here.deliver()
  const count = () =>
    here.context.history.transact(database => {
      const tables = ['alert_states', 'alert_events', 'alert_deliveries']
      return tables.map(table => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get())
    })
  here.at(400 * day)
  await here.deliver()
  test.same(count(), [1, 2, 4])
  here.at(402 * day)
  await here.deliver()
  test.same(count(), [0, 0, 0])
})

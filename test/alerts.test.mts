import * as fc from 'fast-check'
import t from 'tap'
import { domainOf, mailFor } from '../scripts/alerts/email.ts'
import type { AlertEvent, Batch } from '../scripts/alerts/event.ts'
import { isWorse, type Level } from '../scripts/alerts/levels.ts'
import { pagerdutyEvent } from '../scripts/alerts/pagerduty.ts'
import { isSafeAddress } from '../scripts/alerts/post.ts'
import { type ChannelName, type Routes, route } from '../scripts/alerts/routing.ts'
import { slackMessage } from '../scripts/alerts/slack.ts'
import {
  type Announcement,
  doubt,
  type Pace,
  type State,
  see,
  settle,
  wellSince,
} from '../scripts/alerts/states.ts'
import { linesOf } from '../scripts/alerts/text.ts'
import { smtpServer } from '../scripts/job/smtp_server.ts'
import { hour, minute } from '../scripts/job/time.ts'
import { pagerdutyFaults, slackFaults } from './support/alerts/payloads.ts'
import { shownBySlack } from './support/alerts/services.ts'
import { check, runs, seed } from './support/properties.ts'

t.comment(`FC_SEED=${seed}`)

const pace: Pace = { settleMs: 15 * minute, repeatMs: 24 * hour }
const levels: Level[] = ['ok', 'info', 'warning', 'critical']

/** Something that happens: a condition is seen at a level or cannot be seen, or a run passes that does not look. */
type Moment = { afterMs: number; level: Level | undefined; unsure?: boolean }

const moments = (afterMs: fc.Arbitrary<number>) => {
  const level = fc.option(fc.constantFrom(...levels), { nil: undefined })
  const unsure = fc.constant(true)
  const unseen = fc.record({ afterMs, level: fc.constantFrom<Level>('info', 'warning', 'critical'), unsure })
  const moment = fc.oneof(
    { weight: 4, arbitrary: fc.record({ afterMs, level }) },
    { weight: 1, arbitrary: unseen },
  )
  return fc.array<Moment>(moment, { maxLength: 60 })
}
const usualWaits = fc.oneof(
  fc.integer({ min: 0, max: 20 }).map(minutes => minutes * minute),
  fc.integer({ min: 0, max: 30 }).map(hours => hours * hour),
)

type Told = Announcement & { at: number }

/** What the state machine says of a course of events, and where it ends. */
function live(course: Moment[], given: Pace, start = 0): { told: Told[]; state: State; now: number } {
  let now = start
  let state = wellSince(now)
  const told: Told[] = []
  for (const { afterMs, level, unsure = false } of course) {
    now += afterMs
    const look = unsure ? doubt : see
    const step = level === undefined ? settle(state, now, given) : look(state, level, now, given)
    state = step.state
    told.push(...step.announcements.map(announcement => ({ ...announcement, at: now })))
  }
  return { told, state, now }
}

/** The same told from the whole list of what was seen so far, without any state beside what was last announced. */
function retell(course: Moment[], given: Pace): Pick<Told, 'kind' | 'level' | 'at'>[] {
  const seen: { level: Level; at: number }[] = []
  const told: Pick<Told, 'kind' | 'level' | 'at'>[] = []
  let announced: Level = 'ok'
  let now = 0
  const tell = (kind: Told['kind'], level: Level) => {
    announced = level
    told.push({ kind, level, at: now })
  }
  const tellBetter = () => {
    // the newest sightings that are better than announced and did not get worse among themselves
    let first = seen.length
    while (
      first > 0 &&
      isWorse(announced, seen[first - 1]?.level ?? 'ok') &&
      (first === seen.length || !isWorse(seen[first]?.level ?? 'ok', seen[first - 1]?.level ?? 'ok'))
    )
      first--
    const [better] = seen.slice(first)
    const { level = 'ok' } = seen.at(-1) ?? {}
    if (better !== undefined && now - better.at >= given.settleMs)
      tell(level === 'ok' ? 'recovered' : 'eased', level)
  }
  for (const { afterMs, level: found, unsure = false } of course) {
    now += afterMs
    if (!unsure) tellBetter()
    if (found === undefined) continue
    const level: Level = unsure && isWorse(announced, found) ? announced : found
    seen.push({ level, at: now })
    const last = told.at(-1)?.at ?? 0
    if (isWorse(level, announced)) tell(announced === 'ok' ? 'triggered' : 'worsened', level)
    else if (level === announced && level !== 'ok' && now - last >= given.repeatMs) tell('repeated', level)
    else tellBetter()
  }
  return told
}

await t.test('what people are told of a condition', async group => {
  await group.test('is what its whole story says', async test => {
    const paces = fc.constantFrom(pace, { settleMs: 0, repeatMs: hour }, { settleMs: hour, repeatMs: hour })
    check(
      fc.property(moments(usualWaits), paces, (course, given) => {
        const told = live(course, given).told.map(({ kind, level, at }) => ({ kind, level, at }))
        const expected = retell(course, given)
        if (JSON.stringify(told) !== JSON.stringify(expected))
          throw new Error(`${JSON.stringify(told)} is not ${JSON.stringify(expected)}`)
      }),
      runs(2000),
    )
    test.pass('told by a state machine and by a list of sightings alike')
  })

  await group.test('is one alert and one recovery where a check flaps', async test => {
    check(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 14 }), { minLength: 2, maxLength: 90 }),
        fc.constantFrom<Level>('info', 'warning', 'critical'),
        (waits, bad) => {
          const flapping = waits.map((minutes, i): Moment => {
            return { afterMs: minutes * minute, level: i % 2 === 0 ? bad : 'ok' }
          })
          const course = [
            ...flapping,
            { afterMs: minute, level: 'ok' as const },
            { afterMs: hour, level: undefined },
          ]
          const kinds = live(course, pace).told.map(({ kind }) => kind)
          return kinds.join() === 'triggered,recovered'
        },
      ),
      runs(500),
    )
    const flaps = Array.from({ length: 10 }, (_, i) => i)
    const course = flaps.flatMap((): Moment[] => [
      { afterMs: 5 * minute, level: 'critical' },
      { afterMs: 5 * minute, level: 'ok' },
    ])
    const { told } = live([...course, { afterMs: 15 * minute, level: undefined }], pace)
    test.match(told, [
      { kind: 'triggered', level: 'critical', previous: 'ok', at: 5 * minute },
      { kind: 'recovered', level: 'ok', previous: 'critical', at: 115 * minute, since: 5 * minute },
    ])
    test.equal(told.length, 2)
  })

  await group.test('is the truth in the end, wherever the clock jumps', async test => {
    const jumps = fc.oneof(usualWaits, fc.integer({ min: -(10 ** 11), max: 10 ** 11 }))
    check(
      fc.property(moments(jumps), course => {
        const { state, now } = live(course, pace, 10 ** 12)
        const still = settle(state, now, pace).state
        const end = settle(still, now + pace.settleMs, pace).state
        return end.announced === state.current && settle(end, now + hour, pace).announcements.length === 0
      }),
      runs(1000),
    )
    test.pass('a settle time after the last look, what was announced is what was seen')
  })

  await group.test('is never an all-clear by somebody who could not look', async test => {
    check(
      fc.property(moments(usualWaits), course => {
        let [surelySeen, now] = [0, 0]
        for (const [i, { afterMs, level, unsure = false }] of course.entries()) {
          now += afterMs
          const before = live(course.slice(0, i), pace)
          const { told, state } = live(course.slice(0, i + 1), pace)
          const better = told.slice(before.told.length).some(({ kind }) => /recovered|eased/.test(kind))
          if (unsure && (better || isWorse(before.state.current, state.current))) return false
          // a settle time of sure looks comes before each
          if (better && now - surelySeen < pace.settleMs) return false
          if (unsure) surelySeen = Number.POSITIVE_INFINITY
          else if (level !== undefined) surelySeen = Math.min(surelySeen, now)
        }
        return true
      }),
      runs(300),
    )
    const at = (minutes: number, level: Level | undefined, unsure = false): Moment => {
      return { afterMs: minutes * minute, level, unsure }
    }
    const kinds = (...course: Moment[]) =>
      live(course, pace).told.map(({ kind, level }) => `${kind} ${level}`)
    const critical = at(1, 'critical')
    const unknown = at(20, 'warning', true)
    const none = at(20, undefined)
    test.same(kinds(critical, unknown, unknown, none), ['triggered critical'])
    test.same(kinds(critical, at(1, 'ok'), unknown, none), ['triggered critical'], 'nor is one in time')
    test.same(kinds(critical, at(1, 'warning'), at(1, 'warning', true), none), ['triggered critical'])
    test.same(kinds(critical, unknown, at(1, 'ok'), none), ['triggered critical', 'recovered ok'])
    test.same(kinds(unknown, unknown, at(1, 'ok'), none), ['triggered warning', 'recovered ok'])
    test.same(kinds(critical, at(25 * 60, 'warning', true)), ['triggered critical', 'repeated critical'])
  })

  await group.test('is repeated after a day, and a new alert after a day of being well', async test => {
    const day = 24 * hour
    const bad = { afterMs: day, level: 'warning' as const }
    test.same(
      live([bad, bad, bad], pace).told.map(({ kind }) => kind),
      ['triggered', 'repeated', 'repeated'],
    )
    const often = Array.from({ length: 100 }, () => ({ ...bad, afterMs: hour }))
    test.same(live(often, pace).told.length, 5, 'hourly looks for 100 hours: an alert and four repetitions')
    test.same(
      live([bad, { ...bad, level: 'ok' }, bad], pace).told.map(({ kind }) => kind),
      ['triggered', 'recovered', 'triggered'],
    )
    test.same(
      live([bad, { afterMs: 30 * day, level: undefined }], pace).told.map(({ kind }) => kind),
      ['triggered'],
      'what nobody has seen again is not repeated',
    )
  })
})

await t.test('better news goes to whoever heard the bad', async test => {
  const routes: Routes = { ok: [], info: ['email'], warning: ['slack'], critical: ['pagerduty', 'email'] }
  const say = (kind: Announcement['kind'], level: Level, told: ChannelName[]) => {
    return route({ kind, level, previous: 'ok', since: 0 }, told, routes)
  }
  const critical = say('triggered', 'critical', [])
  test.same(critical.to, ['pagerduty', 'email'])
  const eased = say('eased', 'warning', critical.told)
  test.same(eased.to, ['pagerduty', 'email', 'slack'], 'PagerDuty, to resolve its incident')
  test.same(say('recovered', 'ok', eased.told).to, ['email', 'slack'], 'which it is then told once')
  test.same(say('worsened', 'critical', ['slack']), {
    to: ['pagerduty', 'email'],
    told: ['slack', 'pagerduty', 'email'],
  })
})

const text = fc.oneof(
  fc.string({ maxLength: 5000, unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('<', '&', '>', '`', '*', '\n', '🔴', 'a'), maxLength: 5000 }),
  fc.constantFrom('<!channel> & <@U1>', '🕯️'.repeat(3000), '&'.repeat(4000), '\u001B[31mred\u001B[0m', ''),
)
const events = fc.array(
  fc.record({
    id: fc.nat(),
    key: fc.string({ minLength: 1, maxLength: 400 }),
    kind: fc.constantFrom('triggered', 'worsened', 'eased', 'recovered', 'repeated', 'test'),
    level: fc.constantFrom(...levels),
    previous: fc.constantFrom(...levels),
    title: text,
    details: fc.array(text, { maxLength: 40 }),
    alert: fc.option(text),
    since: fc.integer({ min: 0, max: 2e12 }),
    at: fc.integer({ min: 0, max: 2e12 }),
  }) as fc.Arbitrary<AlertEvent>,
  { minLength: 1, maxLength: 70 },
)
const place = { host: 'trader-1', workspace: 'agent' }

await t.test('whatever is to be said', async group => {
  await group.test('is a message that Slack takes', async test => {
    check(
      fc.property(events, fc.integer({ min: 0, max: 2e12 }), (some, now) => {
        const message = slackMessage({ events: some, place, now })
        const faults = slackFaults(JSON.parse(JSON.stringify(message)))
        if (faults.length > 0) throw new Error(faults.join())
        return JSON.stringify(message).length < 100_000
      }),
      runs(200),
    )
    test.pass('header, sections and escapes within the limits')
  })

  await group.test('is an event that PagerDuty takes', async test => {
    check(
      fc.property(events, ([event]) => {
        for (const action of ['trigger', 'resolve'] as const) {
          const body = {
            routing_key: 'k'.repeat(32),
            ...pagerdutyEvent(event as AlertEvent, action, place, 0),
          }
          const faults = pagerdutyFaults(JSON.parse(JSON.stringify(body)))
          if (faults.length > 0) throw new Error(faults.join())
          // not asked for by PagerDuty, but people sort by them
          const { payload } = body as { payload?: Record<string, unknown> }
          for (const name of ['timestamp', 'component', 'group', 'class'])
            if (payload !== undefined && typeof payload[name] !== 'string') throw new Error(`no ${name}`)
          if (Buffer.byteLength(JSON.stringify(body)) > 512_000) throw new Error('larger than 512 KB')
        }
      }),
      runs(200),
    )
    const keyOn = (host: string) => pagerdutyEvent(alert({}), 'trigger', { ...place, host }, 0).dedup_key
    test.not(keyOn('trader-1'), keyOn('trader-2'), 'two servers do not share an incident')
  })

  await group.test('is a mail whose headers are one line each', async test => {
    check(
      fc.property(events, some => {
        const { subject, messageId, references, html } = mailFor({ events: some, place, now: 0 }, 'x.example')
        const body = html.replace(/<\/?(?:html|body|h3|p|pre|code|hr|!doctype)[^>]*>/g, '')
        return !/[\r\n]/.test([subject, messageId, ...references].join('')) && !/[<>]/.test(body)
      }),
      runs(200),
    )
    test.equal(domainOf('a@b@c.example'), 'c.example')
  })
})

await t.test('the listeners of these tests are as strict as the documents', async test => {
  const good = JSON.parse(JSON.stringify(slackMessage({ events: [alert({})], place, now: 0 }))) as Message
  test.same(slackFaults(good), [])
  const [{ blocks }] = good.attachments
  const wrong: [object, string][] = [
    [{ ...good, icon: ':fire:' }, 'unknown key icon'],
    [{ ...good, text: 'a <!channel>' }, 'not escaped'],
    [{ ...good, attachments: [] }, 'one attachment'],
    [{ ...good, attachments: [{ color: 'red', blocks }] }, 'not #rrggbb'],
    [
      { ...good, attachments: [{ color: '#000000', blocks: Array.from({ length: 51 }, () => blocks[0]) }] },
      '50 blocks',
    ],
    [{ ...good, attachments: [{ color: '#000000', blocks: [{ type: 'heading' }] }] }, 'unknown block'],
  ]
  const link = 'https://runbooks.example/A.md'
  const legacy = {
    title: 'A',
    title_link: link,
    text: `*a*\n<${link}|what to do>`,
    fallback: 'a',
    footer: '',
  }
  const old = { ...legacy, callback_id: '', color: '#000000', mrkdwn_in: ['fallback', 'pretext', 'text'] }
  test.same(slackFaults({ username: 'Alertmanager', attachments: [old] }), [])
  const wrongOld: [object, string][] = [
    [{ title_link: '' }, 'title_link'],
    [{ text: 'a < b' }, 'not escaped'],
    [{ text: '<!channel>' }, 'not escaped'],
    [{ fallback: '*a*' }, 'markup'],
    [{ color: 'red' }, 'not #rrggbb'],
    [{ mrkdwn_in: ['body'] }, 'mrkdwn_in'],
    [{ icon: 'fire' }, 'unknown key icon'],
  ]
  wrong.push(
    ...wrongOld.map(
      ([change, fault]) => [{ attachments: [{ ...old, ...change }] }, fault] as [object, string],
    ),
  )
  for (const [message, fault] of wrong) test.match(slackFaults(message).join(), fault)
  const event = { routing_key: 'k'.repeat(32), ...pagerdutyEvent(alert({}), 'trigger', place, 0) }
  test.same(pagerdutyFaults(event), [])
  for (const [change, fault] of [
    [{ routing_key: 'short' }, "Length of 'routing_key'"],
    [{ dedup_key: 'k'.repeat(256) }, 'dedup_key'],
    [{ payload: undefined }, "'payload' is missing"],
    [{ payload: { ...event.payload, severity: 'high' } }, 'payload.severity'],
    [{ payload: { ...event.payload, summary: 's'.repeat(1025) } }, 'payload.summary'],
    [{ event_action: 'fire' }, 'event_action'],
  ] as const)
    test.match(pagerdutyFaults({ ...event, ...change }).join(), fault)
})

type Message = { attachments: [{ blocks: object[] }] }

/** An alert as the others, in some way. */
function alert(given: Partial<AlertEvent>): AlertEvent {
  return {
    id: 1,
    key: 'job:daily_sync',
    kind: 'triggered',
    level: 'critical',
    previous: 'ok',
    title: 'daily_sync has failed',
    details: ['BTCUSDT  HTTP 503 <html>', '→ npx zx scripts/daily_candle_sync.mts'],
    alert: null,
    since: Date.parse('2024-05-05T01:00:00Z'),
    at: Date.parse('2024-05-05T01:00:00Z'),
    ...given,
  }
}

await t.test('an alert says what is wrong, where, since when, and what to type', async test => {
  const batch: Batch = { events: [alert({})], place, now: Date.parse('2024-05-05T01:01:00Z') }
  const slack = slackMessage(batch)
  test.equal(slack.text, '🔴 CRITICAL: daily_sync has failed (trader-1)')
  test.equal(slack.attachments[0]?.color, '#d92d20')
  test.same(shownBySlack(slack).split('\n'), [
    '🔴 CRITICAL: daily_sync has failed',
    'BTCUSDT  HTTP 503 &lt;html&gt;',
    '`npx zx scripts/daily_candle_sync.mts`',
    'trader-1 · agent · 2024-05-05 01:01 UTC',
  ])
  const mail = mailFor(batch, 'x.example')
  test.equal(mail.subject, '[candlekeep] CRITICAL: daily_sync has failed (trader-1)')
  test.match(mail.html, '<pre><code>npx zx scripts/daily_candle_sync.mts</code></pre>')
  const recovered = alert({
    id: 2,
    kind: 'recovered',
    level: 'ok',
    previous: 'critical',
    title: 'daily_sync is done again',
    details: ['✅ 60/60'],
    alert: 'daily_sync has failed',
    at: Date.parse('2024-05-05T03:00:00Z'),
  })
  const later = mailFor({ ...batch, events: [recovered], now: recovered.at }, 'x.example')
  test.equal(later.subject, '[candlekeep] RECOVERED: daily_sync is done again (trader-1)')
  test.match(later.text, 'It was critical, bad since 2024-05-05 01:00 UTC: daily_sync has failed')
  test.same(later.references, mail.references, 'it belongs to the same conversation')
  test.not(later.messageId, mail.messageId)
  const both = slackMessage({ ...batch, events: [recovered, alert({ id: 3 })] })
  test.match(both.text, '🔴 1 alert, 1 recovery')
  test.equal(slackMessage({ ...batch, events: [recovered] }).attachments[0]?.color, '#16a34a')
  const many = Array.from({ length: 50 }, (_, id) => alert({ id, key: `k${id}` }))
  test.match(shownBySlack(slackMessage({ ...batch, events: many })), '… and 30 more')
  test.same(linesOf(['1', '2', '', '3', '4', '5'], 4), ['1', '2', '… 2 more lines', '5'])
})

await t.test('a secret is sent by TLS, or not beyond this machine', async test => {
  for (const url of [
    'https://hooks.slack.com/x',
    'http://127.0.0.1:9/x',
    'http://localhost/x',
    'http://[::1]/',
  ])
    test.ok(isSafeAddress(url), url)
  for (const url of [
    'http://hooks.slack.com/x',
    'http://127.0.0.1.evil.example/',
    'https://a:b@c/',
    'x',
    'ftp://c/',
  ])
    test.notOk(isSafeAddress(url), url)
  test.same(smtpServer('smtps://a%40b:p%2F%25w@mail.example'), {
    host: 'mail.example',
    port: 465,
    secure: true,
    credentials: { user: 'a@b', pass: 'p/%w' },
  })
  test.match(smtpServer('smtp://u:50%25%@[::1]:2525'), { host: '::1', port: 2525, secure: false })
  test.match(smtpServer('smtp://relay?tls.rejectUnauthorized=false'), { port: 587, credentials: undefined })
  for (const wrong of ['', 'mail.example', 'https://mail.example', 'smtp://'])
    test.equal(smtpServer(wrong), undefined, wrong)
})

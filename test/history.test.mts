import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { History, type RunOutcome } from '../scripts/job/history.ts'
import { keptDays, pruneHistory, retentionEdge, tidyHistory } from '../scripts/job/history_retention.ts'
import { durationBounds, outcomes, readTotals, total } from '../scripts/job/history_totals.ts'
import { day, hour } from '../scripts/job/time.ts'
import { keptLog } from './support/kept_log.ts'
import { check, seed, runs as tries } from './support/properties.ts'
import { temporaryFolder } from './support/workspace.ts'

const begin = Date.parse('2024-05-05T01:00:00Z')

t.comment(`FC_SEED=${seed}`)

/** A history with a clock that the test sets. */
function openAt(test: Test, start = begin, state = temporaryFolder(test)) {
  const clock = { at: start, now: () => clock.at, sleep: () => Promise.resolve() }
  const kept = keptLog()
  const history = History.open(state, kept.log, clock)
  test.teardown(() => history.close())
  return { history, clock, state, ...kept }
}

type Opened = ReturnType<typeof openAt>

/** A run of a job that begins now and takes `took` milliseconds. */
function run(
  { history, clock }: Opened,
  job: string,
  { outcome = 'done', took = 2000, figures = {} }: Made = {},
) {
  const { id } = history.begin(job, undefined)
  clock.at += took
  history.finish(id, { outcome, exitStatus: 0, summary: '', figures })
  return id
}

type Made = { outcome?: RunOutcome; took?: number; figures?: object }

const count = ({ history }: Opened, table: string, where = 'TRUE') =>
  history.transact(database =>
    database.prepare(`SELECT count(*) FROM ${table} WHERE ${where}`).pluck().get(),
  ) as number

/** Every day of some years: a sync that also leaves an old value and a rejected row behind, and a health check. */
function live(opened: Opened, days: number, afterEach: (today: number) => void = () => undefined) {
  const { history, clock } = opened
  for (let today = 0; today < days; today++) {
    const morning = clock.at
    run(opened, 'daily_sync', { figures: { counts: true, rate_limit_hits: 1, text: 'x'.repeat(600) } })
    const id = run(opened, 'health_check')
    history.transact(database => {
      database.exec(`
        INSERT INTO checks VALUES (${id}, 'database_integrity', 'critical', '', '{}', ${clock.at});
        INSERT INTO checks VALUES (${id}, 'database_size', 'ok', '', '{"file_bytes": 1}', ${clock.at});
        INSERT INTO quarantined_rows VALUES ('4h', 'BTCUSDT', 'negative', '[]', ${clock.at}, ${id});
        INSERT INTO candle_revisions VALUES ('4h', 'BTCUSDT', ${clock.at}, '1', '2', ${clock.at}, ${id});`)
    })
    tidyHistory(opened)
    afterEach(today)
    clock.at = morning + day
  }
}

const totalOf = ({ history }: Opened, name: string) => history.transact(readTotals).get(name)

await t.test('a history of five years stays as small as one of little more than its 400 days', async test => {
  const opened = openAt(test)
  opened.history.transact(database =>
    database.exec(`
      INSERT INTO candle_seals (interval, symbol, month, last, digest, sealed_at) VALUES ('4h', 'BTCUSDT', '2020-01', 1, 'x', 1);
      INSERT INTO first_candles VALUES ('4h', 'BTCUSDT', 1);
      INSERT INTO stored_candles VALUES ('4h', 'BTCUSDT', 1, 1, 1);
      INSERT INTO backups (id, tier, taken_at, covers_until, proven_at, bytes) VALUES ('one', 'hot', 1, 1, 1, 1);`),
  )
  const size = () =>
    statSync(join(opened.state, 'ops.db')).size + statSync(join(opened.state, 'ops.db-wal')).size
  let early = 0
  let largest = 0
  live(opened, 5 * 365, today => {
    if (today < 450) early = Math.max(early, size())
    else largest = Math.max(largest, size())
  })
  test.comment(`${early} bytes at most in the first 450 days, ${largest} after them, of ${2 * 5 * 365} runs`)
  test.ok(largest < early * 1.05, `${largest} bytes after ${early}`)
  for (const table of ['quarantined_rows', 'candle_revisions'])
    test.ok(count(opened, table) >= keptDays && count(opened, table) <= keptDays + 2, table)
  test.ok(count(opened, 'runs') >= 2 * keptDays && count(opened, 'runs') <= 2 * (keptDays + 2))
  test.ok(count(opened, 'checks') <= 2 * (keptDays + 2))
  for (const table of ['candle_seals', 'first_candles', 'stored_candles', 'backups'])
    test.equal(count(opened, table), 1, `${table} are not touched`)
  test.equal(totalOf(opened, total.runs('done')), 5 * 365, 'what is gone is still counted')
  test.equal(totalOf(opened, total.rateLimitHits), 5 * 365)
  test.equal(totalOf(opened, total.integrityFailures), 5 * 365)
  test.equal(totalOf(opened, total.took), 5 * 365 * 2000)
  test.same(opened.warnings, [])
})

await t.test(
  'a run that is going on, and the newest of each job with its checks, stay however old',
  async test => {
    const opened = openAt(test)
    const { history, clock } = opened
    const going = history.begin('recovery', undefined).id
    const older = run(opened, 'health_check')
    const newest = run(opened, 'health_check')
    history.transact(database => {
      for (const id of [older, newest])
        database.prepare("INSERT INTO checks VALUES (?, 'database_size', 'ok', '', '{}', ?)").run(id, begin)
    })
    for (let today = 0; today < 500; today++) {
      clock.at = begin + hour + today * day
      run(opened, 'daily_sync')
      tidyHistory(opened)
    }
    const ids = history.transact(database =>
      database.prepare('SELECT id FROM runs').pluck().all(),
    ) as number[]
    test.ok(ids.includes(going) && ids.includes(newest))
    test.notOk(ids.includes(older))
    test.equal(count(opened, 'checks', `run = ${newest}`), 1)
    test.equal(count(opened, 'checks', `run = ${older}`), 0)
  },
)

await t.test('a look for what is old is at most a day apart from what there is', async test => {
  const opened = openAt(test)
  live(opened, 403)
  const oldest = opened.history.transact(database =>
    database.prepare('SELECT min(started_at) FROM runs').pluck().get(),
  ) as number
  test.ok(opened.clock.at - oldest <= (keptDays + 2) * day)
  const found = opened.infos.filter(text => text.includes('removed'))
  test.ok(found.length > 0 && found.length <= 2, found.join())
})

await t.test('a clock that jumps ahead by years removes nothing, for as long as it is wrong', async test => {
  const opened = openAt(test)
  live(opened, 300)
  const before = count(opened, 'runs')
  const right = opened.clock.at
  opened.clock.at += 5 * 365 * day
  live(opened, 60)
  test.equal(count(opened, 'runs'), before + 120)
  test.equal(opened.infos.filter(text => text.includes('the clock is far ahead')).length, 60)
  opened.clock.at = right
  live(opened, 60)
  test.equal(count(opened, 'runs'), before + 240, 'nor when it is set back')

  opened.clock.at = begin - 20 * 365 * day
  run(opened, 'daily_sync')
  tidyHistory(opened)
  test.equal(count(opened, 'runs'), before + 241, 'nor a clock that begins in the past')
  test.same(opened.warnings, [])
})

await t.test('a host that was off for years ages by what it has lived through', async test => {
  const opened = openAt(test)
  live(opened, 100)
  opened.clock.at += 3 * 365 * day
  const old = begin + 100 * day
  live(opened, 268)
  test.equal(count(opened, 'runs', `started_at < ${old}`), 200)
  live(opened, 102)
  test.ok(count(opened, 'runs', `started_at < ${old}`) <= 2, 'and lets go of what is old then')
})

await t.test('the edge of what is kept', async test => {
  test.equal(retentionEdge([], begin), undefined)
  test.equal(retentionEdge([begin - 10_000 * day], begin), undefined, 'one gap is 31 days at most')
  const daily = Array.from({ length: 500 }, (_, i) => begin - i * day)
  test.equal(retentionEdge(daily, begin), begin - 401 * day + 1)
  const starts = fc.array(fc.integer({ min: begin - 3000 * day, max: begin + 500 * day }), { maxLength: 60 })
  check(
    fc.property(starts, fc.boolean(), (times, dense) => {
      const filled = dense ? times.flatMap(time => [time, time + 20 * day, time + 40 * day]) : times
      const edge = retentionEdge(
        filled.toSorted((a, b) => b - a),
        begin,
      )
      return edge === undefined || edge <= begin - keptDays * day
    }),
    tries(300),
  )
})

/** What befalls a history, in the order of time. */
type Event =
  | { kind: 'sync'; outcome: RunOutcome; took: number; hits: number; defect: boolean; text: boolean }
  | { kind: 'killed' }
  | { kind: 'check'; status: string }
  | { kind: 'wait'; days: number }
  | { kind: 'prune' }

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: syncEvent() },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'killed' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('check' as const),
      status: fc.constantFrom('ok', 'warning', 'critical', 'unknown'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), days: fc.integer({ min: -3, max: 45 }) }),
  },
  { weight: 3, arbitrary: fc.constant<Event>({ kind: 'prune' }) },
)

function syncEvent(): fc.Arbitrary<Event> {
  return fc.record({
    kind: fc.constant('sync' as const),
    outcome: fc.constantFrom<RunOutcome[]>('done', 'partly', 'failed', 'deadline', 'interrupted'),
    took: fc.integer({ min: -5000, max: 2_400_000 }),
    hits: fc.nat(5),
    defect: fc.boolean(),
    text: fc.boolean(),
  })
}

await t.test(
  'totals never go down, and are those of all that ever ran, whatever has been removed',
  async test => {
    let removed = 0
    const events = fc.array(event, { minLength: 60, maxLength: 160 })
    const holds = (story: Event[]) => {
      const opened = openAt(test)
      const { history, clock } = opened
      try {
        const model = new Map([...history.transact(readTotals).keys()].map(name => [name, 0]))
        const add = (name: string, value = 1) => model.set(name, (model.get(name) ?? Number.NaN) + value)
        let before = new Map(model)
        for (const happening of story) {
          happen(opened, happening, add)
          if (happening.kind === 'prune') {
            const pruned = history.transact(place => pruneHistory(place, clock.now()))
            if (typeof pruned === 'object') removed += pruned.runs
          }
          const now = history.transact(readTotals)
          for (const [name, value] of now) {
            if (value < (before.get(name) ?? 0)) throw new Error(`${name} went down to ${value}`)
            if (value !== model.get(name)) throw new Error(`${name} is ${value}, not ${model.get(name)}`)
          }
          const buckets = durationBounds.map(bound => now.get(total.within(bound)) ?? Number.NaN)
          const all = [...buckets, now.get(total.timed) ?? Number.NaN]
          if (all.some((value, i) => value < (all[i - 1] ?? 0))) throw new Error(`buckets ${all.join()}`)
          before = now
        }
      } finally {
        history.close()
      }
    }
    check(fc.property(events, holds), tries(40))
    test.ok(removed > 0, `${removed} runs were removed on the way`)
  },
)

/** Does one thing to a history, and to the model of its totals. */
function happen(opened: Opened, happening: Event, add: (name: string, value?: number) => void): void {
  const { history, clock } = opened
  const within = (took: number) => {
    add(total.timed)
    add(total.took, took)
    for (const bound of durationBounds) if (took <= bound * 1000) add(total.within(bound))
  }
  if (happening.kind === 'wait') clock.at += happening.days * day
  if (happening.kind === 'sync') {
    const { outcome, took, hits, defect, text } = happening
    const figures = {
      ...(defect ? { defect } : {}),
      rate_limit_hits: hits,
      note: text ? '"defect":true' : null,
    }
    run(opened, 'daily_sync', { outcome, took, figures })
    add(total.runs(outcome))
    within(Math.max(0, took))
    if (outcome === 'failed') add(total.failures)
    if (outcome === 'deadline') add(total.timeouts)
    if (defect) add(total.scriptErrors)
    add(total.rateLimitHits, hits)
  }
  if (happening.kind === 'killed') {
    history.begin('daily_sync', undefined)
    run(opened, 'daily_sync', { outcome: 'interrupted', took: 0 })
    add(total.runs('killed'))
    add(total.failures)
    add(total.scriptErrors)
    add(total.runs('interrupted'))
    within(0)
  }
  if (happening.kind === 'check') {
    const id = run(opened, 'health_check', {
      outcome: 'failed',
      figures: { defect: true, rate_limit_hits: 7 },
    })
    history.transact(database =>
      database
        .prepare("INSERT INTO checks VALUES (?, 'database_integrity', ?, '', '{}', ?)")
        .run(id, happening.status, clock.at),
    )
    if (happening.status === 'critical') add(total.integrityFailures)
  }
}

await t.test('figures that are no JSON any more count as none', async test => {
  const opened = openAt(test)
  run(opened, 'daily_sync', { figures: { rate_limit_hits: 3 } })
  run(opened, 'daily_sync', { figures: { rate_limit_hits: 4 } })
  opened.history.transact(database => database.exec("UPDATE runs SET figures = '{\"rate_' WHERE id = 1"))
  test.equal(totalOf(opened, total.rateLimitHits), 4)
  test.equal(totalOf(opened, total.runs('done')), 2)
  for (const outcome of outcomes.slice(1)) test.equal(totalOf(opened, total.runs(outcome)), 0)
  test.same(opened.warnings, [])
})

await t.test('a history that cannot be tidied is a warning', async test => {
  const opened = openAt(test)
  const noClock = () => {
    throw new RangeError('no clock')
  }
  const broken = { ...opened, clock: { ...opened.clock, now: noClock } }
  tidyHistory(broken)
  test.same(opened.warnings, ['the history could not be tidied: no clock'])
})

await t.test('garbage in the place of a history is set aside with its log, byte for byte', async group => {
  const garbage: Record<string, string> = {
    'other bytes': 'garbage '.repeat(1000),
    'a few bytes': 'abc',
    zeros: '\0'.repeat(4096),
    'nothing at all, beside a log': '',
  }
  for (const [name, bytes] of Object.entries(garbage)) {
    await group.test(name, async test => {
      const state = temporaryFolder(test)
      const first = openAt(test, begin, state)
      run(first, 'daily_sync')
      const wal = readFileSync(join(state, 'ops.db-wal'))
      first.history.close()
      writeFileSync(join(state, 'ops.db'), bytes)
      writeFileSync(join(state, 'ops.db-wal'), wal)
      const looked = keptLog()
      History.open(state, looked.log, first.clock, { readOnly: true }).close()
      test.same(looked.warnings, [
        'the history cannot be read (SQLITE_NOTADB): this run is kept in its log only',
      ])
      test.ok(readFileSync(join(state, 'ops.db-wal')).equals(wal), 'a look changes nothing')

      const second = openAt(test, begin, state)
      run(second, 'daily_sync')
      const [aside = ''] = readdirSync(state).filter(file => /damaged-[\d_-]+$/.test(file))
      test.match(second.warnings, [/^the history was damaged \(SQLITE_NOTADB\): it is set aside as /])
      test.equal(readFileSync(join(state, aside), 'utf8'), bytes)
      test.ok(readFileSync(join(state, `${aside}-wal`)).equals(wal), 'the log is as it was')
      test.equal(count(second, 'runs'), 1)
    })
  }

  await group.test('an empty file alone is a history that begins', async test => {
    const state = temporaryFolder(test)
    writeFileSync(join(state, 'ops.db'), '')
    const opened = openAt(test, begin, state)
    run(opened, 'daily_sync')
    test.same(opened.warnings, [])
    test.same(
      readdirSync(state).filter(name => name.includes('damaged')),
      [],
    )
  })
})

await t.test(
  'a value that does not fit is the mistake of who wanted it kept, and costs no history',
  async test => {
    const opened = openAt(test)
    run(opened, 'daily_sync')
    const keepNothing = () =>
      opened.history.transact(database =>
        database.prepare("INSERT INTO stored_candles VALUES ('4h', NULL, 1, 1, 1)").run(),
      )
    test.throws(keepNothing, /NOT NULL constraint failed/)
    test.equal(opened.history.lost, false)
    test.equal(count(opened, 'runs'), 1)
    test.same(opened.warnings, [])
  },
)

await t.test(
  'a sync of some symbols only does not count as a daily one, but what Binance said to it does',
  async test => {
    const opened = openAt(test)
    run(opened, 'daily_sync', { figures: { everything: true, rate_limit_hits: 1 } })
    run(opened, 'daily_sync', { outcome: 'failed', figures: { everything: false, rate_limit_hits: 2 } })
    const totals = opened.history.transact(readTotals)
    test.equal(totals.get(total.failures), 0)
    test.equal(totals.get(total.runs('done')), 1)
    test.equal(totals.get(total.timed), 1)
    test.equal(totals.get(total.rateLimitHits), 3)
  },
)

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Audit, audit } from '../scripts/audit/audit.ts'
import { readFacts } from '../scripts/audit/records.ts'
import { rulesOf } from '../scripts/audit/rules.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { History } from '../scripts/job/history.ts'
import { day, hour, minute } from '../scripts/job/time.ts'
import { monthEnd, monthStart, on, writeKnownMonth } from './support/audit/known_month.ts'
import { countMinutes, type Minutes } from './support/audit/oracle.ts'
import { type HistoryWriter, writeHistory } from './support/audit/written_history.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { keptLog } from './support/kept_log.ts'
import { check, runs } from './support/properties.ts'
import { temporaryFolder } from './support/workspace.ts'

const skip = skipWithoutPackages({ sqlite3: 'sqlite3' })
const config = loadConfig(undefined)
const rules = { ...rulesOf(config), tiers: ['hot', 'warm', 'cold'] as ('hot' | 'warm' | 'cold')[] }

/** The audit of a history, as the command reads it. */
function auditOf(state: string, from: number, to: number, now = to): Audit {
  const clock = { now: () => now, sleep: () => Promise.resolve() }
  const history = History.open(state, keptLog().log, clock, { readOnly: true })
  try {
    return audit(readFacts(history, '4h'), rules, { from, to }, now)
  } finally {
    history.close()
  }
}

let folders = 0
function newState(test: Test, write: (history: HistoryWriter) => void = () => undefined): string {
  const state = join(temporaryFolder(test), `state-${folders++}`)
  mkdirSync(state)
  const history = writeHistory(state)
  write(history)
  history.close()
  return state
}

/** Everything that is a number, with its place. */
function numbersIn(value: unknown, place = ''): [place: string, number: number][] {
  if (typeof value === 'number') return [[place, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => numbersIn(inner, `${place}.${key}`))
}

function expectSensible(test: Test, result: Audit, what: string): void {
  const wrong = numbersIn(result).filter(([place, number]) => {
    return !Number.isFinite(number) || (number < 0 && !place.endsWith('budgetLeftMs'))
  })
  test.same(wrong, [], `${what}: every number is one, and none is negative`)
  const { availability, covered } = result
  const { judgedMs, unknownMs } = availability
  test.equal(judgedMs + unknownMs, covered.to - covered.from, `${what}: all of the time is accounted for`)
}

function expectMinutes(test: Test, result: Audit, minutes: Minutes, what: string): void {
  const { availability, rpo } = result
  const inMinutes = (spans: { from: number; to: number }[]) =>
    spans.reduce((sum, { from, to }) => sum + to - from, 0) / minute
  test.equal(availability.judgedMs / minute, minutes.up + minutes.down, `${what}: minutes that are judged`)
  test.equal(inMinutes(availability.down), minutes.down, `${what}: minutes in which it was not available`)
  test.equal(inMinutes(availability.stale), minutes.stale, `${what}: minutes of stale data`)
  test.equal(inMinutes(availability.damaged), minutes.damaged, `${what}: minutes of a damaged database`)
  test.equal(
    inMinutes(rpo.above),
    minutes.backupAges.filter(age => age > 120).length,
    `${what}: minutes in which the newest backup was too old`,
  )
  for (const [share, name] of [
    [0.5, 'p50'],
    [0.95, 'p95'],
    [1, 'worst'],
  ] as const) {
    const sampled = minutes.backupAges[Math.ceil(share * minutes.backupAges.length) - 1] ?? Number.NaN
    const exact = (rpo[name] ?? Number.NaN) / minute
    test.ok(
      Math.abs(exact - sampled) <= 1,
      `${what}: ${name} of the age of backups: ${exact}, sampled ${sampled}`,
    )
  }
}

await t.test('a month with known incidents', { skip }, async group => {
  const state = newState(group)
  writeKnownMonth(state)
  const result = auditOf(state, monthStart, monthEnd)
  const minutes = countMinutes(state, monthStart, monthEnd)

  await group.test('has the figures that were worked out minute by minute', test => {
    expectMinutes(test, result, minutes, 'the month')
    const { worst } = {
      worst: Math.max(...result.availability.syncAges.map(({ oldest }) => oldest)) / minute,
    }
    const sampled = minutes.syncAges.at(-1) ?? Number.NaN
    test.ok(Math.abs(worst - sampled) <= 1, `the worst freshness: ${worst}, sampled ${sampled}`)
    expectSensible(test, result, 'the month')
    test.end()
  })

  await group.test('has the figures that follow from what was written', test => {
    const { availability, syncs, rpo, rto, tiers } = result
    // the newest candle closes at midnight, and may have done so 26 hours ago
    test.same(
      availability.stale,
      [
        { from: on(10, 2), to: on(12, 1, 1) },
        { from: on(20, 2), to: on(20, 2, 3) },
      ],
      'stale for 47 hours, and for three minutes',
    )
    test.same(availability.damaged, [{ from: on(5, 6), to: on(5, 9, 32) }], 'damaged until it was recovered')
    const down = 47 * hour + 4 * minute + 3 * hour + 32 * minute
    test.equal(availability.ratio, 1 - down / (30 * day))
    test.equal(Math.round(availability.budgetLeftMs), 0.005 * 30 * day - down, 'the budget is overspent')
    test.same([syncs.judgedDays, syncs.completeDays], [30, 27], 'days 10, 11 and 21 have no complete sync')
    test.same(
      syncs.days.filter(({ state: how }) => how !== 'complete'),
      [
        { due: on(10, 1), state: 'missed' },
        { due: on(11, 1), state: 'missed' },
        { due: on(21, 1), state: 'counted' },
      ],
    )
    test.same([syncs.p50, syncs.p99, syncs.max], [2 * minute, 31 * minute, 31 * minute])
    test.same(
      syncs.slow.map(({ startedAt }) => startedAt),
      [on(20, 1)],
    )
    // from 03:30 to 16:31 of day 15; hourly else, each proven a minute later
    test.equal(rpo.worst, 13 * hour + minute)
    test.same(
      rpo.above,
      [
        { from: on(5, 7, 30) + 2 * hour, to: on(5, 10, 31) },
        { from: on(15, 3, 30) + 2 * hour, to: on(15, 16, 31) },
      ],
      'two gaps in the hourly backups',
    )
    test.same(rpo.bare, [])
    const [recovery, ...others] = rto.recoveries
    test.same(others, [])
    test.match(recovery, {
      tookMs: 12 * minute,
      finished: true,
      backupAgeMs: 110 * minute,
      knownLost: 7,
      rpoMs: 110 * minute,
    })
    test.equal(rto.worst, 12 * minute)
    test.same(rto.failedTiers, ['cold'])
    test.same(rto.hopeless, [])
    test.same(
      tiers.map(({ tier, tried, succeeded, judgedDays, coveredDays }) => {
        return { tier, tried, succeeded, judgedDays, coveredDays }
      }),
      [
        { tier: 'hot', tried: 30 * 25 - 14, succeeded: 30 * 25 - 14, judgedDays: 30, coveredDays: 30 },
        { tier: 'warm', tried: 30, succeeded: 30, judgedDays: 30, coveredDays: 30 },
        { tier: 'cold', tried: 30, succeeded: 27, judgedDays: 30, coveredDays: 27 },
      ],
    )
    test.end()
  })

  await group.test('meets the targets that it meets, and says what cost the others', test => {
    test.same(
      result.targets.map(({ name, verdict }) => [name, verdict]),
      [
        ['availability', 'missed'],
        ['rpo', 'missed'],
        ['rto', 'met'],
        ['freshness', 'missed'],
        ['sync', 'missed'],
      ],
    )
    test.same(
      result.incidents.map(({ kind, from, costs }) => [kind, from, costs.join()]),
      [
        ['damaged database', on(5, 6), 'availability'],
        ['old backup', on(5, 9, 30), 'rpo'],
        ['stale data', on(10, 2), 'availability,freshness'],
        ['old backup', on(15, 5, 30), 'rpo'],
        ['slow sync', on(20, 1), 'sync'],
        ['stale data', on(20, 2), 'availability,freshness'],
      ],
    )
    test.match(
      result.incidents[0]?.what,
      /SQLite finds 3 faults; the newest proven backup was 30 min old; recovery_1 .* 12 min, what came in 1 h 50 min/,
    )
    test.same(result.notes, [
      'Damage counts from when it was first seen. How long it had been there before that nobody knows: the time is a lower bound.',
      'The last drill could not restore from: cold.',
    ])
    test.match(
      result.incidents[2]?.what,
      /2 syncs did not count; the last: failed, the exchange did not answer/,
    )
    test.end()
  })

  await group.test('is the sum of its days', test => {
    const days = Array.from({ length: 30 }, (_, i) => auditOf(state, on(i), on(i + 1)))
    const sum = (of: (one: Audit) => number) => days.reduce((total, one) => total + of(one), 0)
    const downOf = ({ availability: { budgetMs, budgetLeftMs } }: Audit) => budgetMs - budgetLeftMs
    test.equal(Math.round(sum(downOf)), Math.round(downOf(result)))
    test.equal(
      sum(({ syncs }) => syncs.completeDays),
      result.syncs.completeDays,
    )
    test.equal(Math.max(...days.map(({ rpo }) => rpo.worst ?? 0)), result.rpo.worst)
    test.end()
  })
})

await t.test('an empty history has nothing to judge, and says so', test => {
  const result = auditOf(newState(test), monthStart, monthEnd)
  expectSensible(test, result, 'nothing')
  test.same(
    result.targets.map(({ verdict, measured }) => [verdict, measured]),
    Array.from({ length: 5 }, () => ['unknown', null]),
  )
  test.same(result.incidents, [])
  test.same(result.notes, ['The history is empty: there is nothing to judge.'])
  test.end()
})

await t.test('a history of one day is judged from where it begins', { skip }, test => {
  const state = newState(test, history => {
    history.check(on(29, 0, 10), 'ok')
    history.sync(on(29, 1), on(29, 1, 2))
    history.backup(on(29, 1, 10), ['hot'])
    history.backup(on(29, 2), ['hot', 'warm', 'cold'])
  })
  const result = auditOf(state, monthStart, on(29, 4))
  expectSensible(test, result, 'a day')
  expectMinutes(test, result, countMinutes(state, monthStart, on(29, 4)), 'a day')
  test.same(result.covered, { from: on(29, 0, 10), to: on(29, 4) })
  test.equal(result.availability.unknownMs, 52 * minute, 'up to the end of the first sync')
  test.equal(result.availability.ratio, 1)
  test.same([result.syncs.judgedDays, result.syncs.completeDays], [1, 1])
  test.match(result.notes.join('\n'), /The history begins 2028-03-10 00:10 UTC/)
  test.same(
    result.targets.map(({ verdict }) => verdict),
    ['met', 'met', 'unknown', 'met', 'met'],
  )
  test.end()
})

await t.test('a time before the history, or one that has not come, has nothing to judge', test => {
  const state = newState(test, history => history.sync(on(40, 1), on(40, 1, 2)))
  const before = auditOf(state, monthStart, monthEnd, on(41))
  expectSensible(test, before, 'before')
  test.match(before.notes, [
    'The history begins 2028-03-21 01:00 UTC, after this time: there is nothing to judge.',
  ])
  const ahead = auditOf(state, on(50), on(60), on(41))
  expectSensible(test, ahead, 'ahead')
  test.ok(ahead.targets.every(({ verdict }) => verdict === 'unknown'))
  test.end()
})

await t.test('a history without any sync is stale as soon as that is certain', { skip }, test => {
  const state = newState(test, history => history.check(on(0), 'ok'))
  const result = auditOf(state, on(0), on(3))
  test.same(result.availability.stale, [{ from: on(1, 2), to: on(3) }])
  test.equal(result.availability.unknownMs, 26 * hour)
  test.equal(result.availability.ratio, 0)
  test.equal(result.rpo.worst, 3 * day, 'no backup: its age is counted from where the history begins')
  test.same(result.rpo.bare, [{ from: on(0), to: on(3) }])
  expectMinutes(test, result, countMinutes(state, on(0), on(3)), 'no sync')
  test.end()
})

await t.test('clocks that jump give no figure that cannot be, and are told of', { skip }, test => {
  const state = newState(test, history => {
    history.sync(on(0, 1), on(0, 1, 2))
    history.backup(on(0, 2), ['hot'])
    // put back by three hours while the sync runs
    history.sync(on(1, 1), on(0, 22, 2))
    // ahead by a week for one run, and by years for another
    history.sync(on(9, 1), on(9, 1, 2))
    history.sync(on(900, 1), on(900, 1, 2))
    history.backup(on(2, 2), ['hot'], { coversUntil: on(900) })
    history.sync(on(2, 1), on(2, 1, 2))
  })
  const result = auditOf(state, on(0), on(3))
  expectSensible(test, result, 'jumps')
  test.same(
    result.syncs.timed.map(({ tookMs }) => tookMs),
    [2 * minute, 2 * minute],
    'of the one whose clock was set back it is not known how long it took',
  )
  test.match(result.notes.join('\n'), /put back during 1 run: how long it took is not known/)
  test.match(result.notes.join('\n'), /put back between runs/)
  test.match(result.notes.join('\n'), /2 runs are dated in the future/)
  test.equal(result.rpo.ages.at(-1)?.oldest, 22 * hour, 'what a wrong clock noted as covered is not')
  test.end()
})

await t.test(
  'a backup counts from when it was first proven, until it is found bad or removed',
  { skip },
  test => {
    const state = newState(test, history => {
      history.sync(on(0, 1), on(0, 1, 2))
      history.backup(on(0, 2), ['hot'], { verifiedAt: on(4), failedAt: on(2) })
      history.backup(on(0, 12), ['warm'], { verifiedAt: on(4), coversUntil: on(0, 20), removedAt: on(1) })
    })
    const result = auditOf(state, on(0), on(3))
    expectMinutes(test, result, countMinutes(state, on(0), on(3)), 'backups')
    test.same(
      result.rpo.ages.map(({ from, oldest }) => [from, oldest]),
      [
        // before the first: since the history began, with the first sync
        [on(0, 1), hour + minute],
        [on(0, 2, 1), 10 * hour + minute],
        [on(0, 12, 1), 0],
        [on(0, 20), 4 * hour],
        [on(1), 46 * hour],
        // none is left
        [on(2), on(3) - on(0, 1)],
      ],
    )
    test.match(result.notes.join('\n'), /1 backup turned out to be bad/)
    test.same(
      result.tiers.map(({ tier, judgedDays, coveredDays }) => [tier, judgedDays, coveredDays]),
      [
        ['hot', 3, 0],
        ['warm', 3, 1],
        ['cold', 3, 0],
      ],
      'a day whose backup is bad has none; one whose backup went in time had one',
    )
    test.end()
  },
)

await t.test('recoveries and drills that fail miss the target', test => {
  const state = newState(test, history => {
    history.sync(on(0, 1), on(0, 1, 2))
    history.recovery({ id: 'recovery_1', from: on(0, 5), served: null })
    history.recovery({ id: 'recovery_2', from: on(0, 6), served: on(0, 6, 10), rpoMs: 3 * hour })
    const run = history.run({ job: 'restore_drill', from: on(1), to: on(1, 1) })
    history.drill(run, 'hot', on(1), on(1, 0, 5), 'it is damaged')
  })
  const { rto, targets, incidents, availability } = auditOf(state, on(0), on(2))
  test.same(
    rto.recoveries.map(({ id, tookMs, finished }) => [id, tookMs, finished]),
    [
      ['recovery_1', 70 * minute, false],
      ['recovery_2', 10 * minute, true],
    ],
    'what never ended lasted at least until another one served',
  )
  test.same(
    targets.filter(({ verdict }) => verdict === 'missed').map(({ name }) => name),
    ['availability', 'rpo', 'rto', 'freshness'],
  )
  test.same(
    incidents.map(({ kind, costs }) => `${kind}: ${costs.join()}`),
    [
      'old backup: rpo',
      'damaged database: availability',
      'recovery: rto',
      'recovery: rpo',
      'failed drill: rto',
      'stale data: availability,freshness',
    ],
  )
  test.same(availability.damaged, [{ from: on(0, 5), to: on(0, 6, 10) }])
  test.end()
})

await t.test('figures that are no JSON any more are none', test => {
  const state = newState(test, history => {
    history.sync(on(0, 1), on(0, 1, 2))
    history.backup(on(0, 2), ['hot'])
  })
  const damaged = writeHistory(state)
  damaged.run({ job: 'daily_sync', from: on(0, 3), to: on(0, 3, 5) })
  damaged.close()
  test.same(damageFigures(state), 3)
  const result = auditOf(state, on(0), on(1))
  expectSensible(test, result, 'no JSON')
  test.equal(result.availability.ratio, null, 'no sync is known to count')
  test.equal(result.rpo.bare.length, 1, 'the backup itself is still known from where it was taken')
  test.end()
})

function damageFigures(state: string): number {
  const clock = { now: () => 0, sleep: () => Promise.resolve() }
  const history = History.open(state, keptLog().log, clock)
  try {
    return history.transact(database => database.prepare("UPDATE runs SET figures = '{'").run().changes)
  } finally {
    history.close()
  }
}

await t.test('any history has the figures that are worked out minute by minute', { skip }, test => {
  const moment = fc.integer({ min: 0, max: 4 * 24 * 60 }).map(minutes => on(0) + minutes * minute)
  const length = fc.integer({ min: -5, max: 600 })
  const sync = fc.record({
    at: moment,
    length,
    outcome: fc.constantFrom('done', 'partly', 'failed'),
    counts: fc.boolean(),
  })
  const backup = fc.record({ at: moment, covers: length, gone: fc.option(fc.integer({ min: 1, max: 3000 })) })
  const found = fc.record({ at: moment, status: fc.constantFrom('ok', 'critical', 'unknown') })
  const recovery = fc.record({ at: moment, took: fc.option(fc.integer({ min: 1, max: 300 })) })
  // two facts of one moment have no order
  const distinct = <T extends { at: number }>(of: fc.Arbitrary<T>, maxLength: number) =>
    fc.uniqueArray(of, { maxLength, selector: ({ at }) => at })
  check(
    fc.property(
      distinct(sync, 6),
      distinct(backup, 8),
      distinct(found, 6),
      distinct(recovery, 1),
      moment,
      moment,
      (syncs, backups, checks, recoveries, a, b) => {
        const state = newState(test, history => {
          history.run({ job: 'symbols', from: on(0), to: on(0) })
          for (const { at, length: took, outcome, counts } of syncs)
            history.sync(at, at + took * minute, { outcome, counts })
          for (const { at, covers, gone } of backups)
            history.backup(at, ['hot'], {
              coversUntil: at + Math.max(0, covers) * minute,
              ...(gone === null ? {} : { removedAt: at + gone * minute }),
            })
          for (const { at, status } of checks) history.check(at, status)
          for (const { at, took } of recoveries)
            history.recovery({ id: 'r', from: at + 1, served: took === null ? null : at + took * minute + 1 })
        })
        const [from, to] = [Math.min(a, b), Math.max(a, b) + minute]
        // late enough for nothing to be of the future
        const result = auditOf(state, from, to, on(30))
        expectSensible(test, result, 'any')
        expectSame(result, countMinutes(state, from, to))
      },
    ),
    runs(25),
  )
  test.end()
})

/** Times that are a millisecond off the minute belong to facts that must not have the moment of another. */
function expectSame(result: Audit, minutes: Minutes): void {
  const of = (spans: { from: number; to: number }[]) =>
    Math.round(spans.reduce((sum, { from, to }) => sum + to - from, 0) / minute)
  const found = {
    down: of(result.availability.down),
    stale: of(result.availability.stale),
    damaged: of(result.availability.damaged),
    unknown: Math.round(result.availability.unknownMs / minute),
    old: of(result.rpo.above),
  }
  const { down, stale, damaged, unknown, backupAges } = minutes
  const expected = { down, stale, damaged, unknown, old: backupAges.filter(age => age > 120).length }
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`)
}

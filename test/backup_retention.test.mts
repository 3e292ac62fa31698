import * as fc from 'fast-check'
import t from 'tap'
import { isOverdue, missedBy } from '../scripts/backup/catch_up.ts'
import { idAt, timeOf } from '../scripts/backup/manifest.ts'
import { type Kept, type Policy, provenUpTo, retain } from '../scripts/backup/retention.ts'
import { day, hour, minute, second } from '../scripts/job/time.ts'
import { check, runs, seed } from './support/properties.ts'

t.comment(`FC_SEED=${seed}`)

const hotPolicy: Policy = { days: 14, hours: 48 }
const warmPolicy: Policy = { days: 30, hours: 0 }
const evening = Date.parse('2026-11-24T20:30:00Z')

const at = (time: string | number, proven = true): Kept => {
  const takenAt = typeof time === 'number' ? time : Date.parse(`${time}Z`)
  return { id: idAt(takenAt), takenAt, proven }
}

const idsOf = (backups: readonly Kept[]) => backups.map(({ id }) => id)

/** A backup every hour from `from` to `to`, both included. */
const hourly = (from: number, to: number) =>
  Array.from({ length: Math.floor((to - from) / hour) + 1 }, (_, i) => at(from + i * hour))

const same = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other)

const withOne = (backups: readonly Kept[], one: Kept) => [...backups.filter(({ id }) => id !== one.id), one]

/** What stays. */
function keptOf(backups: readonly Kept[], policy: Policy, now: number, fresh: string[] = []): Kept[] {
  const gone = prunedOf(backups, policy, now, fresh)
  return backups.filter(({ id }) => !gone.has(id))
}

/** What goes. */
function prunedOf(backups: readonly Kept[], policy: Policy, now: number, fresh: string[] = []): Set<string> {
  return new Set(retain(backups, policy, now, fresh).flatMap(({ id, prune }) => (prune ? id : [])))
}

// The same rules once more, by the names of the files alone: what there is of hours and days, one backup at a time.

const dayOf = ({ id }: Kept) => id.slice('agent_backup_'.length, 'agent_backup_2026-11-24'.length)
const hourOf = ({ id }: Kept) => id.slice('agent_backup_'.length, 'agent_backup_2026-11-24_02'.length)
const isAhead = (backup: Kept, now: number) => backup.takenAt - now > 5 * minute
const counts = (backup: Kept, now: number) => backup.proven && !isAhead(backup, now)
const isNewer = (a: Kept, b: Kept) => a.takenAt > b.takenAt

function staysByName(backup: Kept, all: readonly Kept[], policy: Policy, now: number): boolean {
  if (isAhead(backup, now)) return true
  const newer = all.filter(other => counts(other, now) && isNewer(other, backup))
  if (!backup.proven) return new Set(newer.map(dayOf)).size < policy.days
  return [
    { of: dayOf, most: policy.days },
    { of: hourOf, most: policy.hours },
  ].some(({ of, most }) => {
    const newerSlots = new Set(newer.map(of))
    return !newerSlots.has(of(backup)) && newerSlots.size < most
  })
}

/** How many may stay that are proven, not of the future and not fresh. */
const bound = ({ days, hours }: Policy) => hours + Math.max(0, days - Math.ceil(hours / 24))

// Histories. Times are whole seconds, as ids are, and differ.

const policies = fc.oneof(
  fc.constantFrom(hotPolicy, warmPolicy),
  fc.record({ days: fc.integer({ min: 1, max: 6 }), hours: fc.integer({ min: 0, max: 30 }) }),
)

// the 29th of February of a leap year is the third day of one; 1970, and what is before, is for broken clocks
const begins = fc.constantFrom('2026-11-24', '2024-02-27', '2000-02-28', '1969-12-30', '2027-12-30')

/** Where else than on the hot tier a backup is, and how it is there. */
const places = ['nowhere', 'nowhere', 'copied', 'broken', 'only there'] as const
type Entry = { backup: Kept; place: (typeof places)[number] }

// a number has all that there is to choose of a backup in its digits, as a number is quickly made
const bases = [41, 24, 3600, 11, 7, places.length]

function entryOf(number: number, begin: number): Entry {
  let rest = number
  const take = (base: number) => {
    const digit = rest % base
    rest = Math.floor(rest / base)
    return digit
  }
  const [days, hours, seconds, kind, proof, place] = bases.map(take) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const spread = days * day + hours * hour + seconds * second
  // several in an hour, hour after hour
  const dense = (days % 4) * day + hours * hour + Math.floor(seconds / 1200) * 1200 * second
  const offset = kind < 5 ? spread : kind < 10 ? dense : spread + (days + 1) * 365 * day
  return { backup: at(begin + offset, proof !== 1), place: places[place] ?? 'nowhere' }
}

const entries = fc
  .tuple(
    begins,
    fc.array(fc.noBias(fc.nat(bases.reduce((a, b) => a * b) - 1)), { maxLength: 90, size: 'max' }),
  )
  .map(([begin, numbers]) => {
    const found = numbers.map(number => entryOf(number, Date.parse(begin)))
    return [...new Map(found.map(entry => [entry.backup.takenAt, entry])).values()]
  })

const clocks = fc.oneof(
  fc.record({ near: fc.double({ min: 0, max: 1, noNaN: true }), off: fc.integer({ min: -400, max: 400 }) }),
  fc.constantFrom({ near: 1, off: 1 }, { near: 1, off: 86_400 }, { near: 1, off: 30 * 365 * 86_400 }),
  fc.constantFrom({ at: 0 }, { at: Date.parse('9999-12-31T23:59:59Z') }, { at: -(10 ** 12) }),
)

/** Backups, and a clock that shows a time among theirs, just after them, years away, or nothing sensible. */
const situations = fc.record({ entries, policy: policies, clock: clocks }).map(({ clock, ...rest }) => {
  const times = rest.entries.map(({ backup }) => backup.takenAt).sort((a, b) => a - b)
  const now =
    'at' in clock
      ? clock.at
      : (times[Math.round(clock.near * (times.length - 1))] ?? evening) + clock.off * second
  return { ...rest, now }
})

const histories = entries.map(found => found.map(({ backup }) => backup))
const cases = situations.map(({ entries: found, policy, now }) => ({
  backups: found.map(({ backup }) => backup),
  policy,
  now,
}))

type Case = { backups: Kept[]; policy: Policy; now: number }

const forAll = (holds: (one: Case) => boolean, numRuns = runs(600)) =>
  check(fc.property(cases, holds), numRuns)

/** A number in [0, 1) for a backup, another for each `chance`. */
function byChance({ takenAt }: Kept, chance: number): number {
  const mixed = Math.imul(Math.floor(takenAt / second) ^ chance, 0x9e3779b1)
  return (Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 0) / 2 ** 32
}

/** One of some, or none of an empty list. */
const pick = <T,>(list: readonly T[], share: number): T | undefined => list[Math.floor(share * list.length)]
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

await t.test(
  'every backup is named once, newest first, and nothing else is, in whatever order they come',
  test => {
    check(
      fc.property(cases, fc.nat(), ({ backups, policy, now }, chance) => {
        const verdicts = retain(backups, policy, now)
        const expected = [...backups].sort((a, b) => b.takenAt - a.takenAt)
        const shuffled = [...backups].sort((a, b) => byChance(a, chance) - byChance(b, chance))
        return (
          same(
            verdicts.map(({ id }) => id),
            idsOf(expected),
          ) && same(verdicts, retain(shuffled, policy, now))
        )
      }),
      runs(600),
    )
    test.end()
  },
)

await t.test('a tier that has a proven backup keeps its newest, whatever the clock shows', test => {
  forAll(({ backups, policy, now }) => {
    const proven = backups.filter(backup => backup.proven).sort((a, b) => b.takenAt - a.takenAt)
    const kept = new Set(idsOf(keptOf(backups, policy, now)))
    const newest = proven[0]
    const newestSoFar = proven.find(backup => !isAhead(backup, now))
    return [newest, newestSoFar].every(backup => backup === undefined || kept.has(backup.id))
  })
  test.end()
})

await t.test('what stays and what goes is what the rules say, told by names alone', test => {
  forAll(
    ({ backups, policy, now }) =>
      same(
        idsOf(keptOf(backups, policy, now)),
        idsOf(backups.filter(backup => staysByName(backup, backups, policy, now))),
      ),
    runs(2000),
  )
  test.end()
})

await t.test('no more stay than is stated, and a full history reaches that', test => {
  forAll(({ backups, policy, now }) => {
    const counted = keptOf(backups, policy, now).filter(backup => counts(backup, now))
    return counted.length <= bound(policy)
  })
  const end = Date.parse('2026-11-24T23:00:00Z')
  const full = hourly(end - 9 * day, end)
  check(
    fc.property(
      fc.record({ days: fc.integer({ min: 1, max: 9 }), hours: fc.integer({ min: 0, max: 100 }) }),
      policy => keptOf(full, policy, end).length === bound(policy),
    ),
    runs(200),
  )
  test.equal(bound(hotPolicy), 60)
  test.equal(bound(warmPolicy), 30)
  test.end()
})

await t.test('what has been kept once is kept when it is looked at again', test => {
  forAll(({ backups, policy, now }) => prunedOf(keptOf(backups, policy, now), policy, now).size === 0)
  test.end()
})

await t.test('the fewer backups there are, the fewer go: nothing goes but for what is there', test => {
  check(
    fc.property(cases, fc.nat(), ({ backups, policy, now }, chance) => {
      const fewer = backups.filter(backup => byChance(backup, chance) < 0.7)
      const gone = prunedOf(backups, policy, now)
      return [...prunedOf(fewer, policy, now)].every(id => gone.has(id))
    }),
    runs(600),
  )
  test.end()
})

await t.test(
  'a backup a time, with retention after each, comes to the same as retention once in the end',
  test => {
    check(
      fc.property(histories, policies, (backups, policy) => {
        const inOrder = [...backups].sort((a, b) => a.takenAt - b.takenAt)
        let tier: Kept[] = []
        for (const backup of inOrder) tier = keptOf([...tier, backup], policy, backup.takenAt)
        return same(idsOf(tier), idsOf(keptOf(inOrder, policy, inOrder.at(-1)?.takenAt ?? 0)))
      }),
      runs(150),
    )
    test.end()
  },
)

await t.test('whichever way the clock goes between two runs, no more goes than without the first', test => {
  const jumps = fc.oneof(fc.integer({ min: -60, max: 60 }), fc.integer({ min: -30_000, max: 30_000 }))
  check(
    fc.property(cases, jumps, ({ backups, policy, now }, hours) => {
      const later = Math.floor((now + hours * hour) / second) * second
      if (Math.abs(later) > 10 ** 14) return true
      const added = at(later)
      const once = prunedOf(withOne(backups, added), policy, later)
      const kept = keptOf(backups, policy, now)
      const twice = prunedOf(withOne(kept, added), policy, later)
      const first = prunedOf(backups, policy, now)
      // forwards it comes to the same; backwards what has gone meanwhile leaves room for others
      return (
        [...twice].every(id => once.has(id)) &&
        (hours < 0 || [...once].every(id => twice.has(id) || first.has(id)))
      )
    }),
    runs(600),
  )
  test.end()
})

await t.test('a clock that jumps ahead by years makes nothing go that would not go anyway', test => {
  check(
    fc.property(cases, fc.integer({ min: 1, max: 500 }), ({ backups, policy, now }, years) => {
      const past = backups.filter(backup => backup.takenAt <= now)
      return same(
        retain(past, policy, now).map(({ prune }) => prune),
        retain(past, policy, now + years * 365 * day).map(({ prune }) => prune),
      )
    }),
    runs(600),
  )
  test.end()
})

await t.test('a new backup displaces an hourly and a daily one at most, also after a jump of years', test => {
  check(
    fc.property(cases, fc.integer({ min: 0, max: 500 }), ({ backups, policy, now }, years) => {
      const later = Math.floor(Math.min(now + years * 365 * day + hour, 10 ** 14) / second) * second
      const past = backups.filter(backup => backup.takenAt <= now && backup.takenAt < later)
      const added = at(later)
      const kept = keptOf(past, policy, now)
      const gone = prunedOf([...kept, added], policy, later)
      return kept.filter(backup => backup.proven && gone.has(backup.id)).length <= 2
    }),
    runs(600),
  )
  test.end()
})

await t.test('what is dated in the future stays and displaces nothing, proven or not', test => {
  forAll(({ backups, policy, now }) => {
    const verdicts = retain(backups, policy, now)
    const ahead = new Set(idsOf(backups.filter(backup => isAhead(backup, now))))
    const others = backups.filter(({ id }) => !ahead.has(id))
    return (
      verdicts.every(({ id, prune, why }) => !ahead.has(id) || (!prune && why === 'dated in the future')) &&
      same(
        verdicts.filter(({ id }) => !ahead.has(id)),
        retain(others, policy, now),
      )
    )
  })
  test.end()
})

await t.test('what is not proven displaces nothing', test => {
  forAll(({ backups, policy, now }) => {
    const proven = backups.filter(backup => backup.proven)
    const ids = new Set(idsOf(proven))
    return same(
      retain(backups, policy, now).filter(({ id }) => ids.has(id)),
      retain(proven, policy, now),
    )
  })
  test.end()
})

await t.test('days held, up to those of the policy, never become fewer', test => {
  forAll(({ backups, policy, now }) => {
    const daysIn = (list: Kept[]) => new Set(list.filter(({ proven }) => proven).map(dayOf)).size
    return daysIn(keptOf(backups, policy, now)) >= Math.min(policy.days, daysIn(backups))
  })
  test.end()
})

await t.test('what a run has just stored stays, and counts as what else there is', test => {
  check(
    fc.property(cases, share, ({ backups, policy, now }, which) => {
      const fresh = pick(backups, which)
      if (fresh === undefined) return true
      const without = prunedOf(backups, policy, now)
      without.delete(fresh.id)
      const verdict = retain(backups, policy, now, [fresh.id]).find(({ id }) => id === fresh.id)
      return (
        same([...prunedOf(backups, policy, now, [fresh.id])], [...without]) && verdict?.why === 'just taken'
      )
    }),
    runs(600),
  )
  test.end()
})

const damaged = fc.constantFrom(
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  8.64e15 + 1,
  -1e300,
  undefined as unknown as number,
)

await t.test('a backup whose time is damaged stays, and changes nothing for the others', test => {
  check(
    fc.property(
      cases,
      fc.array(fc.record({ takenAt: damaged, proven: fc.boolean() }), { minLength: 1, maxLength: 5 }),
      ({ backups, policy, now }, bad) => {
        const broken = bad.map((entry, i) => ({ ...entry, id: `damaged ${i}` }))
        const verdicts = retain([...broken, ...backups], policy, now)
        const last = verdicts.splice(backups.length)
        return (
          same(verdicts, retain(backups, policy, now)) &&
          same(
            last.map(({ id }) => id),
            idsOf(broken).toReversed(),
          ) &&
          last.every(({ prune }) => !prune)
        )
      },
    ),
    runs(600),
  )
  test.end()
})

await t.test(
  'with a policy that keeps nothing, or that is damaged, or without a clock, nothing goes',
  test => {
    const bad = fc.oneof(
      fc.record({ days: fc.constantFrom(0, -1, Number.NaN, 0.5), hours: fc.constantFrom(0, 48) }),
      fc.record({ days: fc.constant(14), hours: fc.constantFrom(-1, Number.NaN) }),
      fc.constant({} as Policy),
    )
    check(
      fc.property(cases, bad, ({ backups, policy, now }, badPolicy) => {
        const kept = (verdicts: ReturnType<typeof retain>) =>
          verdicts.length === backups.length && verdicts.every(({ prune }) => !prune)
        return kept(retain(backups, badPolicy, now)) && kept(retain(backups, policy, Number.NaN))
      }),
      runs(400),
    )
    test.same(retain([], hotPolicy, evening), [])
    test.end()
  },
)

// 400 days and more, an hour at a time.

const events = fc.array(
  fc.record({
    /** How many hours after the event before. */
    after: fc.integer({ min: 0, max: 900 }),
    what: fc.oneof(
      fc.record({ off: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 24, max: 1500 })) }),
      fc.record({
        ahead: fc.oneof(
          fc.integer({ min: -50, max: 50 }),
          fc.integer({ min: -900, max: 900 }),
          fc.constantFrom(365 * 24, -365 * 24, 20 * 365 * 24, -50 * 365 * 24),
        ),
        until: fc.integer({ min: 1, max: 1200 }),
      }),
      fc.record({ failing: fc.integer({ min: 1, max: 100 }) }),
    ),
  }),
  { maxLength: 14, size: 'max' },
)

await t.test(
  'after whatever has happened in 400 days, 60 quiet ones bring the hourly and daily ones back',
  test => {
    const begin = Date.parse('2025-12-01T00:05:00Z')
    const quiet = 400 * 24
    let most = 0
    check(
      fc.property(events, happened => {
        // what each hour is like: whether the host is on, how far its clock is ahead, whether proofs fail
        const off = new Uint8Array(quiet)
        const ahead = new Int32Array(quiet)
        const failing = new Uint8Array(quiet)
        let when = 0
        for (const { after, what } of happened) {
          when += after
          if ('off' in what) off.fill(1, when, when + what.off)
          else if ('failing' in what) failing.fill(1, when, when + what.failing)
          else ahead.fill(what.ahead, when, when + what.until)
        }
        let tier = new Map<string, Kept>()
        const total = quiet + 60 * 24
        for (let i = 0; i < total; i++) {
          if (off[i] === 1) continue
          const now = begin + i * hour + (ahead[i] ?? 0) * hour
          const backup = at(now, failing[i] !== 1)
          // a second one of the same second is not taken
          if (!tier.has(backup.id)) tier.set(backup.id, backup)
          // by the daily run, whose hour the clock decides; the last hours of all have one each, to be looked at
          if (Math.floor(now / hour) % 24 !== 2 && i < total - 24) continue
          const before = [...tier.values()]
          const after = keptOf(before, hotPolicy, now, [backup.id])
          if (!holdsOn(before, after, now, backup)) return false
          tier = new Map(after.map(entry => [entry.id, entry]))
          most = Math.max(most, tier.size)
          if (i >= total - 24 && !isAsAfterQuietDays(after, now)) return false
        }
        return true
      }),
      runs(4),
    )
    test.comment(`${most} backups at most`)
    test.end()
  },
)

/** What no retention may break, of a tier before and after it. */
function holdsOn(before: Kept[], after: Kept[], now: number, stored: Kept): boolean {
  const ids = new Set(idsOf(after))
  const provenIn = (list: Kept[]) => list.filter(({ proven }) => proven)
  const newest = provenIn(before).reduce<Kept | undefined>(
    (best, backup) => (best === undefined || isNewer(backup, best) ? backup : best),
    undefined,
  )
  const daysIn = (list: Kept[]) => new Set(provenIn(list).map(dayOf)).size
  return (
    ids.has(stored.id) &&
    (newest === undefined || ids.has(newest.id)) &&
    daysIn(after) >= Math.min(hotPolicy.days, daysIn(before)) &&
    after.filter(backup => counts(backup, now) && backup.id !== stored.id).length <= bound(hotPolicy)
  )
}

/** Of the last 48 hours each, and of the 14 last days each the newest; beside them only what is of the future. */
function isAsAfterQuietDays(tier: Kept[], now: number): boolean {
  const expected = new Set<string>()
  for (let i = 0; i < 48; i++) expected.add(hourOf(at(now - i * hour)))
  const midnight = Date.parse(new Date(now).toISOString().slice(0, 10))
  for (let i = 0; i < 13; i++) expected.add(hourOf(at(midnight - i * day - hour)))
  const found = tier.filter(backup => counts(backup, now)).map(hourOf)
  return (
    same(found.sort(), [...expected].sort()) &&
    tier.every(backup => counts(backup, now) || isAhead(backup, now))
  )
}

await t.test('clocks that go back and forth at every backup leave the tier its days', test => {
  const jumps = fc.array(fc.integer({ min: 0, max: 40 * 365 * 24 }), { minLength: 1, maxLength: 80 })
  check(
    fc.property(jumps, policies, (hours, policy) => {
      let tier: Kept[] = []
      const days = new Set<string>()
      for (const hoursSince of hours) {
        const now = hoursSince * hour
        const backup = at(now)
        tier = keptOf(withOne(tier, backup), policy, now, [backup.id])
        days.add(dayOf(backup))
        if (new Set(tier.map(dayOf)).size < Math.min(policy.days, days.size)) return false
      }
      return true
    }),
    runs(400),
  )
  test.end()
})

// In plain words.

await t.test('the reasons, newest first', test => {
  const now = Date.parse('2026-11-24T03:10:00Z')
  const backups = [
    at('2027-11-24T02:00:00'),
    at('2026-11-24T03:10:02'),
    at('2026-11-24T02:45:00', false),
    at('2026-11-24T02:30:00'),
    at('2026-11-24T02:00:00'),
    at('2026-11-24T01:00:00'),
    at('2026-11-23T23:00:00'),
    at('2026-11-23T22:00:00'),
    at('2026-11-20T12:00:00'),
    at('2026-11-20T11:00:00'),
    at('2026-11-20T10:00:00', false),
    at('2024-02-29T23:59:59'),
    at('2024-02-29T02:00:00'),
    at('2024-02-28T02:00:00'),
    at('2024-02-28T01:00:00', false),
    { id: 'agent_backup_damaged', takenAt: Number.NaN, proven: true },
  ]
  const reasons = (policy: Policy, fresh: string[] = []) =>
    retain(backups, policy, now, fresh).map(
      ({ id, prune, why }) => `${prune ? '-' : '+'} ${id.slice(13)} ${why}`,
    )
  test.same(reasons({ days: 4, hours: 4 }), [
    '+ 2027-11-24_02-00-00 dated in the future',
    '+ 2026-11-24_03-10-02 newest proven',
    '+ 2026-11-24_02-45-00 its proof failed; kept until 4 days have newer proven ones',
    '+ 2026-11-24_02-30-00 hourly 2026-11-24 02:00',
    '- 2026-11-24_02-00-00 a newer one stands for 2026-11-24 02:00',
    '+ 2026-11-24_01-00-00 hourly 2026-11-24 01:00',
    '+ 2026-11-23_23-00-00 daily 2026-11-23',
    '- 2026-11-23_22-00-00 a newer one stands for 2026-11-23',
    '+ 2026-11-20_12-00-00 daily 2026-11-20',
    '- 2026-11-20_11-00-00 a newer one stands for 2026-11-20',
    '+ 2026-11-20_10-00-00 its proof failed; kept until 4 days have newer proven ones',
    '+ 2024-02-29_23-59-59 daily 2024-02-29',
    '- 2024-02-29_02-00-00 a newer one stands for 2024-02-29',
    '- 2024-02-28_02-00-00 older than the 4 newest days and the 4 newest hours with a proven backup',
    '- 2024-02-28_01-00-00 its proof failed',
    '+ damaged nobody knows when it was taken',
  ])
  test.same(
    reasons({ days: 1, hours: 0 }, ['agent_backup_2026-11-20_12-00-00']).filter(line =>
      /_(12|11)-00-00/.test(line),
    ),
    [
      '+ 2026-11-20_12-00-00 just taken',
      '- 2026-11-20_11-00-00 older than the 1 newest day with a proven backup',
    ],
  )
  test.same(
    new Set(retain(backups, { days: 0, hours: 0 }, now).map(({ why }) => why)),
    new Set(['the retention makes no sense']),
  )
  test.same(
    new Set(retain(backups, hotPolicy, Number.NaN).map(({ why }) => why)),
    new Set(['nobody knows what time it is']),
  )
  test.end()
})

await t.test(
  'a tier whose backups are all older than its days keeps them, as many as if they were new',
  test => {
    const old = Array.from({ length: 40 }, (_, i) => at(Date.parse('2020-01-01T02:00:00Z') + i * day))
    test.same(keptOf(old, warmPolicy, evening), old.slice(-30))
    test.same(keptOf(old.slice(0, 3), warmPolicy, evening), old.slice(0, 3))
    test.end()
  },
)

await t.test('with a backup a day, a policy of 14 days is 14 days', test => {
  const daily = Array.from({ length: 60 }, (_, i) => at(Date.parse('2026-01-01T02:00:00Z') + i * day))
  const now = Date.parse('2026-03-01T02:00:10Z')
  test.same(
    keptOf(daily, { days: 14, hours: 0 }, now),
    daily.filter(({ takenAt }) => now - takenAt < 14 * day),
  )
  test.end()
})

await t.test('a clock that is a little slow takes nothing for the future, one that is slower does', test => {
  const backup = at('2026-11-24T20:00:00')
  const why = (now: number) => retain([backup], hotPolicy, now)[0]?.why
  test.equal(why(backup.takenAt - 5 * minute), 'newest proven')
  test.equal(why(backup.takenAt - 5 * minute - 1), 'dated in the future')
  test.end()
})

// What a tier missed.

/** A hot tier, another tier, and a clock. Some backups are on both, and of some one copy is broken. */
const pairs = situations.map(({ entries: found, policy, now }) => ({
  hot: found.filter(({ place }) => place !== 'only there').map(({ backup }) => backup),
  tier: found
    .filter(({ place }) => place !== 'nowhere')
    .map(({ backup, place }) => (place === 'broken' ? { ...backup, proven: !backup.proven } : backup)),
  policy,
  now,
}))

type Pair = { hot: Kept[]; tier: Kept[]; policy: Policy; now: number }

/** What a tier has when it has caught up. */
function caughtUp({ hot, tier, policy, now }: Pair, most = 1000): Kept[] {
  const missed = new Set(missedBy(hot, tier, policy, now, most))
  return [...tier, ...hot.filter(({ id }) => missed.has(id))]
}

const forAllPairs = (holds: (pair: Pair) => boolean) => check(fc.property(pairs, holds), runs(400))

await t.test(
  'only what is proven and what the tier lacks is fetched, newest first, and no more than asked for',
  test => {
    check(
      fc.property(pairs, fc.nat(5), ({ hot, tier, policy, now }, most) => {
        const all = missedBy(hot, tier, policy, now, 1000)
        const byId = new Map(hot.map(backup => [backup.id, backup]))
        const theirs = new Set(idsOf(tier))
        return (
          all.every(id => byId.get(id)?.proven && !theirs.has(id)) &&
          same(all, [...new Set(all)].sort().toReversed()) &&
          same(missedBy([...hot].toReversed(), [...tier].toReversed(), policy, now, most), all.slice(0, most))
        )
      }),
      runs(400),
    )
    const two = [at(evening), at(evening - day)]
    for (const most of [0, -1, Number.NaN]) test.same(missedBy(two, [], warmPolicy, evening, most), [])
    test.end()
  },
)

await t.test('nothing that is fetched is pruned again, and then nothing more is missed', test => {
  check(
    fc.property(pairs, fc.nat(5), (pair, some) => {
      const { hot, tier, policy, now } = pair
      return [some, 1000].every(most => {
        const missed = missedBy(hot, tier, policy, now, most)
        const after = caughtUp(pair, most)
        const gone = prunedOf(after, policy, now)
        if (missed.some(id => gone.has(id))) return false
        // where a broken copy goes, its name is free for a good one
        const kept = after.filter(({ id, proven }) => !proven || !gone.has(id))
        return most < 1000 || missedBy(hot, kept, policy, now, most).length === 0
      })
    }),
    runs(400),
  )
  test.end()
})

await t.test('a tier that has caught up has each hour and day that it would keep of all there is', test => {
  forAllPairs(pair => {
    const { hot, tier, policy, now } = pair
    const theirs = new Set(idsOf(tier))
    // a broken copy stands in the way of the same backup
    const union = [...tier, ...hot.filter(({ id }) => !theirs.has(id))]
    const counted = (list: Kept[]) => list.filter(backup => counts(backup, now))
    const daysIn = (list: Kept[]) => [...new Set(counted(list).map(dayOf))].sort().slice(-policy.days)
    const hoursIn = (list: Kept[]) =>
      policy.hours === 0 ? [] : [...new Set(counted(list).map(hourOf))].sort().slice(-policy.hours)
    const after = caughtUp(pair)
    return same(daysIn(after), daysIn(union)) && same(hoursIn(after), hoursIn(union))
  })
  test.end()
})

await t.test('a day that the tier has is never fetched, and any other once', test => {
  forAllPairs(({ hot, tier, policy, now }) => {
    const missed = new Set(missedBy(hot, tier, { ...policy, hours: 0 }, now, 1000))
    const fetched = hot.filter(({ id }) => missed.has(id))
    // what is of the future stands for no day yet
    const theirs = new Set(tier.filter(backup => counts(backup, now)).map(dayOf))
    return (
      new Set(fetched.map(dayOf)).size === fetched.length && fetched.every(one => !theirs.has(dayOf(one)))
    )
  })
  test.end()
})

await t.test(
  'what a tier fetches of days of which it has nothing is what retention would keep of both',
  test => {
    forAllPairs(({ hot, tier, policy, now }) => {
      const hotDays = new Set(hot.map(dayOf))
      const elsewhere = tier.filter(backup => !hotDays.has(dayOf(backup)))
      const past = hot.filter(backup => !isAhead(backup, now))
      const kept = keptOf([...elsewhere, ...past], policy, now)
      const expected = kept.filter(backup => backup.proven && past.includes(backup))
      return same(missedBy(past, elsewhere, policy, now, 1000), idsOf(expected).sort().toReversed())
    })
    test.end()
  },
)

await t.test('of what is dated in the future, one is fetched at most, of the newest day of all', test => {
  forAllPairs(({ hot, tier, policy, now }) => {
    const missed = missedBy(hot, tier, policy, now, 1000)
    const ahead = hot.filter(backup => missed.includes(backup.id) && isAhead(backup, now))
    const theirs = new Set(idsOf(tier))
    const others = [...tier, ...hot.filter(({ id }) => !theirs.has(id))].filter(backup => backup.proven)
    return ahead.length <= 1 && ahead.every(one => others.every(other => dayOf(other) <= dayOf(one)))
  })
  test.end()
})

await t.test(
  'a tier that was away for no longer than the hot tier reaches back lacks no day afterwards',
  test => {
    const begin = Date.parse('2024-02-10T02:00:00Z')
    const absences = fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 13 })), {
      maxLength: 8,
    })
    check(
      fc.property(absences, away => {
        const there = away.flatMap(([on, off]) => [
          ...Array.from({ length: on }, () => true),
          ...Array.from({ length: off }, () => false),
        ])
        let hot: Kept[] = []
        let warm: Kept[] = []
        return [...there, true].every((isThere, i) => {
          const now = begin + i * day
          const taken = at(now)
          hot = keptOf([...hot, ...hourly(now - 23 * hour, now - hour), taken], hotPolicy, now)
          if (!isThere) return true
          const before = new Set(warm.map(dayOf))
          warm = [...warm, taken]
          const missed = missedBy(hot, warm, warmPolicy, now, 100)
          warm.push(...hot.filter(({ id }) => missed.includes(id)))
          warm = keptOf(warm, warmPolicy, now)
          // the hours of the day before the first run count as a day too
          const days = Array.from({ length: Math.min(30, i + 2) }, (_, ago) => dayOf(at(now - ago * day)))
          const wanted = days.slice(1).filter(name => !before.has(name)).length
          return missed.length === wanted && same(warm.map(dayOf).sort(), days.sort())
        })
      }),
      runs(15),
    )
    test.end()
  },
)

await t.test('a warm tier that was away for three days gets the last backup of each', test => {
  const now = Date.parse('2026-11-24T02:00:20Z')
  const taken = at('2026-11-24T02:00:00')
  const hot = keptOf(hourly(Date.parse('2026-11-05T00:00:00Z'), taken.takenAt), hotPolicy, now)
  const dailies = Array.from({ length: 15 }, (_, i) => at(Date.parse('2026-11-06T02:00:00Z') + i * day))
  const missed = [
    'agent_backup_2026-11-23_23-00-00',
    'agent_backup_2026-11-22_23-00-00',
    'agent_backup_2026-11-21_23-00-00',
  ]
  test.same(
    missedBy(hot, [...dailies, taken], warmPolicy, now, 10),
    missed,
    'with what the run itself has put',
  )
  test.same(missedBy(hot, dailies, warmPolicy, now, 10), [taken.id, ...missed], 'and before it has')
  const before = hot.filter(({ id }) => id !== taken.id)
  const today = 'agent_backup_2026-11-24_01-00-00'
  test.same(missedBy(before, dailies, warmPolicy, now, 10), [today, ...missed], 'and before it has taken any')
  test.same(missedBy(hot, [...dailies, taken], warmPolicy, now, 2), missed.slice(0, 2), 'two at a time')
  test.equal(missedBy(hot, [], warmPolicy, now, 100).length, 14, 'a new disk gets all that there is')
  test.same(
    missedBy(hot, [...dailies, taken], { days: 2, hours: 0 }, now, 10),
    missed.slice(0, 1),
    'if it keeps them',
  )
  test.end()
})

await t.test('a broken copy is made up for by another backup of its day', test => {
  const now = Date.parse('2026-11-24T02:00:20Z')
  const hot = [at('2026-11-23T01:00:00'), at('2026-11-23T02:00:00'), at('2026-11-22T02:00:00')]
  const tier = [at('2026-11-23T02:00:00', false), at('2026-11-22T02:00:00', false)]
  test.same(missedBy(hot, tier, warmPolicy, now, 10), ['agent_backup_2026-11-23_01-00-00'])
  test.same(missedBy([at('2026-11-23T02:00:00', false)], [], warmPolicy, now, 10), [], 'not by a broken one')
  test.end()
})

await t.test('where the clock is behind, the newest is fetched though it is dated in the future', test => {
  const hot = [at('2026-11-24T02:00:00'), at('2026-11-23T02:00:00'), at('1970-01-01T00:10:00')]
  const ids = idsOf(hot)
  const now = 11 * minute
  test.same(missedBy(hot, [], warmPolicy, now, 10), [ids[0], ids[2]])
  test.same(missedBy(hot, hot.slice(0, 1), warmPolicy, now, 10), [ids[2]])
  test.same(
    missedBy(hot, [at('2026-11-25T02:00:00')], warmPolicy, now, 10),
    [ids[2]],
    'not where there is a newer one',
  )
  const today = [at('2026-11-24T20:00:00'), at('2026-11-24T22:00:00')]
  test.same(
    missedBy(today, [], warmPolicy, evening, 10),
    idsOf(today.slice(0, 1)),
    'nor beside one of its day',
  )
  test.end()
})

await t.test('of two of the same moment, the one that the alphabet has later stays', test => {
  const twins = ['a', 'c', 'b'].map(id => ({ id, takenAt: evening, proven: true }))
  test.same(retain(twins, hotPolicy, evening), [
    { id: 'c', prune: false, why: 'newest proven' },
    { id: 'b', prune: true, why: 'a newer one stands for 2026-11-24 20:00' },
    { id: 'a', prune: true, why: 'a newer one stands for 2026-11-24 20:00' },
  ])
  test.end()
})

await t.test(
  'times that are none are not fetched, and by a policy that makes no sense only the newest',
  test => {
    const hot = [{ id: 'a', takenAt: Number.NaN, proven: true }, at('2026-11-23T02:00:00')]
    test.same(missedBy(hot, [], warmPolicy, evening, 10), ['agent_backup_2026-11-23_02-00-00'])
    const tier = [{ id: 'a', takenAt: Number.NaN, proven: true }]
    test.same(missedBy(hot, tier, warmPolicy, evening, 10), ['agent_backup_2026-11-23_02-00-00'])
    const three = [at('2026-11-21T02:00:00'), at('2026-11-22T02:00:00'), at('2026-11-23T02:00:00')]
    for (const policy of [
      { days: -1, hours: -1 },
      { days: Number.NaN, hours: Number.NaN },
    ])
      test.same(missedBy(three, [], policy, evening, 10), ['agent_backup_2026-11-23_02-00-00'])
    test.end()
  },
)

await t.test('the daily backup is overdue when there is none since it was last due', test => {
  const time = (text: string) => Date.parse(`${text}Z`)
  const newest = timeOf('agent_backup_2026-11-23_02-00-03')
  test.notOk(isOverdue(newest, '02:00', time('2026-11-23T02:00:10')))
  test.notOk(isOverdue(newest, '02:00', time('2026-11-24T01:59:59')))
  test.ok(isOverdue(newest, '02:00', time('2026-11-24T02:00:00')))
  test.notOk(isOverdue(newest, '23:30', time('2026-11-23T23:29:00')), 'whenever it was due')
  test.ok(isOverdue(newest, '23:30', time('2026-11-24T01:00:00')))
  test.ok(isOverdue(undefined, '02:00', evening))
  test.ok(isOverdue(Number.NaN, '02:00', evening))
  test.ok(isOverdue(newest, '', evening))
  test.notOk(isOverdue(evening + 4 * minute, '02:00', evening), 'clocks are not that exact')
  test.ok(isOverdue(evening + 365 * day, '02:00', evening), 'one of the future says nothing')
  const tier = [at(evening + 365 * day), at('2026-11-24T02:00:00'), at('2026-11-24T03:00:00', false)]
  test.equal(provenUpTo(evening, tier)[0]?.takenAt, time('2026-11-24T02:00:00'))
  test.end()
})

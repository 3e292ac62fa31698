import * as fc from 'fast-check'
import t from 'tap'
import { ExchangeFailure } from '../scripts/candles/failure.ts'
import { WeightPacer } from '../scripts/candles/pacer.ts'
import { EventClock } from './support/event_clock.ts'
import { checkAsync, runs, seed } from './support/properties.ts'

const minute = 60_000
const second = 1000
const limit = 2400
const start = Date.parse('2026-03-15T01:00:00Z')

t.comment(`FC_SEED=${seed}`)

/** What another client at our address does in a minute: a share of the limit, and when. */
type Other = { share: number; habit: 'steady' | 'at once' | 'at random' | 'at the end' }

type Scenario = {
  /** Where in a minute of the exchange the run begins. */
  into: number
  minutes: number
  budgetRatio: number
  concurrency: number
  weights: { min: number; max: number }
  latency: { min: number; max: number }
  /** Share of the latency that is the way there. */
  wayThere: number
  /** Share of the answers that never come, or without the used weight. */
  silent: number
  /** Exchange's clock minus ours. */
  offset: number
  /** How far what we learn of the offset is from the truth: once at the start, and again at random moments. */
  errors: number[]
  others: Other[]
  random: number
}

const share = (min: number, max: number) => fc.double({ min, max, noNaN: true })
const between = (lowest: number, highest: number) =>
  fc
    .tuple(fc.integer({ min: lowest, max: highest }), fc.integer({ min: lowest, max: highest }))
    .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }))

const scenario = (others: (budgetRatio: number) => fc.Arbitrary<Other>, ratio = share(0.1, 0.9)) =>
  ratio.chain(budgetRatio =>
    fc.record({
      // late in a minute, what is asked in it is still under way when the next one begins
      into: fc.oneof(
        fc.integer({ min: 0, max: minute - 1 }),
        fc.integer({ min: minute - 3000, max: minute - 1 }),
      ),
      minutes: fc.constant(5),
      budgetRatio: fc.constant(budgetRatio),
      concurrency: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.constant(64)),
      weights: fc.oneof(between(1, 10), fc.constant({ min: 2, max: 2 }), fc.constant({ min: 10, max: 10 })),
      latency: fc.oneof(between(0, 2000), fc.constant({ min: 2000, max: 2000 })),
      wayThere: fc.oneof(share(0, 1), fc.constantFrom(0, 1)),
      silent: fc.oneof(fc.constant(0), share(0, 0.2)),
      offset: fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: -5e9, max: 5e9 })),
      errors: fc.array(fc.oneof(fc.integer({ min: -200, max: 200 }), fc.constantFrom(-200, 200)), {
        minLength: 1,
        maxLength: 8,
      }),
      others: fc.array(others(budgetRatio), { minLength: 1, maxLength: 4 }),
      random: fc.integer(),
    }),
  )

const habits = fc.constantFrom('steady', 'at once', 'at random', 'at the end')

/** Another client that leaves our share of the limit free, and a twentieth of it. */
const modest = (budgetRatio: number): fc.Arbitrary<Other> => {
  const most = 1 - budgetRatio - 0.05
  return fc.record({ share: fc.oneof(share(0, most), fc.constantFrom(0, most)), habit: habits })
}

type Minute = {
  /** Weight that the exchange counted, by its own clock. */
  ours: number
  others: number
  /** Whether the pacer held somebody back at the minute's end. */
  held: boolean
}

type Outcome = { refused: { ours: number; others: number }; minutes: Minute[] }

/** A run of the pacer against the exchange's limiter, which counts what arrives by its own clock. */
async function simulate(given: Scenario): Promise<Outcome> {
  const { into, budgetRatio, concurrency, weights, latency, wayThere, silent, offset, errors } = given
  const random = generator(given.random)
  const clock = new EventClock(start + into - offset)
  const exchangeNow = () => clock.now() + offset
  const end = start + given.minutes * minute
  const over = new AbortController()
  const pacer = new WeightPacer(clock, { limit, budgetRatio }, () => undefined)
  const minutes: Minute[] = Array.from({ length: given.minutes + 1 }, () => {
    return { ours: 0, others: 0, held: false }
  })
  const current = () => minutes[Math.floor((exchangeNow() - start) / minute)] as Minute
  const refused = { ours: 0, others: 0 }
  let waiting = 0

  const count = (weight: number, whose: 'ours' | 'others') => {
    const now = current()
    now[whose] += weight
    if (now.ours + now.others > limit) refused[whose]++
    return now.ours + now.others
  }
  const onExchangeTime = (time: number, act: () => void) => {
    if (time >= exchangeNow()) clock.at(Math.floor(time) - offset, act)
  }

  errors.forEach((error, i) => {
    const learn = () => pacer.learn({ serverTime: exchangeNow() + error })
    if (i === 0) learn()
    else onExchangeTime(start + random() * (end - start), learn)
  })
  for (let n = 0; n < given.minutes; n++) {
    const other = given.others[n % given.others.length] as Other
    for (const { at, weight } of spread(other, random)) {
      onExchangeTime(start + n * minute + at, () => count(weight, 'others'))
    }
    onExchangeTime(start + (n + 1) * minute - 260, () => {
      current().held = waiting > 0
    })
  }

  async function work() {
    for (;;) {
      const weight = Math.floor(weights.min + random() * (weights.max - weights.min + 1))
      waiting++
      const settle = await pacer.take(weight, Number.POSITIVE_INFINITY, over.signal)
      waiting--
      const transit = latency.min + Math.round(random() * (latency.max - latency.min))
      const there = Math.round(transit * wayThere)
      await clock.sleep(there)
      const used = count(weight, 'ours')
      // an answer takes a millisecond at least, or time would stand still
      await clock.sleep(Math.max(1, transit - there))
      settle(random() < silent ? undefined : used)
    }
  }
  const workers = Array.from({ length: concurrency }, () =>
    work().catch((error: unknown) => {
      if (error !== over.signal.reason) throw error
    }),
  )
  await clock.run(end - offset - 1)
  over.abort()
  await clock.run()
  await Promise.all(workers)
  return { refused, minutes: minutes.slice(0, -1) }
}

/** When in a minute another client asks, and how much at a time. */
function spread({ share: part, habit }: Other, random: () => number): { at: number; weight: number }[] {
  const requests: { at: number; weight: number }[] = []
  const most = Math.floor(limit * part)
  for (let sum = 0; sum < most; ) {
    const weight = Math.min(most - sum, habit === 'steady' ? 5 : 10)
    const at = {
      steady: (sum / most) * minute,
      'at once': 3000 * (1 - random()),
      'at random': minute * random(),
      'at the end': minute - 1 - 3000 * random(),
    }[habit]
    requests.push({ at: Math.min(minute - 1, at), weight })
    sum += weight
  }
  return requests
}

/** Random numbers in [0, 1) from a seed (mulberry32). */
function generator(from: number): () => number {
  let state = from | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function keepsItsPromise({ refused, minutes }: Outcome, { budgetRatio }: Scenario): void {
  if (refused.ours + refused.others > 0) throw new Error(`429: ${JSON.stringify({ refused, minutes })}`)
  const over = minutes.findIndex(({ ours }) => ours > limit * budgetRatio)
  if (over !== -1) throw new Error(`over budget in minute ${over}: ${JSON.stringify(minutes)}`)
}

/**
 * Not in the first minute, which may be cut, and not in the one after it: what was asked in a burst just before may
 * have been counted in either, and is charged to both.
 */
function isNotIdle({ minutes }: Outcome, { budgetRatio }: Scenario): void {
  const budget = Math.floor(limit * budgetRatio)
  const idle = minutes.findIndex(({ ours, held }, n) => n > 1 && held && ours < 0.9 * budget)
  if (idle !== -1) {
    throw new Error(`held back below 90 % of ${budget} in minute ${idle}: ${JSON.stringify(minutes)}`)
  }
}

const quiet: Scenario = {
  into: 0,
  minutes: 5,
  budgetRatio: 0.5,
  concurrency: 20,
  weights: { min: 2, max: 2 },
  latency: { min: 100, max: 300 },
  wayThere: 0.5,
  silent: 0,
  offset: 0,
  errors: [0],
  others: [{ share: 0, habit: 'steady' }],
  random: 1,
}

await t.test('beside a client that leaves room', async group => {
  await group.test(
    'no request is refused, no minute of the exchange goes over our budget, and little of it is left unused',
    async () => {
      await checkAsync(
        fc.asyncProperty(scenario(modest), async each => {
          const outcome = await simulate(each)
          keepsItsPromise(outcome, each)
          isNotIdle(outcome, each)
        }),
        runs(40, 1200),
      )
    },
  )

  await group.test('the budget is used to its last weight where nothing is in the way', async test => {
    for (const budgetRatio of [0.1, 0.5, 0.9]) {
      const each = { ...quiet, budgetRatio, concurrency: 64 }
      const { minutes } = await simulate(each)
      test.ok(minutes.every(({ ours, held }) => ours === limit * budgetRatio && held))
    }
  })

  await group.test('what is still under way when a minute begins is charged to that one too', async () => {
    // asked at the end of a minute, all of it arrives in the next one
    const late = { into: 58_500, latency: { min: 2000, max: 2000 }, wayThere: 1 }
    const each = { ...quiet, ...late, budgetRatio: 0.1, concurrency: 64, weights: { min: 10, max: 10 } }
    keepsItsPromise(await simulate(each), each)
  })

  await group.test('what late answers say of a full minute does not stop the next one', async () => {
    // the budget lasts to just before the minute's end, and the last answers come after it
    for (const wayThere of [0, 0.5, 1]) {
      const others: Other[] = [
        { share: 0.345, habit: 'at once' },
        { share: 0, habit: 'steady' },
      ]
      const latency = { min: 2000, max: 2000 }
      const each = { ...quiet, budgetRatio: 0.605, concurrency: 24, latency, wayThere, others }
      const outcome = await simulate(each)
      keepsItsPromise(outcome, each)
      isNotIdle(outcome, each)
    }
  })

  await group.test(
    'what it asks is learnt from the answers, and a twentieth of the limit is left',
    async test => {
      const others: Other[] = [{ share: 0.8, habit: 'at once' }]
      const { refused, minutes } = await simulate({ ...quiet, concurrency: 4, others })
      test.strictSame(refused, { ours: 0, others: 0 })
      test.ok(minutes.every(({ ours, others: theirs }) => ours + theirs <= limit * 0.95 && ours > 300))
    },
  )
})

await t.test('beside a client that takes more than we leave it', async group => {
  const half = () => fc.record({ share: fc.constant(0.5), habit: habits })
  const greedy = (budgetRatio: number) =>
    fc.record({ share: share(1 - budgetRatio, 1.2), habit: fc.constant<Other['habit']>('steady') })

  await group.test('half and half go well, whenever it asks', async () => {
    await checkAsync(
      fc.asyncProperty(scenario(half, fc.constant(0.5)), async each => {
        keepsItsPromise(await simulate(each), each)
      }),
      runs(25, 800),
    )
  })

  await group.test('we ask no more once its steady pace has used up the limit', async () => {
    // what we know of it is two seconds old at most where every answer says what is used: in that time it asks less
    // than the twentieth of the limit that we leave
    const telling = scenario(greedy, share(0.2, 0.9)).map(each => ({ ...each, silent: 0 }))
    await checkAsync(
      fc.asyncProperty(telling, async each => {
        const { refused, minutes } = await simulate(each)
        const over = minutes.some(({ ours }) => ours > limit * each.budgetRatio)
        if (refused.ours > 0 || over) throw new Error(JSON.stringify({ refused, minutes }))
      }),
      runs(25, 800),
    )
  })
})

/** A pacer that has `budget` to spend a minute, and its clock. */
function pacerFor({ budget = 10, into = 0 } = {}) {
  const clock = new EventClock(start + into)
  const notes: string[] = []
  const limits = { limit: 1000, budgetRatio: budget / 1000 }
  const pacer = new WeightPacer(clock, limits, text => notes.push(text))
  return { clock, pacer, notes }
}

const forEver = new AbortController().signal

type Take = ReturnType<WeightPacer['take']>

/** When each of the takes came through and was answered, or what it failed with, as they happened. */
function watch(clock: EventClock, takes: Take[]): (number | Error)[] {
  const seen: (number | Error)[] = []
  const see = async (take: Take) => {
    try {
      const settle = await take
      settle(undefined)
      seen.push(clock.now() - start)
    } catch (error) {
      seen.push(error as Error)
    }
  }
  for (const take of takes) void see(take)
  return seen
}

await t.test('a pause', async group => {
  await group.test('holds back all that comes after it, and what is waiting already', async () => {
    await checkAsync(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 3 * minute }),
        fc.array(fc.integer({ min: 0, max: 3 * minute }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 0, max: 3 * minute }), { minLength: 1, maxLength: 20 }),
        async (told, ends, asked) => {
          const { clock, pacer } = pacerFor({ budget: 500 })
          const until = Math.max(...ends, 0)
          const seen: (number | Error)[][] = []
          clock.at(start + told, () => ends.forEach(end => pacer.pauseUntil(start + end)))
          for (const time of asked) {
            clock.at(start + time, () => {
              seen.push(watch(clock, [pacer.take(100, Number.POSITIVE_INFINITY, forEver)]))
            })
          }
          await clock.run()
          const went = seen.flat().map(Number)
          const early = went.filter(time => time > told && time < until)
          if (went.length !== asked.length || early.length > 0) throw new Error(went.join())
        },
      ),
      runs(300),
    )
  })

  await group.test('ends when it should, and a shorter one does not end it', async test => {
    const { clock, pacer, notes } = pacerFor()
    pacer.pauseUntil(start + 90 * second)
    pacer.pauseUntil(start + 5 * second)
    const seen = watch(clock, [pacer.take(1, Number.POSITIVE_INFINITY, forEver)])
    await clock.run()
    test.strictSame(seen, [90 * second])
    test.strictSame(notes, ['told to wait by the exchange', ''])
  })
})

await t.test('who may not wait that long is told so at once', async group => {
  await group.test('when a pause lasts too long', async test => {
    const { clock, pacer } = pacerFor()
    pacer.pauseUntil(start + 90 * second)
    const refusal = pacer.take(1, start + 90 * second, forEver)
    const seen = watch(clock, [refusal, pacer.take(1, start + 90 * second + 1, forEver)])
    await clock.run(start)
    test.match(seen, [
      new ExchangeFailure('refused', 'not asked: no request may go before 2026-03-15 01:01 UTC'),
    ])
    await clock.run()
    test.equal(seen[1], 90 * second)
  })

  await group.test('when the budget does not come back in time', async test => {
    const { clock, pacer } = pacerFor({ budget: 10 })
    const ask = (giveUpAt: number) => pacer.take(10, start + giveUpAt, forEver)
    const seen = watch(clock, [ask(1), ask(minute), ask(2 * minute)])
    await clock.run(start)
    test.equal(seen[0], 0)
    test.match(seen[1], { name: 'ExchangeFailure', kind: 'refused' })
    await clock.run()
    test.ok((seen[2] as number) > minute && (seen[2] as number) < minute + second)
  })

  await group.test('but nobody who need not wait', async test => {
    const { clock, pacer } = pacerFor()
    const seen = watch(clock, [pacer.take(10, start, forEver)])
    await clock.run()
    test.strictSame(seen, [0])
  })
})

await t.test('an abort ends every wait at once, with its reason', async test => {
  const { clock, pacer } = pacerFor({ budget: 10 })
  const stop = new AbortController()
  const takes = Array.from({ length: 5 }, () => pacer.take(10, Number.POSITIVE_INFINITY, stop.signal))
  const seen = watch(clock, takes)
  await clock.run(start + second)
  test.strictSame(seen, [0])
  const reason = new Error('the run was stopped')
  stop.abort(reason)
  await clock.run(clock.now())
  test.strictSame(seen, [0, reason, reason, reason, reason])
  test.ok(seen.slice(1).every(error => error === reason))
  await test.rejects(pacer.take(1, Number.POSITIVE_INFINITY, stop.signal), reason)
})

await t.test('a request that alone is over the budget still goes, but with no other', async test => {
  const { clock, pacer } = pacerFor({ budget: 5 })
  const seen = watch(
    clock,
    [1, 10, 10].map(weight => pacer.take(weight, Number.POSITIVE_INFINITY, forEver)),
  )
  await clock.run(start + 10 * minute)
  test.equal(seen.length, 3)
  test.equal(seen[0], 0)
  const minutes = seen.map(time => Math.floor(Number(time) / minute))
  test.equal(new Set(minutes).size, 3, minutes.join())
})

await t.test('a limit that the exchange names counts from then on', async test => {
  const each = async (named: number) => {
    const { clock, pacer } = pacerFor({ budget: 500 })
    pacer.learn({ limit: named })
    const seen = watch(
      clock,
      Array.from({ length: 30 }, () => pacer.take(100, Number.POSITIVE_INFINITY, forEver)),
    )
    await clock.run(start + 59 * second)
    return seen.length
  }
  test.strictSame([await each(400), await each(1000), await each(6000)], [2, 5, 30])
})

await t.test(
  'what was spent stays spent when the clock of the exchange turns out to be hours away',
  async test => {
    for (const offset of [-7 * 3600 * second, 12_345_678, 30 * second]) {
      const { clock, pacer } = pacerFor({ budget: 10 })
      watch(clock, [pacer.take(8, Number.POSITIVE_INFINITY, forEver)])
      await clock.run(start + second)
      pacer.learn({ serverTime: clock.now() + offset })
      const seen = watch(
        clock,
        [2, 1].map(weight => pacer.take(weight, Number.POSITIVE_INFINITY, forEver)),
      )
      await clock.run()
      const minutes = seen.map(time => Math.floor((start + Number(time) + offset) / minute))
      test.equal(seen[0], second, 'what is left of the budget')
      test.equal(
        (minutes[1] as number) - (minutes[0] as number),
        1,
        'no more before the next minute of its clock',
      )
    }
  },
)

await t.test(
  'an answer from the minute before does not put out of mind what is known of this one',
  async test => {
    const { clock, pacer } = pacerFor({ budget: 500, into: 59 * second })
    const settleLate = await pacer.take(1, Number.POSITIVE_INFINITY, forEver)
    await clock.run(start + 61 * second)
    const settle = await pacer.take(1, Number.POSITIVE_INFINITY, forEver)
    settle(900)
    settleLate(100)
    const seen = watch(
      clock,
      [40, 100].map(weight => pacer.take(weight, Number.POSITIVE_INFINITY, forEver)),
    )
    await clock.run(start + 110 * second)
    test.strictSame(seen, [61 * second])
  },
)

await t.test('clocks that are hours apart keep what is known of a minute in that minute', async test => {
  for (const offset of [-7 * 3600 * second, 12_345_678, 30 * second]) {
    const { clock, pacer } = pacerFor({ budget: 500, into: 20 * second })
    const settle = await pacer.take(1, Number.POSITIVE_INFINITY, forEver)
    settle(900)
    pacer.learn({ serverTime: clock.now() + offset })
    const seen = watch(
      clock,
      [40, 100].map(weight => pacer.take(weight, Number.POSITIVE_INFINITY, forEver)),
    )
    const next = minute - ((((clock.now() + offset) % minute) + minute) % minute)
    await clock.run(clock.now() + next - second)
    test.strictSame(seen, [20 * second], 'up to 95 % of the limit, with the 900 that are used already')
    await clock.run(clock.now() + 2 * second)
    test.equal(seen.length, 2, 'the next minute knows nothing of them')
  }
})

await t.test(
  'the slower the answer that a clock was learnt from, the wider the berth of a minute’s end',
  async test => {
    // one second before the minute ends: a clock known to a quarter second is sure of the minute, one known to 1.4 s not
    for (const [error, free] of [
      [0, minute + 250],
      [1275, 2 * minute + 1400],
    ] as const) {
      const { clock, pacer } = pacerFor({ budget: 10, into: 59 * second })
      pacer.learn({ serverTime: clock.now(), error })
      const settle = await pacer.take(10, Number.POSITIVE_INFINITY, forEver)
      settle(undefined)
      const seen = watch(clock, [pacer.take(1, Number.POSITIVE_INFINITY, forEver)])
      await clock.run()
      test.strictSame(seen, [free])
    }
  },
)

import * as fc from 'fast-check'
import t from 'tap'
import { ExchangeFailure } from '../scripts/candles/failure.ts'
import { WeightPacer } from '../scripts/candles/pacer.ts'
import { EventClock } from './support/event_clock.ts'
import { checkAsync, runs, seed } from './support/properties.ts'

const minute = 60_000
const limit = 2400
const start = Date.parse('2026-03-15T01:00:00Z')
const never = new AbortController().signal

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
    fc.record<Scenario>({
      into: fc.integer({ min: 0, max: minute - 1 }),
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
async function simulate(scenario: Scenario): Promise<Outcome> {
  const { into, budgetRatio, concurrency, weights, latency, wayThere, silent, offset, errors } = scenario
  const random = generator(scenario.random)
  const clock = new EventClock(start + into - offset)
  const exchangeNow = () => clock.now() + offset
  const end = start + scenario.minutes * minute
  const pacer = new WeightPacer(clock, { limit, budgetRatio }, () => undefined)
  const minutes: Minute[] = Array.from({ length: scenario.minutes + 1 }, () => {
    return { ours: 0, others: 0, held: false }
  })
  const current = () => minutes[Math.floor((exchangeNow() - start) / minute)] as Minute
  const refused = { ours: 0, others: 0 }
  let waiting = 0

  const count = (weight: number, whose: 'ours' | 'others') => {
    if (exchangeNow() >= end) return
    const now = current()
    now[whose] += weight
    if (now.ours + now.others > limit) refused[whose]++
  }
  const onExchangeTime = (time: number, act: () => void) => {
    if (time >= exchangeNow()) clock.at(time - offset, act)
  }

  errors.forEach((error, i) => {
    const learn = () => pacer.learn({ serverTime: exchangeNow() + error })
    if (i === 0) learn()
    else onExchangeTime(start + random() * (end - start), learn)
  })
  for (let n = 0; n < scenario.minutes; n++) {
    const other = scenario.others[n % scenario.others.length] as Other
    for (const { at, weight } of spread(other, random)) {
      onExchangeTime(start + n * minute + at, () => count(weight, 'others'))
    }
    onExchangeTime(start + (n + 1) * minute - 260, () => {
      current().held = waiting > 0
    })
  }

  async function work() {
    while (exchangeNow() < end) {
      const weight = Math.floor(weights.min + random() * (weights.max - weights.min + 1))
      waiting++
      const settle = await pacer.take(weight, Number.POSITIVE_INFINITY, never)
      waiting--
      const transit = latency.min + random() * (latency.max - latency.min)
      await clock.sleep(transit * wayThere)
      count(weight, 'ours')
      const used = current().ours + current().others
      await clock.sleep(Math.max(1, transit * (1 - wayThere)))
      settle(random() < silent ? undefined : used)
    }
  }
  const workers = Array.from({ length: concurrency }, work)
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

function isNotIdle({ minutes }: Outcome, { budgetRatio }: Scenario): void {
  const budget = Math.floor(limit * budgetRatio)
  const idle = minutes.findIndex(({ ours, held }, n) => n > 1 && held && ours < 0.9 * budget)
  if (idle !== -1) {
    throw new Error(`held back below 90 % of ${budget} in minute ${idle}: ${JSON.stringify(minutes)}`)
  }
}

await t.test('beside a client that leaves room', async group => {
  await group.test('no request is refused, and no minute of the exchange goes over our budget', async () => {
    await checkAsync(
      fc.asyncProperty(scenario(modest), async each => {
        keepsItsPromise(await simulate(each), each)
      }),
      runs(Number(process.env.RR ?? 60)),
    )
  })

  await group.test('nine tenths of the budget are used wherever there is work for it', async () => {
    await checkAsync(
      fc.asyncProperty(scenario(modest), async each => {
        isNotIdle(await simulate(each), each)
      }),
      runs(Number(process.env.RR ?? 60)),
    )
  })
})

await t.test('beside a client that takes more than we leave it', async group => {
  const half = () => fc.record({ share: fc.constant(0.5), habit: habits })
  const greedy = (budgetRatio: number) =>
    fc.record({ share: share(1 - budgetRatio, 0.9), habit: fc.constant<Other['habit']>('steady') })

  await group.test('half and half go well, whenever it asks', async () => {
    await checkAsync(
      fc.asyncProperty(scenario(half, fc.constant(0.5)), async each => {
        keepsItsPromise(await simulate(each), each)
      }),
      runs(Number(process.env.RR ?? 60)),
    )
  })

  await group.test('we make way for one that asks at a steady pace', async () => {
    await checkAsync(
      fc.asyncProperty(scenario(greedy, share(0.2, 0.7)), async each => {
        const { refused, minutes } = await simulate(each)
        if (refused.ours > 0) throw new Error(`429: ${JSON.stringify({ refused, minutes })}`)
      }),
      runs(Number(process.env.RR ?? 60)),
    )
  })
})

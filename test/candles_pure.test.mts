import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { type Candle, candleFields, sameCandle } from '../scripts/candles/candle.ts'
import type { Contract } from '../scripts/candles/exchange.ts'
import { ExchangeFailure, type FailureKind, failureIn, transportFailure } from '../scripts/candles/failure.ts'
import { intervals, lastClosedOpenTime } from '../scripts/candles/intervals.ts'
import { type PlanInput, planRanges, planWeight } from '../scripts/candles/plan.ts'
import { clipFrom, countIn, missingIn, type Range } from '../scripts/candles/range.ts'
import { waitBeforeRetry } from '../scripts/candles/retry.ts'
import {
  matchesSeal,
  matchingSeal,
  monthOf,
  monthRange,
  monthsIn,
  type Seal,
  seal,
} from '../scripts/candles/seals.ts'
import { judgeSymbols } from '../scripts/candles/symbols.ts'
import { validateRows } from '../scripts/candles/validate.ts'
import { infoWeight, klinesWeight, pageLimit, rangeWeight } from '../scripts/candles/weight.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { type AnswerName, namedAnswer, namedAnswers } from './support/exchange/named_answers.ts'
import { marketDataDir, recordedSource, skipWithoutMarketData } from './support/exchange/recorded.ts'
import { check, runs, seed } from './support/properties.ts'

const skip = skipWithoutMarketData()
const hour = 3_600_000
const day = 24 * hour
const noon = Date.parse('2026-03-15T12:00:00Z')

t.comment(`FC_SEED=${seed}`)

const steps = fc.constantFrom(hour, 4 * hour, day)

/** The numbers from `from` to `to`, both included. */
const span = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

/** Runs of consecutive numbers. */
function runsOf(numbers: Iterable<number>): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = found.at(-1)
    if (last !== undefined && number <= last.to + 1) last.to = number
    else found.push({ from: number, to: number })
  }
  return found
}

// Weights, against Binance's table and every way of cutting a range into pages.

/** Binance futures REST, klines: weight by limit. */
const documented: [from: number, to: number, weight: number][] = [
  [1, 99, 1],
  [100, 499, 2],
  [500, 1000, 5],
  [1001, 1500, 10],
]
const weightOf = (limit: number) =>
  documented.find(([from, to]) => from <= limit && limit <= to)?.[2] ?? Infinity

/** What each number of candles costs at least, whatever the pages. */
const cheapest = [0]
for (let count = 1; count <= 2600; count++) {
  const pages = span(1, Math.min(count, 1500))
  cheapest[count] = Math.min(...pages.map(page => weightOf(page) + (cheapest[count - page] as number)))
}
const costOf = (count: number) => cheapest[count] as number

await t.test('weights', async group => {
  await group.test('are those that Binance documents, for every limit', async test => {
    test.same(
      span(1, 1500).filter(limit => klinesWeight(limit) !== weightOf(limit)),
      [],
    )
    test.equal(infoWeight, 1)
  })

  await group.test('of a range are what its pages cost, and no other pages cost less', async test => {
    const paged = (count: number) => {
      let weight = 0
      for (let left = count; left > 0; ) {
        const limit = pageLimit(left)
        if (!(limit >= 1 && limit <= left)) throw new Error(`a page of ${limit} of ${left}`)
        weight += weightOf(limit)
        left -= limit
      }
      return weight
    }
    const counts = span(0, 2600)
    test.same(
      counts.filter(count => paged(count) !== costOf(count)),
      [],
      'the pages',
    )
    test.same(
      counts.filter(count => rangeWeight(count) !== costOf(count)),
      [],
      'the estimate',
    )
  })
})

// Ranges, against sets.

await t.test('ranges', async group => {
  const someRanges = fc
    .uniqueArray(fc.nat(300), { maxLength: 12 })
    .map(cuts => cuts.sort((a, b) => a - b))
    .map(cuts => cuts.flatMap((from, i) => (i % 2 === 0 ? [{ from, to: cuts[i + 1] ?? from }] : [])))

  await group.test('of what is missing hold each open time that is not there, and no other', async () => {
    const present = fc.oneof(fc.array(fc.nat(300)), fc.array(fc.nat(300), { minLength: 250, maxLength: 900 }))
    check(
      fc.property(steps, fc.nat(1000), someRanges, present, (step, start, ranges, there) => {
        const time = (i: number) => (start + i) * step
        const times = new Set(there.map(time))
        const missing = missingIn(
          ranges.map(({ from, to }) => ({ from: time(from), to: time(to) })),
          times,
          step,
        )
        const wanted = ranges.flatMap(({ from, to }) => span(from, to)).filter(i => !there.includes(i))
        const expected = runsOf(wanted).map(({ from, to }) => ({ from: time(from), to: time(to) }))
        equal(missing, expected)
        equal(
          missing.reduce((sum, range) => sum + countIn(range, step), 0),
          wanted.length,
        )
      }),
      runs(2000),
    )
  })

  await group.test('are cut where a symbol begins', async () => {
    check(
      fc.property(fc.nat(50), fc.nat(50), fc.nat(120), (from, length, earliest) => {
        const left = span(from, from + length).filter(i => i >= earliest)
        const clipped = clipFrom({ from, to: from + length }, earliest)
        equal(clipped, left.length === 0 ? undefined : { from: left[0], to: left.at(-1) })
      }),
      runs(1000),
    )
  })

  await group.test('count nothing when they end before they begin', async test => {
    test.equal(countIn({ from: noon, to: noon }, hour), 1)
    test.equal(countIn({ from: noon, to: noon - hour }, hour), 0)
    test.equal(countIn({ from: noon, to: noon - 9 * hour }, hour), 0)
  })
})

await t.test('the newest closed candle has ended, and the next one has not', async () => {
  check(
    fc.property(steps, fc.integer({ min: 0, max: 4e12 }), (step, now) => {
      const open = lastClosedOpenTime(now, step)
      if (open % step !== 0 || open + step > now || open + 2 * step <= now) throw new Error(String(open))
    }),
    runs(1000),
  )
})

function equal(found: unknown, wanted: unknown): void {
  const [is, should] = [found, wanted].map(value => JSON.stringify(value))
  if (is !== should) throw new Error(`${is} instead of ${should}`)
}

// Plans, against sets of open times. All times of a case are numbers of candles, counted from a first one.

type Run = { from: number; to: number }

type PlanCase = {
  step: number
  origin: number
  lastClosed: number
  stored: Run[]
  firstCandle: number | undefined
  start: number
  lookback: number
  /** In candles, and not on the grid. */
  since: number | undefined
  rereadLast: number | undefined
  reread: boolean
  suspect: Run[]
}

const maybe = <T,>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })
const rarely = <T,>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
const expand = (all: Run[]) => all.flatMap(({ from, to }) => span(from, to))

/** What is left of `from` to `to` when `holes` are taken out. */
const without = (from: number, to: number, holes: Run[]) =>
  runsOf(span(from, to).filter(i => !holes.some(hole => hole.from <= i && i <= hole.to)))

const planCase: fc.Arbitrary<PlanCase> = fc
  .oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 2, arbitrary: fc.integer({ min: 41, max: 700 }) },
    { weight: 1, arbitrary: fc.integer({ min: 701, max: 1500 }) },
  )
  .chain(last => {
    const index = fc.integer({ min: 0, max: last })
    const someRuns = (longest: number) =>
      fc.array(
        fc.tuple(index, fc.nat(longest)).map(([from, more]) => ({ from, to: Math.min(last, from + more) })),
        { maxLength: 4 },
      )
    const holes = fc.oneof(someRuns(2), someRuns(Math.min(last, 180)))
    const stored = fc.oneof(
      fc.constant<Run[]>([]),
      fc.tuple(index, index, holes).map(([a, b, all]) => without(Math.min(a, b), Math.max(a, b), all)),
      fc.tuple(index, holes).map(([newest, all]) => without(0, newest, all)),
      fc.constant<Run[]>([{ from: 0, to: last }]),
    )
    return stored.chain(there => {
      // ranges that begin where something lacks just before them are the ones that are easily put together wrongly
      const afterHole = fc.constantFrom(0, ...there.map(({ from }) => from))
      const months = fc.tuple(afterHole, fc.nat(180)).map(([from, more]) => [{ from, to: from + more }])
      return fc.record({
        step: steps,
        origin: fc.integer({ min: 20_000, max: 400_000 }),
        lastClosed: fc.constant(last),
        stored: fc.constant(there),
        firstCandle: maybe(fc.oneof(index, fc.constant(0))),
        start: fc.integer({ min: -50, max: last }),
        lookback: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 1500 })),
        since: rarely(fc.double({ min: -50, max: last + 5, noNaN: true })),
        rereadLast: rarely(fc.integer({ min: 0, max: last + 20 })),
        reread: fc.boolean(),
        suspect: fc.oneof(
          { weight: 4, arbitrary: fc.constant<Run[]>([]) },
          { weight: 1, arbitrary: months },
          { weight: 1, arbitrary: someRuns(Math.min(last, 180)) },
        ),
      })
    })
  })

function inputOf(each: PlanCase): PlanInput {
  const { step, origin, stored, lastClosed, firstCandle, start, lookback, since, rereadLast, reread } = each
  const time = (i: number) => (origin + i) * step
  const inTimes = ({ from, to }: Range) => ({ from: time(from), to: time(to) })
  const [first, last] = [stored[0]?.from, stored.at(-1)?.to]
  const gaps = first === undefined || last === undefined ? [] : without(first, last, stored)
  return {
    step,
    lastClosed: time(lastClosed),
    stored:
      first === undefined || last === undefined
        ? undefined
        : { first: time(first), last: time(last), gaps: gaps.map(inTimes) },
    firstCandle: firstCandle === undefined ? undefined : time(firstCandle),
    start: time(start),
    lookback,
    since: since === undefined ? undefined : Math.round(time(since)),
    rereadLast,
    reread,
    suspect: each.suspect.map(inTimes),
  }
}

/** The candles that a plan has to fetch, by why. */
function needed(each: PlanCase) {
  const { step, origin, lastClosed, firstCandle, start, lookback, rereadLast, reread, suspect } = each
  const there = expand(each.stored)
  const earliest = firstCandle ?? Number.NEGATIVE_INFINITY
  const thatExist = (candles: number[]) => candles.filter(i => i >= earliest && i <= lastClosed)
  const newestOnes = (count: number) => thatExist(span(lastClosed - count + 1, lastClosed))
  // the input has it in whole milliseconds
  const since =
    each.since === undefined ? undefined : Math.ceil(Math.round((origin + each.since) * step) / step) - origin
  const held = new Set(there)
  const begin = there[0] === undefined ? (since ?? start) : Math.min(there[0], since ?? there[0])
  const newest = there.at(-1)
  return {
    lacking: thatExist(span(begin, lastClosed).filter(i => !held.has(i))),
    again: newest !== undefined && newest < lastClosed ? thatExist(there.slice(-lookback)) : [],
    // a symbol that begins: as many as would be read again are worth fetching, wherever it is to begin
    beginning: newest === undefined ? newestOnes(lookback) : [],
    suspect: thatExist(expand(suspect)),
    rereadLast: newestOnes(rereadLast ?? 0),
    reread: reread && since !== undefined ? thatExist(span(since, lastClosed)) : [],
  }
}

await t.test('a plan', async group => {
  /** Tries plans against what is needed, both in numbers of candles. */
  const forPlans = (judge: (ranges: Range[], need: ReturnType<typeof needed>, each: PlanCase) => void) =>
    check(
      fc.property(planCase, each => {
        const ranges = planRanges(inputOf(each)).map(({ from, to }) => {
          return { from: from / each.step - each.origin, to: to / each.step - each.origin }
        })
        judge(ranges, needed(each), each)
      }),
      runs(10_000, 100_000),
    )
  const covers = (ranges: Range[], i: number) => ranges.some(({ from, to }) => from <= i && i <= to)

  await group.test('covers all that lacks, is to be read again, is suspect or was asked for', async () => {
    forPlans((ranges, need) => {
      for (const [why, candles] of Object.entries(need)) {
        const left = candles.find(i => !covers(ranges, i))
        if (left !== undefined) throw new Error(`${why}: ${left} is not in ${JSON.stringify(ranges)}`)
      }
    })
  })

  await group.test('is empty where nothing is new, nothing lacks and nothing was asked for', async test => {
    let empty = 0
    forPlans((ranges, need) => {
      const nothing = Object.values(need).every(candles => candles.length === 0)
      if (nothing !== (ranges.length === 0)) throw new Error(JSON.stringify(ranges))
      if (nothing) empty++
    })
    test.ok(empty > 100, `${empty} times`)
  })

  await group.test(
    'has ranges on the grid, in order, apart, not past the last closed candle nor before the first',
    async () => {
      forPlans((ranges, _, { lastClosed, firstCandle }) => {
        let before = Number.NEGATIVE_INFINITY
        for (const { from, to } of ranges) {
          const onGrid = Number.isInteger(from) && Number.isInteger(to)
          const inside = from <= to && to <= lastClosed && from >= (firstCandle ?? from)
          if (!onGrid || !inside || from <= before + 1) throw new Error(JSON.stringify(ranges))
          before = to
        }
      })
    },
  )

  await group.test('costs no more than each run of needed candles fetched by itself', async () => {
    forPlans((ranges, need) => {
      const apart = runsOf(new Set(Object.values(need).flat()))
      const cost = (all: Range[]) => all.reduce((sum, { from, to }) => sum + costOf(to - from + 1), 0)
      if (cost(ranges) > cost(apart)) {
        throw new Error(`${cost(ranges)} instead of ${cost(apart)}: ${JSON.stringify([ranges, apart])}`)
      }
      equal(planWeight(ranges, 1), cost(ranges))
    })
  })
})

// Validation of pages.

/** A good page, and the candles that it stands for, both written out of the same whole numbers. */
type Page = { step: number; range: Range; rows: unknown[][]; candles: Candle[] }

/** A number of `units`, with `decimals` digits behind the point. */
function decimalText(units: number, decimals: number): string {
  const digits = String(units).padStart(decimals + 1, '0')
  return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

const anyRow = fc.record({
  low: fc.integer({ min: 1, max: 2 ** 40 }),
  // where open, close and high lie above the low
  above: fc.tuple(fc.nat(2 ** 40), fc.nat(2 ** 40), fc.oneof(fc.constant(0), fc.nat(2 ** 40))),
  decimals: fc.nat(8),
  volumes: fc.tuple(fc.nat(2 ** 50), fc.nat(2 ** 50)),
  volumeDecimals: fc.nat(8),
  trades: fc.nat(2 ** 31),
  skipped: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
  asNumbers: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.boolean() }),
})

const goodPage = (minLength: number) =>
  fc
    .tuple(
      steps,
      fc.integer({ min: 1, max: 400_000 }),
      fc.array(anyRow, { minLength, maxLength: 30 }),
      fc.nat(2),
    )
    .map(([step, origin, list, more]): Page => {
      let openTime = origin * step
      const rows: unknown[][] = []
      const candles: Candle[] = []
      for (const { low, above, decimals, volumes, volumeDecimals, trades, skipped, asNumbers } of list) {
        openTime += skipped * step
        const high = low + Math.max(...above)
        const prices = [low + above[0], high, low, low + above[1]].map(units => decimalText(units, decimals))
        const [volume, quoteVolume] = volumes.map(units => decimalText(units, volumeDecimals))
        const texts = [...prices, volume as string, quoteVolume as string]
        const cells = texts.map(text => (asNumbers ? JSON.parse(text) : text) as unknown)
        const [closeTime, ...rest] = [openTime + step - 1, cells[5], trades, '1.5', '2.25', '0']
        rows.push([openTime, ...cells.slice(0, 5), closeTime, ...rest])
        const [open, highest, lowest, close, coins, quote] = texts.map(Number) as [
          number,
          number,
          number,
          number,
          number,
          number,
        ]
        candles.push({
          openTime,
          open,
          high: highest,
          low: lowest,
          close,
          volume: coins,
          quoteVolume: quote,
          trades,
        })
        openTime += step
      }
      return { step, range: { from: origin * step, to: openTime + more * step }, rows, candles }
    })

const columnOf = {
  openTime: 0,
  open: 1,
  high: 2,
  low: 3,
  close: 4,
  volume: 5,
  quoteVolume: 7,
  trades: 8,
} as const
const columns = fc.constantFrom(...candleFields)

type Damage = (
  row: unknown[],
  page: Page,
  pick: { field: (typeof candleFields)[number]; big: number },
) => unknown

const replaced = (row: unknown[], field: keyof typeof columnOf, value: unknown) =>
  row.with(columnOf[field], value)
const cell =
  (value: unknown): Damage =>
  (row, _, { field }) =>
    replaced(row, field, value)

/** Damage to a row that is seen in the row itself, and what should be said of it. */
const damages: Record<string, [Damage, reason: RegExp]> = {
  'null in place of a row': [() => null, /^null where a row is expected$/],
  'an object in place of a row': [row => ({ openTime: row[0], open: row[1] }), /^not a row$/],
  'text in place of a row': [row => row.join(), /^not a row$/],
  'a number in place of a row': [row => row[0], /^not a row$/],
  'eleven columns': [row => row.slice(0, 11), /^11 columns, not 12$/],
  'thirteen columns': [row => [...row, '0'], /^13 columns, not 12$/],
  'no columns': [() => [], /^0 columns, not 12$/],
  'NaN as text': [cell('NaN'), / is not a number$/],
  'an empty text': [cell(''), / is not a number$/],
  'a blank before a number': [cell(' 1'), / is not a number$/],
  'a line break after a number': [cell('1\n'), / is not a number$/],
  'an exponent': [cell('1e3'), / is not a number$/],
  'a hexadecimal number': [cell('0x10'), / is not a number$/],
  'a number that begins with a point': [cell('.5'), / is not a number$/],
  'a comma for the point': [cell('1,5'), / is not a number$/],
  'digits of another script': [cell('١٢'), / is not a number$/],
  Infinity: [cell('Infinity'), / is not a number$/],
  'a number too large for a double': [cell(JSON.parse('1e999')), / is not a number$/],
  'digits too many for a double': [cell('9'.repeat(400)), / is not a number$/],
  'a null cell': [cell(null), / is not a number$/],
  'a truth value': [cell(true), / is not a number$/],
  'a list in a cell': [cell([1]), / is not a number$/],
  'a negative volume': [row => replaced(row, 'volume', '-0.001'), /^negative volume$/],
  'a negative quote volume': [row => replaced(row, 'quoteVolume', '-1'), /^negative volume$/],
  'a low above the high': [row => replaced(row, 'low', `1${'0'.repeat(30)}`), /^low above high$/],
  'a close above the high': [
    row => replaced(row, 'close', `1${'0'.repeat(30)}`),
    /^open or close outside low to high$/,
  ],
  'an open below the low': [row => replaced(row, 'open', '0'), /^open or close outside low to high$/],
  'a price of zero': [row => replaced(row, 'low', '0.000'), /^a price that is not positive$/],
  'a negative price': [row => replaced(row, 'low', '-1'), /^a price that is not positive$/],
  'a time off the grid': [
    (row, { step }, { big }) => replaced(row, 'openTime', Number(row[0]) + 1 + (big % (step - 1))),
    /^open time off the grid of the interval$/,
  ],
  'a time in pieces of a millisecond': [
    row => replaced(row, 'openTime', Number(row[0]) + 0.5),
    /^open time off the grid of the interval$/,
  ],
  'a time before the range': [
    (row, { range, step }, { big }) => replaced(row, 'openTime', range.from - (1 + (big % 999)) * step),
    /^open time outside the range that was asked for$/,
  ],
  'a time after the range': [
    (row, { range, step }, { big }) => replaced(row, 'openTime', range.to + (1 + (big % 999)) * step),
    /^open time outside the range that was asked for$/,
  ],
  'part of a trade': [row => replaced(row, 'trades', 1.5), /^a number of trades that is not a count$/],
  'a negative number of trades': [
    row => replaced(row, 'trades', -1),
    /^a number of trades that is not a count$/,
  ],
  'more trades than can be counted': [
    row => replaced(row, 'trades', 2 ** 53),
    /^a number of trades that is not a count$/,
  ],
}

/** What has to come of rows: the candles, and the rejected ones with their reasons, both in order. */
function expectPage(
  { rows, range, step }: Omit<Page, 'rows' | 'candles'> & { rows: unknown[] },
  wanted: { candles: Candle[]; rejected: { row: unknown; reason: RegExp }[] },
): void {
  const { candles, rejected } = validateRows(rows, range, step)
  const same =
    candles.length === wanted.candles.length &&
    candles.every((each, i) => sameCandle(each, wanted.candles[i] as Candle))
  if (!same) throw new Error(`${JSON.stringify(candles)} instead of ${JSON.stringify(wanted.candles)}`)
  equal(
    rejected.map(({ raw }) => raw),
    wanted.rejected.map(({ row }) => JSON.stringify(row)),
  )
  rejected.forEach(({ reason }, i) => {
    const expected = wanted.rejected[i]?.reason
    if (!expected?.test(reason)) throw new Error(`${reason} instead of ${expected}`)
  })
}

/** A random page with a position in it. */
const pageAt = (minLength: number) =>
  goodPage(minLength).chain(page => fc.tuple(fc.constant(page), fc.nat(page.rows.length - 1)))

await t.test('rows of klines', async group => {
  await group.test('that are good come through whole, to the last bit', async () => {
    check(
      fc.property(goodPage(0), page => {
        expectPage(page, { candles: page.candles, rejected: [] })
        const given = validateRows(page.rows, page.range, page.step).candles
        given.forEach((candle, i) => {
          for (const field of candleFields) {
            const text = page.rows[i]?.[columnOf[field]]
            if (!Object.is(candle[field], Number(text)))
              throw new Error(`${field}: ${candle[field]} of ${String(text)}`)
          }
        })
      }),
      runs(2000),
    )
  })

  await group.test('as they were recorded come through whole', { skip }, async test => {
    const source = recordedSource()
    for (const symbol of ['BTCUSDT', '1000BONKUSDT', 'SKRUSDT']) {
      const rows = source.candles(symbol, '4h', { from: 0, to: noon, limit: 1e6 })
      const { candles, rejected } = validateRows(rows, { from: 0, to: noon }, 4 * hour)
      test.same(rejected, [], symbol)
      test.equal(candles.length, rows.length, symbol)
      const differs = candles.find((candle, i) =>
        candleFields.some(field => !Object.is(candle[field], Number(rows[i]?.[columnOf[field]]))),
      )
      test.equal(differs, undefined, symbol)
    }
  })

  for (const [name, [damage, reason]] of Object.entries(damages)) {
    await group.test(`with ${name}: that row is rejected and no other`, async () => {
      check(
        fc.property(pageAt(1), columns, fc.nat(), ([page, n], field, big) => {
          const row = damage(page.rows[n] as unknown[], page, { field, big })
          const rows = (page.rows as unknown[]).with(n, row)
          const named = reason.source.startsWith(' is') ? new RegExp(`^${field}${reason.source}`) : reason
          expectPage(
            { ...page, rows },
            { candles: page.candles.toSpliced(n, 1), rejected: [{ row, reason: named }] },
          )
        }),
        runs(100),
      )
    })
  }

  await group.test('of which several are damaged: all of those are rejected and no other', async () => {
    const kinds = fc.array(fc.option(fc.constantFrom(...Object.values(damages)), { freq: 2 }), {
      minLength: 30,
      maxLength: 30,
    })
    check(
      fc.property(goodPage(2), kinds, columns, fc.nat(), (page, list, field, big) => {
        const rejected: { row: unknown; reason: RegExp }[] = []
        const candles: Candle[] = []
        const rows = page.rows.map((row, n) => {
          const [damage, reason] = list[n] ?? []
          // rows that were moved to the same place outside would be doubtful for another reason
          const damaged = damage?.(row, page, { field, big: big + n })
          if (damage === undefined || reason === undefined || isElsewhere(damaged, page, rejected)) {
            candles.push(page.candles[n] as Candle)
            return row
          }
          rejected.push({ row: damaged, reason })
          return damaged
        })
        expectPage({ ...page, rows }, { candles, rejected })
      }),
      runs(1000),
    )
  })

  await group.test('that come twice are taken once', async () => {
    check(
      fc.property(pageAt(1), fc.boolean(), ([page, n], thrice) => {
        const row = page.rows[n] as unknown[]
        const more = thrice ? [row, row] : [row]
        const rejected = more.map(() => ({ row, reason: /^the same row twice$/ }))
        expectPage({ ...page, rows: page.rows.toSpliced(n, 0, ...more) }, { candles: page.candles, rejected })
      }),
      runs(300),
    )
  })

  await group.test('that differ though they are of one time are both rejected', async () => {
    const other = (value: unknown) => (value === '7' ? '8' : '7')
    check(
      fc.property(pageAt(1), columns, fc.boolean(), ([page, n], field, before) => {
        const row = page.rows[n] as unknown[]
        const column = field === 'openTime' ? columnOf.volume : columnOf[field]
        const twin = row.with(column, other(row[column]))
        const both = before ? [twin, row] : [row, twin]
        const rows = page.rows.toSpliced(n, 1, ...both)
        const { candles, rejected } = validateRows(rows, page.range, page.step)
        equal(candles, page.candles.toSpliced(n, 1))
        equal(rejected.map(({ raw }) => raw).toSorted(), both.map(each => JSON.stringify(each)).toSorted())
        const known = rejected.filter(({ reason }) => reason === 'two rows of this time that differ')
        if (known.length !== 2) throw new Error(JSON.stringify(rejected))
      }),
      runs(300),
    )
  })

  await group.test(
    'that change places: the later one comes first and the earlier one is rejected',
    async () => {
      check(
        fc.property(pageAt(2), ([page, n]) => {
          const first = Math.min(n, page.rows.length - 2)
          const [a, b] = [page.rows[first], page.rows[first + 1]]
          const rows = page.rows.toSpliced(first, 2, b as unknown[], a as unknown[])
          const rejected = [{ row: a, reason: /^open time before that of the row above$/ }]
          expectPage({ ...page, rows }, { candles: page.candles.toSpliced(first, 1), rejected })
        }),
        runs(300),
      )
    },
  )

  await group.test(
    'of a volume of minus nothing have a volume of nothing, as a database would have it',
    async test => {
      const row = [noon, '2', '3', '1', '2', '-0.000', noon + hour - 1, '-0', -0, '0', '0', '0']
      const { candles } = validateRows([row], { from: noon, to: noon }, hour)
      const [{ volume, quoteVolume, trades } = {}] = candles
      test.ok([volume, quoteVolume, trades].every(value => Object.is(value, 0)))
    },
  )

  await group.test('never pass when they are not valid, whatever they are made of', async test => {
    let passed = 0
    const nasty = fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom('1', '2.5', '3', '0', 1, 2, 3) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '',
          ' ',
          '-1',
          '-0',
          'NaN',
          '1e3',
          '+1',
          '1.',
          '.',
          '1_0',
          '1/2',
          -1,
          -0,
          0.5,
          1e300,
        ),
      },
      { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 1 }) },
    )
    const time = fc.oneof(
      fc.integer({ min: -2, max: 12 }).map(i => noon + i * hour),
      fc.jsonValue({ maxDepth: 0 }),
    )
    const nearly = fc
      .tuple(time, fc.array(nasty, { minLength: 10, maxLength: 12 }))
      .map(([first, rest]) => [first, ...rest])
    const likely = fc
      .tuple(
        fc.integer({ min: 0, max: 9 }),
        fc.array(fc.constantFrom('1', '2', '3', '2.50'), { minLength: 11, maxLength: 11 }),
      )
      .map(([i, cells]) => [noon + i * hour, ...cells])
    const rows = fc.oneof(
      fc.array(fc.oneof(likely, nearly, fc.jsonValue()), { maxLength: 12 }),
      fc.array(likely, { maxLength: 12 }).map(list => list.sort((a, b) => Number(a[0]) - Number(b[0]))),
    )
    const range = { from: noon, to: noon + 9 * hour }
    check(
      fc.property(rows, list => {
        const { candles, rejected } = validateRows(list, range, hour)
        if (candles.length + rejected.length !== list.length) throw new Error('a row got lost')
        candles.forEach((candle, i) => {
          const trouble = troubleWith(candle, candles[i - 1], list, range)
          if (trouble !== undefined) throw new Error(`${trouble}: ${JSON.stringify(candle)}`)
          passed++
        })
      }),
      runs(5000),
    )
    test.ok(passed > 500, `${passed} rows passed`)
  })
})

/** Whether a damaged row has the time of another row, or of one that is damaged already. */
function isElsewhere(damaged: unknown, { rows }: Page, rejected: { row: unknown }[]): boolean {
  const time = (row: unknown) => (Array.isArray(row) ? JSON.stringify(row[0]) : undefined)
  const own = time(damaged)
  if (own === undefined) return false
  const others = [
    ...rows.filter(row => !Array.isArray(damaged) || row[1] !== damaged[1]),
    ...rejected.map(({ row }) => row),
  ]
  return others.some(row => time(row) === own)
}

/** What is not as it should be with a stored candle, by its rows as they came; written without a look at ours. */
function troubleWith(
  candle: Candle,
  before: Candle | undefined,
  rows: unknown[],
  range: Range,
): string | undefined {
  const { openTime, open, high, low, close, volume, quoteVolume, trades } = candle
  const numbers = [openTime, open, high, low, close, volume, quoteVolume, trades]
  if (Object.keys(candle).length !== 8) return 'other fields'
  if (!numbers.every(value => typeof value === 'number' && Math.abs(value) < Infinity))
    return 'no finite number'
  if (numbers.some(value => Object.is(value, -0))) return 'minus nothing'
  if ((openTime - range.from) % hour !== 0 || openTime < range.from || range.to < openTime)
    return 'another time'
  if (before !== undefined && before.openTime >= openTime) return 'not ascending'
  if (![open, high, low, close].every(price => price > 0)) return 'no price'
  if (![open, close].every(price => low <= price && price <= high)) return 'a price out of range'
  if (!(volume >= 0 && quoteVolume >= 0)) return 'a negative volume'
  if (!Number.isSafeInteger(trades) || trades < 0) return 'no count'
  const sources = rows.filter((row): row is unknown[] => Array.isArray(row) && Number(row[0]) === openTime)
  if (new Set(sources.map(row => JSON.stringify(row))).size !== 1) return 'not of one row'
  const row = sources[0] as unknown[]
  if (row.length !== 12) return 'not of twelve columns'
  const cells = [row[0], row[1], row[2], row[3], row[4], row[5], row[7], row[8]]
  const plain = cells.every(
    value => typeof value === 'number' || (typeof value === 'string' && /^-?[0-9]+(\.[0-9]+)?$/.test(value)),
  )
  if (!plain) return 'not of plain numbers'
  return cells.every((value, i) => Number(value) === numbers[i]) ? undefined : 'other numbers'
}

// Retries, against the mission's table.

await t.test('a retry', async group => {
  const { retry } = loadConfig(join(import.meta.dirname, '../conf/S2_1_CHEAT_SHEET.json')).sync
  const second = 1000
  /** The waits until no more tries are made, with the random number that is drawn each time. */
  const waits = (kind: FailureKind, random: number, retryAfter?: number) => {
    const failure = new ExchangeFailure(kind, 'no', 0, retryAfter)
    const seen: number[] = []
    for (let count = 0; count < 100; count++) {
      const wait = waitBeforeRetry(retry, failure, { [kind]: count }, random)
      if (wait === undefined) return seen
      seen.push(wait)
    }
    throw new Error('no end')
  }

  await group.test('happens as often and after as long as the mission says', async test => {
    test.strictSame(waits('timeout', 0.9), [1 * second, 2 * second, 4 * second])
    test.strictSame(waits('server_error', 0.9), [2 * second, 4 * second])
    test.strictSame(waits('rate_limit', 0), [60 * second, 60 * second])
    test.strictSame(waits('rate_limit', 0.5), [75 * second, 75 * second])
    test.strictSame(waits('ban', 0, 120 * second), [120 * second, 120 * second])
    test.strictSame(waits('refused', 0.5), [])
    test.strictSame(waits('rejected', 0.5), [])
  })

  await group.test(
    'after a rate limit has up to 30 s of jitter, unless the exchange named a time',
    async () => {
      check(
        fc.property(
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
          fc.nat(1e6),
          (random, asked) => {
            const usual = waits('rate_limit', random)
            if (usual.length !== 2 || usual.some(wait => wait < 60 * second || wait > 90 * second))
              throw new Error(usual.join())
            equal(waits('rate_limit', random, asked), [asked, asked])
            equal(waits('refused', random, asked), [])
            equal(waits('rejected', random, asked), [])
          },
        ),
        runs(500),
      )
    },
  )

  await group.test('counts the tries of each kind of failure by itself', async test => {
    const counts = { timeout: 3, rate_limit: 2 }
    const wait = (kind: FailureKind) => waitBeforeRetry(retry, new ExchangeFailure(kind, 'no'), counts, 0)
    test.strictSame([wait('timeout'), wait('rate_limit'), wait('server_error')], [undefined, undefined, 2000])
  })
})

// Failures, as a person would call them.

type Expected = { kind: FailureKind; message: RegExp; waits?: number } | 'an answer'

const sent = Date.parse('2026-03-15T01:00:07Z')
const tooMany = {
  kind: 'rate_limit',
  message: /^too many requests \(429\): -1003 Too m/,
  waits: 30_000,
} as const
const banned = {
  kind: 'ban',
  message: /^this address is banned \(418\): -1003 Way too m/,
  waits: 30_000,
} as const
const failed = (status: number, said: RegExp) => ({
  kind: 'server_error' as const,
  message: new RegExp(`^server error \\(${status}\\): ${said.source}`),
})
const rejected = (said: RegExp) => ({
  kind: 'rejected' as const,
  message: new RegExp(`^rejected \\(400\\): ${said.source}`),
})

/** What each answer is that Binance was seen to give. Status 200 is judged by who reads the rows. */
const meanings: Record<AnswerName | 'success-headers', Expected> = {
  'rate-429-futures': tooMany,
  'rate-429-recorded-2019': tooMany,
  'rate-429-recorded-2023': tooMany,
  'ban-418-recorded-2022': banned,
  'ban-418-futures-recorded-2021': banned,
  'ban-418-with-data': banned,
  'geo-451': {
    kind: 'refused',
    message: /^refused where this server stands \(451\): 0 Service unavailable from a rest/,
  },
  'geo-403-cloudfront': {
    kind: 'refused',
    message: /^refused to this address \(403\): ERROR: The request could not/,
  },
  'bad-symbol': rejected(/-1121 Invalid symbol\.$/),
  'bad-symbol-status': rejected(/-1122 Invalid symbol status\.$/),
  'bad-interval': rejected(/-1120 Invalid interval\.$/),
  internal: failed(500, /-1001 Internal error/),
  unknown: failed(400, /-1000 An unknown error/),
  'backend-timeout': failed(408, /-1007 Timeout waiting/),
  overload: failed(503, /-1008 Server is currently overloaded/),
  'odd-envelope': 'an answer',
  'html-200': 'an answer',
  'truncated-200': 'an answer',
  'gateway-502': failed(502, /502 Bad Gateway/),
  'gateway-503': failed(503, /503 Service Temporarily Unavailable/),
  'gateway-504': failed(504, /504 Gateway Time-out/),
  'success-headers': 'an answer',
}

function matchesMeaning(
  found: ExchangeFailure | undefined,
  wanted: Expected,
  status: number,
  waits?: number,
): string | undefined {
  if (wanted === 'an answer') return found === undefined ? undefined : `${found.kind}: ${found.message}`
  const right =
    found?.kind === wanted.kind &&
    wanted.message.test(found.message) &&
    found.httpStatus === status &&
    found.retryAfter === waits
  return right ? undefined : `${found?.kind}, ${found?.httpStatus}, ${found?.retryAfter}: ${found?.message}`
}

await t.test('an answer', async group => {
  const answer = (status: number, headers: Record<string, string>, body: string) =>
    failureIn({
      status,
      headers: new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
      body,
    })

  await group.test('is understood as it was recorded', { skip }, async test => {
    type Case = {
      name: keyof typeof meanings
      status: number
      headers?: Record<string, string>
      body?: unknown
      bodyText?: string
    }
    const cases = JSON.parse(readFileSync(join(marketDataDir(), 'api/errors.json'), 'utf8')) as Case[]
    test.equal(cases.length, 19)
    for (const { name, status, headers = {}, body, bodyText = JSON.stringify(body ?? []) } of cases) {
      // the recordings leave the number of seconds open
      const given = Object.entries(headers).map(([key, value]) => [
        key,
        value.startsWith('<seconds') ? '30' : value,
      ])
      const found = answer(status, Object.fromEntries(given), bodyText)
      const told = 'Retry-After' in headers ? 30_000 : status === 418 ? 120_000 : undefined
      test.equal(matchesMeaning(found, meanings[name], status, told), undefined, name)
    }
  })

  await group.test('is understood in every form that the replay has', async test => {
    for (const name of Object.keys(namedAnswers) as AnswerName[]) {
      const wanted = meanings[name]
      const { status, headers, body } = namedAnswer(name, { now: sent, retryAfter: 30 })
      const waits = wanted === 'an answer' ? undefined : wanted.waits
      const found = answer(status, { ...headers, Date: new Date(sent).toUTCString() }, body)
      test.equal(matchesMeaning(found, wanted, status, waits), undefined, name)
    }
  })

  await group.test('is a failure with every status but a success', async () => {
    const kinds: [from: number, to: number, kind: FailureKind | undefined][] = [
      [200, 299, undefined],
      [300, 399, 'server_error'],
      [400, 402, 'rejected'],
      [403, 403, 'refused'],
      [404, 407, 'rejected'],
      [408, 408, 'server_error'],
      [409, 417, 'rejected'],
      [418, 418, 'ban'],
      [419, 428, 'rejected'],
      [429, 429, 'rate_limit'],
      [430, 450, 'rejected'],
      [451, 451, 'refused'],
      [452, 499, 'rejected'],
      [500, 599, 'server_error'],
    ]
    const bodies = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom('', 'null', '[]', '{}', '<html>', '{"code":"-1003","msg":5}'),
    )
    check(
      fc.property(fc.integer({ min: 200, max: 599 }), bodies, (status, body) => {
        const [, , kind] = kinds.find(([from, to]) => from <= status && status <= to) ?? []
        const found = answer(status, {}, body)
        if (found?.kind !== kind) throw new Error(`${found?.kind} instead of ${kind}`)
        if (found !== undefined && found.httpStatus !== status) throw new Error(found.message)
      }),
      runs(5000),
    )
  })

  await group.test('tells how long to wait in whole seconds or not at all', async test => {
    const wait = (status: number, retryAfter: string) =>
      answer(status, { 'Retry-After': retryAfter }, '')?.retryAfter
    test.equal(wait(429, '17'), 17_000)
    for (const odd of [
      '',
      '0',
      ' ',
      'soon',
      '-5',
      '1e3',
      '0x10',
      'Infinity',
      '9999999999',
      'Sun, 15 Mar 2026 02:00:00 GMT',
    ]) {
      test.equal(wait(429, odd), undefined, `429 with ${JSON.stringify(odd)}`)
      test.equal(wait(418, odd), 120_000, `418 with ${JSON.stringify(odd)}`)
    }
    test.equal(wait(503, '17'), undefined, 'only where requests were too many')
  })

  await group.test(
    'of a ban tells its end against the clock of the exchange, not against ours',
    async test => {
      const ban = (until: number, date?: string) =>
        answer(
          418,
          date === undefined ? {} : { date },
          JSON.stringify({ code: -1003, msg: `IP banned until ${until}.` }),
        )
      test.equal(ban(sent + 77_000, new Date(sent).toUTCString())?.retryAfter, 77_000)
      test.equal(
        ban(sent - 1000, new Date(sent).toUTCString())?.retryAfter,
        120_000,
        'one that is over is not believed',
      )
      const left = ban(Date.now() + 3_600_000)?.retryAfter ?? 0
      test.ok(left > 3_000_000 && left <= 3_600_000, 'without a date, against ours')
    },
  )

  await group.test('that never came is a timeout, whatever the connection failed of', async test => {
    const timeout = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
    test.match(transportFailure(timeout, 10_000), {
      kind: 'timeout',
      httpStatus: 0,
      message: 'no answer within 10 s',
    })
    for (const code of [
      'ECONNREFUSED',
      'ECONNRESET',
      'ENOTFOUND',
      'EAI_AGAIN',
      'CERT_HAS_EXPIRED',
      'HPE_INVALID_CONSTANT',
    ]) {
      const failure = transportFailure(Object.assign(new Error('no'), { code }), 10_000)
      test.match(failure, { kind: 'timeout', message: `the connection failed (${code})` })
    }
    test.match(transportFailure(new Error('socket hang up'), 1), {
      message: 'the connection failed (socket hang up)',
    })
    test.match(transportFailure('odd', 1), { kind: 'timeout' })
  })
})

// Seals.

await t.test('a seal', async group => {
  const source = generatedSource({ symbols: ['BTCUSDT'] })
  const month = monthRange('2024-02', 4 * hour)
  const rows = source.candles('BTCUSDT', '4h', { ...month, limit: 1000 })
  const { candles } = validateRows(rows, month, 4 * hour)
  const sealed = seal(candles) as Seal
  const kept = { sealed, pending: undefined }
  group.equal(candles.length, 29 * 6)

  await group.test('changes with every single bit of every number', async test => {
    const view = new DataView(new ArrayBuffer(8))
    const flipped = (value: number, bit: number) => {
      view.setFloat64(0, value)
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)))
      return view.getFloat64(0)
    }
    const copy = candles.map(candle => ({ ...candle }))
    const unseen: string[] = []
    let flips = 0
    for (const candle of copy) {
      for (const field of candleFields) {
        const value = candle[field]
        for (let bit = 0; bit < 64; bit++) {
          candle[field] = flipped(value, bit)
          if (seal(copy)?.digest === sealed.digest) unseen.push(`${field} ${value} bit ${bit}`)
          flips++
        }
        candle[field] = value
      }
    }
    test.strictSame(unseen, [])
    test.equal(flips, candles.length * 8 * 64)
    test.strictSame(seal(copy), sealed)
  })

  await group.test(
    'is not matched by anything but the candles that it was made of, in their order',
    async () => {
      const position = fc.nat(candles.length - 1)
      const changes = fc.oneof(
        position.map(n => candles.toSpliced(n, 1)),
        fc.tuple(position, position).map(([n, m]) => candles.toSpliced(n, 0, { ...(candles[m] as Candle) })),
        fc.tuple(position, fc.integer({ min: 1, max: 4 * hour - 1 })).map(([n, later]) => {
          const twin = candles[n] as Candle
          return candles.toSpliced(n + 1, 0, { ...twin, openTime: twin.openTime + later })
        }),
        fc
          .tuple(position, position)
          .filter(([n, m]) => n !== m)
          .map(([n, m]) => candles.with(n, candles[m] as Candle).with(m, candles[n] as Candle)),
        fc.tuple(position, fc.constantFrom(...candleFields), fc.double()).map(([n, field, value]) => {
          return candles.with(n, { ...(candles[n] as Candle), [field]: value })
        }),
        fc
          .tuple(position, fc.constantFrom(...candleFields), fc.constantFrom(null, 'text', '1'))
          .map(([n, field, value]) => {
            return candles.with(n, { ...(candles[n] as Candle), ...({ [field]: value } as object) })
          }),
        fc.constant<Candle[]>([]),
      )
      check(
        fc.property(changes, changed => {
          if (
            changed.length === candles.length &&
            changed.every((each, i) => sameCandle(each, candles[i] as Candle))
          )
            return
          // a candle behind the sealed ones is none of the seal's business
          const last = candles.at(-1) as Candle
          if (
            changed.length > candles.length &&
            changed.slice(0, -1).every((each, i) => each === candles[i])
          ) {
            equal(matchesSeal(kept, changed), (changed.at(-1) as Candle).openTime > last.openTime)
            return
          }
          if (matchesSeal(kept, changed)) throw new Error('matches')
        }),
        runs(2000),
      )
    },
  )

  await group.test('is matched by its candles while more are added behind them', async () => {
    check(
      fc.property(fc.integer({ min: 1, max: candles.length }), count => {
        const before = { sealed: seal(candles.slice(0, count)), pending: undefined }
        if (!matchesSeal(before, candles)) throw new Error('does not match')
      }),
      runs(100),
    )
  })

  await group.test(
    'with a commit under way is matched before and after it, and by nothing between',
    async () => {
      const cut = fc.tuple(fc.integer({ min: 2, max: candles.length - 1 }), fc.nat(candles.length))
      const revised = (n: number) => candles.with(n, { ...(candles[n] as Candle), close: 7 })
      check(
        fc.property(cut, ([count, more]) => {
          const before = candles.slice(0, count)
          // a candle among the sealed ones is revised, and more are added
          const after = revised(count - 2).slice(0, count + more)
          const both = { sealed: seal(before), pending: seal(after) }
          if (!matchesSeal(both, before) || !matchesSeal(both, after)) throw new Error('does not match')
          if (matchingSeal(both, before) !== both.sealed || matchingSeal(both, after) !== both.pending) {
            throw new Error('matches the other one')
          }
          if (matchesSeal(both, before.slice(0, -1))) throw new Error('matches what lacks one')
          const last = after.length - 1
          const half = after.with(last, { ...(after[last] as Candle), volume: 1.5 })
          if (matchesSeal(both, revised(count - 1).slice(0, count)) || matchesSeal(both, half)) {
            throw new Error('matches what it was never made of')
          }
        }),
        runs(300),
      )
    },
  )

  await group.test(
    'is the later one of two where a commit that only added candles has happened',
    async () => {
      check(
        fc.property(
          fc.integer({ min: 1, max: candles.length - 1 }),
          fc.integer({ min: 1, max: 50 }),
          (count, more) => {
            const [before, after] = [candles.slice(0, count), candles.slice(0, count + more)]
            const both = { sealed: seal(before), pending: seal(after) }
            if (matchingSeal(both, before) !== both.sealed) throw new Error('not the earlier one before it')
            if (matchingSeal(both, after) !== both.pending) throw new Error('not the later one after it')
          },
        ),
        runs(100),
      )
    },
  )

  await group.test('that nothing was sealed by yet finds no fault with what is there', async test => {
    const first = { sealed: undefined, pending: sealed }
    test.ok(matchesSeal(first, []), 'the commit did not happen')
    test.ok(matchesSeal(first, candles), 'it did')
    test.equal(matchingSeal(first, []), undefined)
    test.equal(matchingSeal(first, candles), sealed)
    test.equal(seal([]), undefined)
  })
})

await t.test('months', async group => {
  await group.test('have all of their candles, leap years too', async test => {
    const days = (month: string) => countIn(monthRange(month, day), day)
    test.strictSame(
      ['2023-02', '2024-02', '2025-02', '2000-02', '2100-02', '2024-12', '2025-01', '2025-04'].map(days),
      [28, 29, 28, 29, 28, 31, 31, 30],
    )
    for (const [interval, { step }] of Object.entries(intervals)) {
      const { from, to } = monthRange('2024-12', step)
      test.equal(new Date(from).toISOString(), '2024-12-01T00:00:00.000Z', interval)
      test.equal(new Date(to + step).toISOString(), '2025-01-01T00:00:00.000Z', interval)
    }
  })

  await group.test('of a range are those that its candles are in, in order, across years', async () => {
    const first = Date.parse('2019-09-01') / day
    check(
      fc.property(
        fc.integer({ min: first, max: first + 4000 }),
        fc.nat(1200),
        fc.constantFrom(0, 0, 4, 23),
        fc.constantFrom(0, 0, 4, 23),
        (from, more, a, b) => {
          const range = { from: from * day + a * hour, to: (from + more) * day + Math.max(a, b) * hour }
          const walked = new Set(
            span(from, from + more).map(n => new Date(n * day).toISOString().slice(0, 7)),
          )
          equal(monthsIn(range), [...walked])
          for (const month of walked) {
            const { from: begin, to: end } = monthRange(month, hour)
            equal([monthOf(begin), monthOf(end)], [month, month])
            if (monthOf(begin - 1) === month || monthOf(end + hour) === month)
              throw new Error(`${month} is longer`)
          }
        },
      ),
      runs(1000),
    )
  })
})

// Symbols, against the recorded listing.

await t.test('a list of symbols', async group => {
  const contracts = skip
    ? []
    : (recordedSource({ withDelisted: true }).exchangeInfo(noon).symbols as unknown as Contract[])
  const lists = skip
    ? { trading_2026_03: [], original_list_as_configured: [] }
    : (JSON.parse(readFileSync(join(marketDataDir(), 'symbols.json'), 'utf8')) as Record<string, string[]>)
  const wrongIn = (list: string[], listed = contracts) =>
    judgeSymbols(list, listed)
      .filter(({ verdict }) => verdict !== 'trading')
      .map(({ symbol, verdict, suggestion }) => [symbol, verdict, suggestion])

  await group.test('is sound where all of them trade', { skip }, async test => {
    test.strictSame(wrongIn(lists['trading_2026_03'] as string[]), [])
    test.strictSame(wrongIn(['币安人生USDT']), [], 'a real symbol, though not of Latin letters')
  })

  await group.test('has each wrong entry named, with what was probably meant', { skip }, async test => {
    const list = lists['original_list_as_configured'] as string[]
    const wrong: [symbol: string, verdict: string, suggestions: (string | undefined)[]][] = [
      ['LPUSDT', 'unknown', ['LPTUSDT']],
      ['JTOУСDT', 'look-alike', ['JTOUSDT']],
      ['MATICUSDT', 'renamed', ['POLUSDT']],
      // a typing mistake that could have been any of several
      ['DAFUSDT', 'unknown', ['DAMUSDT', 'DARUSDT', 'DASHUSDT', undefined]],
      ['EOSUSDT', 'renamed', ['AUSDT']],
      ['HNTUSDT', 'unknown', ['ONTUSDT', 'HOTUSDT', 'ANTUSDT', undefined]],
      ['BALUSDT', 'not trading', [undefined]],
      ['UNIUSDT', 'duplicate', [undefined]],
      ['RNDERUSDT', 'renamed', ['RENDERUSDT']],
      ['MKRUSDT', 'renamed', ['SKYUSDT']],
      ['RENUSDT', 'not trading', [undefined]],
      ['ONOUSDT', 'unknown', ['ONTUSDT', 'ONEUSDT', 'ONGUSDT', 'ONDOUSDT']],
      ['KLAYUSDT', 'renamed', ['KAIAUSDT']],
      ['SXPUSDT', 'unknown', ['SFPUSDT', undefined]],
      ['LUNAUSDT', 'renamed', ['LUNA2USDT']],
    ]
    const found = wrongIn(list)
    test.strictSame(
      found.map(([symbol, verdict]) => [symbol, verdict]),
      wrong.map(([symbol, verdict]) => [symbol, verdict]),
    )
    found.forEach(([symbol, , suggestion], i) => {
      test.ok(wrong[i]?.[2].includes(suggestion), `${symbol} → ${suggestion}`)
    })
    const judged = judgeSymbols(list, contracts)
    test.strictSame(
      judged.map(({ symbol }) => symbol),
      list,
    )
    test.strictSame(
      judged.map(({ index }) => index),
      [...list.keys()],
    )
    test.match(judged[8]?.what, /У \(U\+0423\), С \(U\+0421\)/, 'the letters that are not what they seem')
    test.match(judged[40]?.what, /position 16 /, 'where a duplicate stands already')
  })

  await group.test('is understood whichever letters a look-alike has', { skip }, async test => {
    const meant = (symbol: string) => judgeSymbols([symbol], contracts)[0]
    const trading = new Set(lists['trading_2026_03'])
    const alike = Object.entries({
      A: 'АΑ',
      B: 'ВΒ',
      E: 'ЕΕ',
      H: 'НΗ',
      K: 'КΚ',
      M: 'МΜ',
      O: 'ОΟ',
      P: 'РΡ',
      C: 'С',
      T: 'ТΤ',
      X: 'ХΧ',
    })
    let tried = 0
    for (const symbol of trading) {
      for (const [latin, others] of alike) {
        for (const other of others) {
          if (!symbol.includes(latin)) continue
          test.match(meant(symbol.replaceAll(latin, other)), { verdict: 'look-alike', suggestion: symbol })
          tried++
        }
      }
    }
    test.ok(tried > 300)
    test.match(meant('ＢＴＣＵＳＤＴ'), { verdict: 'look-alike', suggestion: 'BTCUSDT' })
    test.match(meant('btcusdt'), { verdict: 'unknown', suggestion: 'BTCUSDT' })
    test.match(meant('PENGUSDT'), { suggestion: 'PENGUUSDT' })
    test.match(meant('BONKUSDT'), { suggestion: '1000BONKUSDT' })
    test.match(meant('BTCUSD'), { suggestion: 'BTCUSDT' })
  })

  await group.test(
    'suggests for a coin of three letters what is one typing mistake away, or nothing',
    { skip },
    async test => {
      const isOneAway = (a: string, b: string): boolean => {
        if (a.length > b.length) return isOneAway(b, a)
        if (a.length === b.length) return Array.from(a).filter((letter, i) => letter !== b[i]).length === 1
        return Array.from(b).some((_, i) => b.slice(0, i) + b.slice(i + 1) === a)
      }
      let [suggested, not] = [0, 0]
      check(
        fc.property(fc.stringMatching(/^[A-Z]{3}$/), coin => {
          const [judged] = judgeSymbols([`${coin}USDT`], contracts)
          if (judged?.verdict !== 'unknown') return
          const meant = judged.suggestion?.replace(/USDT$/, '')
          if (meant === undefined) not++
          else suggested++
          if (meant !== undefined && !isOneAway(coin, meant)) throw new Error(`${coin} → ${meant}`)
        }),
        runs(300),
      )
      test.ok(suggested > 0 && not > 0, `${suggested} suggestions, ${not} times none`)
    },
  )

  await group.test('of any text at all is judged, entry by entry', async () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: 'grapheme', maxLength: 12 }).map(text => `${text}USDT`),
      fc.constantFrom(
        '',
        'USDT',
        '__proto__USDT',
        'constructorUSDT',
        'toStringUSDT',
        'ﷺUSDT',
        'ßUSDT',
        'İUSDT',
        'УУУУУУУУУУУУУУУУ',
      ),
      // half of a pair, which no encoder lets pass
      fc.constantFrom('\ud83d', 'A\udc00USDT'),
    )
    const listed = fc.array(fc.record({ symbol: texts, status: fc.constantFrom('TRADING', 'SETTLING') }), {
      maxLength: 5,
    })
    check(
      fc.property(fc.array(texts, { maxLength: 6 }), listed, (list, some) => {
        const all = some.map(each => ({ ...each, baseAsset: '', quoteAsset: '' }))
        const trades = new Set(all.filter(({ status }) => status === 'TRADING').map(({ symbol }) => symbol))
        const judged = judgeSymbols(list, all)
        equal(
          judged.map(({ symbol }) => symbol),
          list,
        )
        judged.forEach(({ verdict, what, suggestion, symbol }, i) => {
          const first = list.indexOf(symbol) === i
          if ((verdict === 'duplicate') === first) throw new Error(`${verdict} at ${i}`)
          if (first && (verdict === 'trading') !== trades.has(symbol)) throw new Error(verdict)
          if (suggestion !== undefined && !trades.has(suggestion))
            throw new Error(`${suggestion} does not trade`)
          if ((what === '') !== (verdict === 'trading')) throw new Error(`${verdict}: ${what}`)
        })
      }),
      runs(2000),
    )
  })
})

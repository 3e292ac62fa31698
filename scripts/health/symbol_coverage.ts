import { command, count, some } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

export type CoverageFacts = {
  /** Symbols of the cheat sheet that the last sync found tradable. */
  expected: string[]
  /** Symbols of the cheat sheet that cannot be traded: their candles are not expected to go on. */
  untradable: string[]
  step: number
  /** A sync is under way, or was while the candles were read: what it has not come to yet does not lack. */
  syncing: boolean
  /** What is stored, by symbol. */
  stored: Map<string, { count: number; last: number; missing: number }>
}

/** [2/6] Whether every symbol that can be traded is there, without an inner gap, and as far as the others. */
export function judgeCoverage({ expected, untradable, step, syncing, stored }: CoverageFacts): CheckResult {
  const absent = syncing ? [] : expected.filter(symbol => !stored.has(symbol))
  const there = expected.flatMap(symbol => {
    const entry = stored.get(symbol)
    return entry === undefined ? [] : [{ symbol, ...entry }]
  })
  const newest = Math.max(...there.map(({ last }) => last))
  const withGaps = there.filter(({ missing }) => missing > 0).toSorted((a, b) => b.missing - a.missing)
  const behind = there.filter(({ last }) => last < newest && !syncing).toSorted((a, b) => a.last - b.last)
  const whole = there.filter(({ missing, last }) => missing === 0 && (last === newest || syncing)).length
  const lacking = withGaps.reduce((sum, { missing }) => sum + missing, 0)

  const lines = [
    ...(expected.length === 0 ? ['no symbol of the cheat sheet is traded'] : []),
    ...(absent.length > 0 ? [`${count(absent.length, 'symbol')} without a candle: ${some(absent)}`] : []),
    ...(withGaps.length > 0
      ? [
          `${count(withGaps.length, 'symbol')} with inner gaps, ${count(lacking, 'candle')}: ${some(withGaps.map(({ symbol, missing }) => `${symbol} (${missing})`))}`,
        ]
      : []),
    ...(behind.length > 0
      ? [
          `${count(behind.length, 'symbol')} behind the others: ${some(behind.map(({ symbol, last }) => `${symbol} (${(newest - last) / step})`))}`,
        ]
      : []),
  ]
  const advice = command('daily_candle_sync')
  // the mission rates missing symbols as a warning; nothing at all to trade on is more than that
  const status = there.length === 0 && !syncing ? 'critical' : 'warning'
  const findings: Finding[] = lines.map((line, i) =>
    i === 0
      ? { status, line: `${whole}/${expected.length} whole; ${line}`, advice }
      : { status, line, advice },
  )
  const aside = `${untradable.length > 0 ? `, ${untradable.length} not trading` : ''}${syncing ? ', a sync is under way' : ''}`
  return conclusion('symbol_coverage', findings, `${whole}/${expected.length} symbols, no gap${aside}`, {
    expected: expected.length,
    stored: there.length,
    whole,
    absent,
    with_gaps: withGaps.map(({ symbol, missing }) => ({ symbol, missing })),
    behind: behind.map(({ symbol, last }) => ({ symbol, candles: (newest - last) / step })),
    untradable,
  })
}

import type { ChalkInstance } from 'chalk'
import type { Outcome } from '../job/ending.ts'
import { formatDuration, formatTime } from '../job/time.ts'
import type { Usage } from './exchange.ts'
import { type Interval, intervals } from './intervals.ts'
import type { SymbolPlan, SyncPlan } from './planner.ts'
import type { Range } from './range.ts'
import type { JudgedSymbol } from './symbols.ts'
import type { SymbolResult, SyncResult } from './sync.ts'

export type ReportOptions = {
  colour: ChalkInstance
  interval: Interval
  /** Whether the run was about all that is configured: one about less does not count as the daily sync. */
  everything: boolean
  minSuccessRatio: number
  elapsedMs: number
}

/** How a sync went: a line for each thing that is not as it should be, and the verdict. */
export function reportSync(sync: SyncResult, options: ReportOptions): Outcome {
  const { colour, interval, everything, minSuccessRatio, elapsedMs } = options
  const { results, untradable, usage, lastClosed } = sync
  const complete = results.filter(({ status }) => status === 'complete').length
  const inserted = sum(results, result => result.inserted)
  const revised = sum(results, result => result.revised)
  const rejected = sum(results, result => result.rejected)
  const stored = results.some(({ status }) => status !== 'failed')
  // a clock that is a candle or more behind lets fresh candles pass for forming ones: that is no complete sync
  const skewed = Math.abs(sync.skew) >= intervals[interval].step
  const whole = complete === results.length && complete > 0 && !skewed
  const outcome = whole ? 'done' : stored ? 'partly' : 'failed'
  const mark = { done: '✅', partly: '⚠️', failed: '❌' }[outcome]
  const paint = { done: colour.green, partly: colour.yellow, failed: colour.red }[outcome]
  const summary = [
    `${mark} ${complete}/${results.length} ${interval} symbols complete up to ${formatTime(lastClosed)}`,
    `${count(inserted, 'candle')} added`,
    ...(revised > 0 ? [`${revised} revised`] : []),
    ...(rejected > 0 ? [`${count(rejected, 'row')} in quarantine`] : []),
    ...(untradable.length > 0 ? [`${untradable.length} not trading`] : []),
    `weight ${usage.weight}`,
    formatDuration(elapsedMs),
  ].join(' · ')
  return {
    outcome,
    report: [...preface(sync), ...results.flatMap(describeResult), paint(summary)],
    summary,
    figures: {
      interval,
      last_closed: new Date(lastClosed).toISOString(),
      configured: results.length + untradable.length,
      tradable: results.length,
      complete,
      // whether the run counts as a sync: freshness is measured from the last one that did
      everything,
      counts: everything && !skewed && complete > 0 && complete / results.length >= minSuccessRatio,
      inserted,
      revised,
      rejected,
      ...usageFigures(usage),
      clock_skew_seconds: sync.skew / 1000,
      troubles: sync.troubles,
      untradable: untradable.map(({ symbol, verdict, what, suggestion }) => ({
        symbol,
        verdict,
        what,
        suggestion,
      })),
      incomplete: results
        .filter(({ status, troubles }) => status !== 'complete' || troubles.length > 0)
        .map(({ symbol, status, missing, troubles }) => ({
          symbol,
          status,
          missing: missing.map(asTimes),
          troubles,
        })),
    },
  }
}

/** What a sync has asked of the exchange so far. */
export function usageFigures({ requests, weight, retries, rateLimitHits }: Usage): object {
  return { requests, weight, retries, rate_limit_hits: rateLimitHits }
}

/** What a sync would do. */
export function reportPlan(plan: SyncPlan, interval: Interval): Outcome {
  const candles = sum(plan.symbols, symbol => symbol.candles)
  const weight = sum(plan.symbols, symbol => symbol.weight)
  const busy = plan.symbols.filter(({ ranges }) => ranges.length > 0)
  const summary = `would fetch up to ${count(candles, 'candle')} of ${count(busy.length, 'symbol')} at weight ${weight}; nothing was changed`
  return {
    outcome: 'done',
    report: [...preface(plan), ...busy.map(describePlan), summary],
    summary,
    figures: {
      interval,
      last_closed: new Date(plan.lastClosed).toISOString(),
      candles,
      weight,
      plan: busy.map(({ symbol, ranges, weight: cost }) => ({
        symbol,
        weight: cost,
        ranges: ranges.map(asTimes),
      })),
      untradable: plan.untradable.map(({ symbol, verdict, suggestion }) => ({ symbol, verdict, suggestion })),
    },
  }
}

/** A symbol that cannot be traded: what is wrong with it and what was probably meant. */
export function describeSymbol({ symbol, verdict, what, suggestion }: JudgedSymbol): string {
  const meant = verdict === 'unknown' ? `; did you mean ${suggestion}?` : ` → ${suggestion}`
  return `  ${symbol.padEnd(14)} ${what}${suggestion === undefined ? '' : meant}`
}

function preface({ troubles, untradable }: SyncPlan): string[] {
  return [
    ...troubles.map(trouble => `  exchange       ${trouble}`),
    ...untradable.map(symbol => `${describeSymbol(symbol)}; not synced`),
  ]
}

function describeResult({ symbol, status, missing, troubles }: SymbolResult): string[] {
  const lacking =
    missing.length === 0
      ? []
      : [`lacks ${missing.slice(0, 3).map(describeRange).join(', ')}${missing.length > 3 ? ' …' : ''}`]
  const lines = [...troubles, ...lacking]
  if (status === 'complete' && lines.length === 0) return []
  const ending = {
    complete: 'complete all the same',
    incomplete: 'the rest is stored',
    failed: 'nothing stored',
  }[status]
  return [`  ${symbol.padEnd(14)} ${lines.join('; ')}; ${ending}`]
}

function describePlan({ symbol, ranges, candles, weight }: SymbolPlan): string {
  const shown = ranges.slice(0, 3).map(describeRange)
  const more = ranges.length > 3 ? ` and ${ranges.length - 3} more ranges` : ''
  return `  ${symbol.padEnd(14)} ${count(candles, 'candle')}, weight ${weight}: ${shown.join(', ')}${more}`
}

function describeRange({ from, to }: Range): string {
  return from === to ? formatTime(from) : `${formatTime(from)} to ${formatTime(to)}`
}

function asTimes({ from, to }: Range) {
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() }
}

function count(number: number, thing: string): string {
  return `${number.toLocaleString('en')} ${thing}${number === 1 ? '' : 's'}`
}

function sum<T>(items: readonly T[], figure: (item: T) => number): number {
  return items.reduce((total, item) => total + figure(item), 0)
}

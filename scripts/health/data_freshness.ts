import { formatDuration, formatTime, hour } from '../job/time.ts'
import { command, count, quote, some } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** The last sync that counts: when it ended, and the open time of the candle that it went up to. */
export type LastSync = { endedAt: number; lastClosed: number }

export type FreshnessFacts = {
  now: number
  database: string
  interval: { table: string; step: number }
  lastSync: LastSync | undefined
  /** Symbols that are expected, each with its newest closed candle. */
  symbols: { symbol: string; last: number }[]
  /** Rows that no exchange would give, and rows of candles that cannot have closed yet, by symbol. */
  misplaced: { symbol: string; count: number }[]
  unclosed: { symbol: string; count: number; latest: number | null }[]
}

/**
 * [1/6] How old the data is: the last sync that counts, and when the newest candle closed. A candle that cannot be
 * there yet, or that no exchange would give, is a fault and no sign of freshness.
 */
export function judgeFreshness(facts: FreshnessFacts, limits: Limits): CheckResult {
  const { now, interval, lastSync, symbols, database } = facts
  const closes = symbols.map(({ last }) => last + interval.step)
  const newest = closes.length === 0 ? undefined : Math.max(...closes)
  const oldestFirst = symbols.toSorted((a, b) => a.last - b.last)
  const findings: Finding[] = [
    ...ageOfSync(now, lastSync, limits),
    ...ageOfCandles(now, newest, lastSync, facts, limits),
    ...judgeRows(facts, `sqlite3 -readonly ${quote(database)}`),
  ]
  const sync = lastSync === undefined ? 'never' : `${formatDuration(now - lastSync.endedAt)} ago`
  const candle = newest === undefined ? 'none' : `${formatDuration(now - newest)} ago`
  return conclusion('data_freshness', findings, `last sync ${sync}, newest candle closed ${candle}`, {
    last_sync: iso(lastSync?.endedAt),
    last_sync_age_seconds: seconds(lastSync === undefined ? undefined : now - lastSync.endedAt),
    newest_candle_closed: iso(newest),
    data_age_seconds: seconds(newest === undefined ? undefined : now - newest),
    oldest: oldestFirst.slice(0, 5).map(({ symbol, last }) => ({ symbol, last_candle: iso(last) })),
  })
}

type Limits = {
  /** Of the last sync. */
  maxSyncAgeMs: number
  /** Of the newest candle: also what is left of a candle when the sync is due counts. */
  maxCandleAgeMs: number
  syncMinutes: number
}

function ageOfSync(
  now: number,
  lastSync: LastSync | undefined,
  { maxSyncAgeMs, syncMinutes }: Limits,
): Finding[] {
  const advice = command('daily_candle_sync')
  if (lastSync === undefined)
    return [{ status: 'critical', line: 'the history knows of no sync that counts', advice }]
  const age = now - lastSync.endedAt
  const line = `the last sync that counts was ${formatDuration(age)} ago`
  if (age > maxSyncAgeMs) return [{ status: 'critical', line, advice }]
  // a day, and what a sync may take
  if (age > 24 * hour + syncMinutes * 60_000) return [{ status: 'warning', line, advice }]
  return []
}

function ageOfCandles(
  now: number,
  newest: number | undefined,
  lastSync: LastSync | undefined,
  { interval }: FreshnessFacts,
  { maxCandleAgeMs }: Limits,
): Finding[] {
  const advice = command('daily_candle_sync')
  if (newest === undefined)
    return [{ status: 'critical', line: `no candle of an expected symbol is in ${interval.table}`, advice }]
  const findings: Finding[] = []
  if (now - newest > maxCandleAgeMs) {
    const line = `the newest candle closed ${formatDuration(now - newest)} ago, ${formatTime(newest)}`
    findings.push({ status: 'critical', line, advice })
  }
  const promised = lastSync === undefined ? newest : lastSync.lastClosed + interval.step
  if (newest < promised) {
    const line = `the last sync stored candles up to ${formatTime(promised)}, now they end at ${formatTime(newest)}: rows have gone`
    findings.push({ status: 'critical', line, advice })
  }
  return findings
}

function judgeRows({ interval, misplaced, unclosed, now }: FreshnessFacts, sqlite: string): Finding[] {
  const findings: Finding[] = []
  const { table, step } = interval
  const [first] = unclosed
  if (first !== undefined) {
    const total = unclosed.reduce((sum, entry) => sum + entry.count, 0)
    const rows = `${count(total, 'row')} of candles that have not closed: ${some(unclosed.map(({ symbol }) => symbol))}`
    const line = first.latest === null ? rows : `${rows}, the latest opens ${formatTime(first.latest)}`
    const lastClosed = Math.floor(now / step) * step - step
    const advice = `${sqlite} "SELECT * FROM ${table} WHERE timestamp > ${lastClosed}"`
    findings.push({ status: 'critical', line, advice })
  }
  if (misplaced.length > 0) {
    const total = misplaced.reduce((sum, entry) => sum + entry.count, 0)
    const line = `${count(total, 'row')} off the grid of the interval, or without a name: ${some(misplaced.map(({ symbol }) => symbol))}`
    const advice = `${sqlite} "SELECT * FROM ${table} WHERE timestamp % ${step} <> 0 OR typeof(symbol) <> 'text'"`
    findings.push({ status: 'warning', line, advice })
  }
  return findings
}

function iso(time: number | undefined): string | null {
  return time === undefined || Number.isNaN(new Date(time).getTime()) ? null : new Date(time).toISOString()
}

function seconds(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms / 1000)
}

import { hostname } from 'node:os'
import type { ChalkInstance } from 'chalk'
import type { Condition } from '../job/alerting.ts'
import type { Outcome } from '../job/ending.ts'
import { type CheckName, type CheckResult, type Status, worst } from './check.ts'

const titles: Record<CheckName, string> = {
  data_freshness: 'Data freshness',
  symbol_coverage: 'Symbol coverage',
  database_integrity: 'Database integrity',
  database_size: 'Database size',
  backup_status: 'Backup status',
  recent_activity: 'Recent activity',
}

const marks: Record<Status, string> = { ok: '✅', warning: '⚠️ ', critical: '❌', unknown: '❓' }

/** Nagios plugin API: the exit status is the state. */
export const nagiosStatus: Record<Status, number> = { ok: 0, warning: 1, critical: 2, unknown: 3 }

export type ReportOptions = {
  colour: ChalkInstance /** Performance data, for a monitoring system. */
  perfdata: boolean
}

/**
 * The six results for people and for monitoring. The first line is a Nagios status line; where `perfdata` is asked
 * for it carries the figures too.
 */
export function reportHealth(results: CheckResult[], { colour, perfdata }: ReportOptions): Outcome {
  const status = worst(results.map(result => result.status))
  const wrong = results.filter(result => result.status !== 'ok')
  const passed = results.length - wrong.length
  const paint = { ok: colour.green, warning: colour.yellow, critical: colour.red, unknown: colour.yellow }
  const summary =
    status === 'ok'
      ? `${passed}/${results.length} checks passed`
      : wrong
          .filter(result => result.status === status)
          .map(({ name, line }) => `${titles[name]}: ${line}`)
          .join('; ')
  // a vertical bar begins the performance data
  const statusLine = `CANDLEKEEP ${status.toUpperCase()} - ${summary.replaceAll('|', '/')}`
  const verdict = {
    ok: '✅ ALL CHECKS PASSED',
    warning: `⚠️  ${passed}/${results.length} CHECKS PASSED: WARNING`,
    critical: `❌ ${passed}/${results.length} CHECKS PASSED: CRITICAL`,
    unknown: `❓ ${passed}/${results.length} CHECKS PASSED: UNKNOWN`,
  }[status]
  return {
    outcome: 'done',
    exitStatus: nagiosStatus[status],
    report: [
      perfdata ? `${statusLine} | ${performanceData(results)}` : statusLine,
      ...results.flatMap((result, i) => describe(result, i + 1, results.length, paint[result.status])),
      paint[status](verdict),
    ],
    summary,
    figures: { status, host: hostname(), checks: results },
    // the results are in a table of their own
    remembered: { status },
  }
}

function describe(
  { name, status, line, more, advice }: CheckResult,
  number: number,
  total: number,
  paint: (text: string) => string,
): string[] {
  const indent = ' '.repeat(9)
  return [
    `[${number}/${total}] ${marks[status]} ${titles[name].padEnd(19)} ${status === 'ok' ? line : paint(line)}`,
    ...more.map(text => `${indent}${' '.repeat(20)}${text}`),
    ...advice.map(text => `${indent}→ ${text}`),
  ]
}

/** `'label'=value[unit]`, separated by spaces (Nagios plugin development guidelines). */
function performanceData(results: CheckResult[]): string {
  const figure = (name: CheckName, key: string) => results.find(result => result.name === name)?.figures[key]
  const figures: [label: string, value: unknown, unit: string][] = [
    ['data_age', figure('data_freshness', 'data_age_seconds'), 's'],
    ['last_sync_age', figure('data_freshness', 'last_sync_age_seconds'), 's'],
    ['symbols', figure('symbol_coverage', 'whole'), ''],
    ['database_used', figure('database_size', 'used_bytes'), 'B'],
    ['disk_free', figure('database_size', 'disk_free_bytes'), 'B'],
    ['rpo', figure('backup_status', 'rpo_seconds'), 's'],
  ]
  return figures
    .filter(([, value]) => typeof value === 'number')
    .map(([label, value, unit]) => `${label}=${String(value)}${unit}`)
    .join(' ')
}

/** The results as what people may have to be told. What could not be looked at may be anything: a warning. */
export function healthConditions(results: CheckResult[]): Condition[] {
  return results.map(({ name, status, line, more, advice }) => ({
    key: `health:${name}`,
    severity: status === 'unknown' ? 'warning' : status,
    title: `${titles[name]}: ${line}`,
    details: [...more, ...advice.map(text => `→ ${text}`)],
    unsure: status === 'unknown',
  }))
}

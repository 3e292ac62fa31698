/**
 * Was it as good as promised? Judges a time by the history: availability, recovery point and time, freshness, syncs, backups.
 *
 *     npx zx scripts/sla_audit.mts --html audit.html
 */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { alerting } from './alerts/alerting.ts'
import { type Audit, audit } from './audit/audit.ts'
import { type Coverage, coverageOf, newestExpected } from './audit/coverage.ts'
import { writeDocument } from './audit/documents.ts'
import type { Facts } from './audit/facts.ts'
import { isKept, keepAudit, tidingsOf } from './audit/kept.ts'
import { renderMarkdown } from './audit/markdown.ts'
import { readFacts } from './audit/records.ts'
import { reportAudit } from './audit/report.ts'
import { rulesOf } from './audit/rules.ts'
import { type AuditWishes, auditFlags, wishesFrom } from './audit/wishes.ts'
import { intervals } from './candles/intervals.ts'
import { CandleRecords } from './candles/records.ts'
import { readCandleDays } from './health/candle_days.ts'
import { untradableSymbols } from './health/memory.ts'
import type { Outcome } from './job/ending.ts'
import { UserError } from './job/errors.ts'
import { exitStatus } from './job/exit_status.ts'
import { job, type Run } from './job/job.ts'
import { day, minute } from './job/time.ts'

await job(
  {
    name: 'sla_audit',
    script: import.meta.filename,
    summary: 'Was it as good as promised? What was measured beside its targets, and what cost them.',
    flags: auditFlags,
    locks: [],
    wishes: wishesFrom,
    recorded: ({ month }) => month !== undefined,
    alerting,
    deadlineMs: () => 10 * minute,
    statusHelp:
      '0 done, no target is missed · 1 failed · 3 a target is missed (0 with --month, which tells people itself) · ' +
      '64 usage · 78 configuration · 124 deadline passed · 130 interrupted',
  },
  async run => {
    const { wishes, config, clock, history, terminal } = run
    const { html, markdown, month, unlessKept } = wishes
    if (month !== undefined && unlessKept && isKept(config.paths.state, month))
      return nothingToDo(`the audit of ${month} is kept already`)
    const facts = readFacts(history, config.sync.interval)
    // what is not there yet is empty; what cannot be read is not
    if (history.lost && existsSync(join(config.paths.state, 'ops.db')))
      throw new UserError('the history cannot be read: there is nothing to judge by')
    const result = audit(facts, rulesOf(config), wishes.asked, clock.now())
    // nothing to keep, least of all in the place of what was kept while the history knew of that month
    if (month !== undefined && result.covered.to <= result.covered.from)
      return nothingToDo(`the history begins after ${month}`)
    const page = html === undefined && month === undefined ? undefined : await pageOf(result, facts, run)
    if (markdown !== undefined) writeDocument(markdown, renderMarkdown(result, hostname()))
    if (html !== undefined && page !== undefined) writeDocument(html, page)
    const report = reportAudit(result, terminal.colour)
    if (month === undefined || page === undefined) return report
    const kept = keepAudit(config.paths.state, month, result, page)
    return {
      ...report,
      // the month has been audited, and that is what it ran for: it is not to be tried again
      exitStatus: exitStatus.done,
      report: [...report.report, ...kept.map(file => `kept: ${file}`)],
      figures: { ...report.figures, month, kept },
      conditions: [tidingsOf(month, result, kept)],
    }
  },
)

function nothingToDo(summary: string): Outcome {
  return { outcome: 'done', exitStatus: exitStatus.done, summary, report: [summary], figures: {} }
}

/** The page; what draws its charts takes half a second to start, and is only loaded here. */
async function pageOf(result: Audit, facts: Facts, run: Run<AuditWishes>): Promise<string> {
  const { renderPage } = await import('./audit/page.ts')
  const coverage = await lookAtCandles(result, facts, run)
  return renderPage(result, { host: hostname(), coverage, now: run.clock.now() })
}

/** Which candles of the time the agent's database has now. */
async function lookAtCandles(
  { asked, rules }: Audit,
  facts: Facts,
  { config, clock, history, signal }: Run<AuditWishes>,
): Promise<Coverage | { why: string }> {
  const { interval, symbols } = config.sync
  const { database, state } = config.paths
  const table = intervals[interval]
  const now = clock.now()
  // of whole days, as they are shown
  const from = Math.floor(asked.from / day) * day
  const found = await readCandleDays({ database, state, table, from, to: asked.to, signal })
  if ('why' in found) return found
  return coverageOf(found, {
    asked,
    step: table.step,
    symbols,
    untradable: new Set(history.transact(opened => untradableSymbols(opened, now))),
    firstCandles: new CandleRecords(history, interval, 0, () => now).firstCandles(),
    upTo: newestExpected(facts, rules, Math.min(asked.to, now), table.step),
  })
}

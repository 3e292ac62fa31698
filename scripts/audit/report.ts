import type { ChalkInstance } from 'chalk'
import type { Outcome } from '../job/ending.ts'
import { exitStatus } from '../job/exit_status.ts'
import { formatDuration, formatTime } from '../job/time.ts'
import type { Audit } from './audit.ts'
import {
  costsOf,
  describeSpan,
  describeTarget,
  formatShare,
  headline,
  overallVerdict,
  targetTitles,
} from './describe.ts'
import { figuresOfAudit } from './figures.ts'
import type { Target } from './targets.ts'

const marks: Record<Target['verdict'], string> = { met: '✅', missed: '❌', unknown: '– ' }

/** The audit for people: a line a target, what cost them, and what has to be known of the figures. */
export function reportAudit(audit: Audit, colour: ChalkInstance): Outcome {
  const { asked, targets, syncs, tiers, incidents, notes } = audit
  const paint = { met: colour.green, missed: colour.red, unknown: colour.yellow }
  const verdict = overallVerdict(audit)
  const summary = headline(audit)
  const days = `${syncs.completeDays}/${syncs.judgedDays} days with a complete sync`
  return {
    outcome: 'done',
    exitStatus: verdict === 'missed' ? exitStatus.missed : exitStatus.done,
    report: [
      `SLA audit: ${describeSpan(asked)}`,
      ...targets.map(target => {
        const described = describeTarget(target, audit)
        const words = `${marks[target.verdict]} ${targetTitles[target.name].padEnd(20)} ${described.measured.padEnd(14)} ${described.target.padEnd(16)}`
        return `${paint[target.verdict](words)} ${described.details.join('; ')}`.trimEnd()
      }),
      `   ${'Sync days'.padEnd(20)} ${days}`,
      ...tiers.map(({ tier, tried, succeeded, coveredDays, judgedDays }) => {
        const share = tried === 0 ? 'no run' : `${formatShare(succeeded / tried)} of ${tried}`
        return `   ${`Backups, ${tier}`.padEnd(20)} ${share.padEnd(14)} ${coveredDays}/${judgedDays} days with a proven one`
      }),
      ...incidents.map(incident => {
        const { kind, from, until, lastedMs, what } = incident
        const lasted = `${formatDuration(lastedMs)}${until === null ? ', not over' : ''}`
        return `   ${formatTime(from)}  ${kind}, ${lasted}: ${what} (${costsOf(incident)})`
      }),
      ...notes.map(note => `   ${note}`),
      paint[verdict](`${marks[verdict].trim()} ${summary}`),
    ],
    summary,
    figures: figuresOfAudit(audit),
    // the history has the rest already
    remembered: { targets: Object.fromEntries(targets.map(target => [target.name, target.verdict])) },
  }
}

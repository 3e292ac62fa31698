import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Condition } from '../job/alerting.ts'
import { formatDuration, formatTime } from '../job/time.ts'
import { count } from '../job/words.ts'
import type { Audit } from './audit.ts'
import { costsOf, describeTarget, headline, targetTitles } from './describe.ts'
import { writeDocument } from './documents.ts'
import { figuresOfAudit } from './figures.ts'

/** Keeps the audit of a month in `STATE/audits`, as a page and as figures; where they are. */
export function keepAudit(state: string, month: string, audit: Audit, page: string): string[] {
  const folder = join(state, 'audits')
  mkdirSync(folder, { recursive: true })
  const documents = {
    html: page,
    json: `${JSON.stringify({ month, ...figuresOfAudit(audit) }, undefined, 2)}\n`,
  }
  return Object.entries(documents).map(([suffix, text]) => {
    const file = join(folder, `${month}.${suffix}`)
    writeDocument(file, text)
    return file
  })
}

/** Whether the audit of a month is there: its figures are written last. */
export function isKept(state: string, month: string): boolean {
  return existsSync(join(state, 'audits', `${month}.json`))
}

const mostIncidents = 10

/** What people are told of a month: nothing that anybody has to do, so it is news and no alarm. */
export function tidingsOf(month: string, audit: Audit, files: readonly string[]): Condition {
  const { targets, incidents, syncs } = audit
  const more = incidents.length - mostIncidents
  return {
    key: `sla_audit:${month}`,
    severity: 'info',
    title: `SLA audit of ${month}: ${headline(audit)}`,
    details: [
      ...targets.map(target => {
        const { measured, target: promised, details } = describeTarget(target, audit)
        return `${targetTitles[target.name]}: ${measured}, promised ${promised}, ${verdicts[target.verdict]}${details.map(text => `; ${text}`).join('')}`
      }),
      `${syncs.completeDays} of ${syncs.judgedDays} days with a complete sync`,
      ...incidents
        .slice(0, mostIncidents)
        .map(
          incident =>
            `${formatTime(incident.from)}: ${incident.kind} for ${formatDuration(incident.lastedMs)}, ${incident.what} (${costsOf(incident)})`,
        ),
      ...(more > 0 ? [`and ${count(more, 'more incident')}`] : []),
      ...files.map(file => `kept: ${file}`),
    ],
  }
}

const verdicts = { met: 'met', missed: 'MISSED', unknown: 'not known' }

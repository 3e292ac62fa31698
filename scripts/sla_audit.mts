/**
 * Was it as good as promised? Judges a time by the history: availability, recovery point and time, freshness, syncs, backups.
 *
 *     npx zx scripts/sla_audit.mts --markdown audit.md
 */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { audit } from './audit/audit.ts'
import { writeDocument } from './audit/documents.ts'
import { renderMarkdown } from './audit/markdown.ts'
import { readFacts } from './audit/records.ts'
import { reportAudit } from './audit/report.ts'
import { rulesOf } from './audit/rules.ts'
import { auditFlags, wishesFrom } from './audit/wishes.ts'
import { UserError } from './job/errors.ts'
import { job } from './job/job.ts'
import { minute } from './job/time.ts'

await job(
  {
    name: 'sla_audit',
    script: import.meta.filename,
    summary: 'Was it as good as promised? What was measured beside its targets, and what cost them.',
    flags: auditFlags,
    locks: [],
    wishes: wishesFrom,
    recorded: () => false,
    deadlineMs: () => 10 * minute,
    statusHelp:
      '0 done, no target is missed · 1 failed · 3 a target is missed · 64 usage · 78 configuration · ' +
      '124 deadline passed · 130 interrupted',
  },
  async ({ wishes, config, clock, history, terminal }) => {
    const { asked, markdown } = wishes
    const facts = readFacts(history, config.sync.interval)
    // what is not there yet is empty; what cannot be read is not
    if (history.lost && existsSync(join(config.paths.state, 'ops.db')))
      throw new UserError('the history cannot be read: there is nothing to judge by')
    const result = audit(facts, rulesOf(config), asked, clock.now())
    if (markdown !== undefined) writeDocument(markdown, renderMarkdown(result, hostname()))
    return reportAudit(result, terminal.colour)
  },
)

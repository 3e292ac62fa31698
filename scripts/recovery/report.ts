import type { ChalkInstance } from 'chalk'
import type { Condition } from '../job/alerting.ts'
import type { Config } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { count } from '../job/words.ts'
import type { Base, Case, CaseFile } from './case_file.ts'
import { type Loss, lossOf } from './loss.ts'
import { figuresOf, linesOf, timesOf } from './report_lines.ts'
import type { TableSalvage } from './salvage.ts'
import type { Aftercare } from './tasks.ts'

/** How a recovery went. */
export function reportRecovery(
  file: CaseFile,
  aftercare: Aftercare,
  { colour, config }: { colour: ChalkInstance; config: Config },
): Outcome {
  const { found } = file
  const { backup, resync, broken, health } = aftercare
  const loss = lossOf(found)
  const whole =
    'symbols' in resync && resync.error === null && resync.complete === resync.symbols && broken?.length === 0
  const well = whole && backup.id !== null && backup.troubles.length === 0
  const { rtoMs } = timesOf(found)
  const lost = describeLoss(loss)
  const summary = [
    `recovered from ${nameOf(found.base)} in ${formatDuration(rtoMs)}`,
    ...(loss.salvaged > 0 ? [`${count(loss.salvaged, 'row')} salvaged`] : []),
    lost,
    ...(well
      ? []
      : [whole ? 'the backup at once is not complete' : 'candles still lack, or are not what was stored']),
  ].join(' · ')
  const lines = linesOf(file, aftercare, config)
  return {
    outcome: well ? 'done' : 'partly',
    report: [
      ...lines.map(line => (line.startsWith('⚠️') ? colour.yellow(line) : line)),
      well ? colour.green(`✅ ${summary}`) : colour.yellow(`⚠️  ${summary}`),
      `   ${file.folder}/report.md`,
    ],
    summary,
    figures: {
      task: 'recover',
      diagnosis: figuresOf(found.diagnosis),
      recovery: {
        id: found.id,
        base: found.base,
        method: found.method,
        quarantine: file.folder,
        started_at: found.started_at,
        serving_at: found.serving_at,
        rto_seconds: rtoMs / 1000,
        rpo_seconds: loss.rpoMs / 1000,
        passed_over: found.passed_over,
        not_salvaged: found.not_salvaged,
        doubtful_rows: found.doubtful_rows,
        warnings: found.warnings,
      },
      rows: {
        salvaged: loss.salvaged,
        conflicts: loss.conflicts,
        refused: loss.refused,
        returned: loss.returned,
        known_lost: loss.knownLost,
      },
      tables: (found.salvage?.tables ?? []).map(figuresOfTable),
      unreadable_tables: found.salvage?.unreadable ?? [],
      resync,
      broken_seals: broken ?? null,
      backup: backup.id,
      backup_troubles: backup.troubles,
      health,
    },
    conditions: [conditionOfRecovery(found, summary, lines)],
  }
}

function describeLoss({ knownLost, unreadable, blind, rpoMs, conflicts, refused }: Loss): string {
  if (unreadable > 0) return `${count(unreadable, 'table')} could not be read`
  if (knownLost > 0) return `at most ${count(knownLost, 'row')} lost`
  if (rpoMs === 0) return 'nothing lost'
  if (blind) return `up to ${formatDuration(rpoMs)} of changes lost`
  return conflicts + refused > 0 ? `${count(conflicts + refused, 'row')} set aside` : 'nothing known lost'
}

/** That a database had to be brought back is told, however well it went. */
function conditionOfRecovery(found: Case, summary: string, details: string[]): Condition {
  const { knownLost, refused, unreadable, blind, rpoMs } = lossOf(found)
  return {
    key: 'recovery',
    severity: knownLost + refused + unreadable > 0 || (blind && rpoMs > 0) ? 'critical' : 'warning',
    title: `the database was damaged (${found.diagnosis.damage}) and has been ${summary}`,
    details,
  }
}

function nameOf(base: Base | undefined): string {
  if (base?.kind === 'backup') return `${base.id} (${base.tier})`
  return base?.kind === 'itself' ? 'itself' : 'what could be read'
}

function figuresOfTable(entry: TableSalvage): object {
  const {
    table,
    inBackup,
    read,
    salvaged,
    conflicts,
    refused,
    returned,
    knownLost,
    holes,
    whole,
    distrusted,
  } = entry
  return {
    table,
    in_backup: inBackup,
    read,
    salvaged,
    conflicts,
    refused,
    returned,
    known_lost: knownLost,
    holes,
    whole,
    distrusted,
  }
}

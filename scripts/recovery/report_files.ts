import { join } from 'node:path'
import type { Config } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { replaceFile } from '../job/replace_file.ts'
import { formatTime } from '../job/time.ts'
import { quote } from '../job/words.ts'
import type { CaseFile } from './case_file.ts'
import { linesOf } from './report_lines.ts'
import type { Aftercare } from './tasks.ts'

/** Leaves the report beside the evidence: JSON for programs, Markdown for the incident file. */
export function writeReports(
  file: CaseFile,
  aftercare: Aftercare,
  { config, outcome }: { config: Config; outcome: Outcome },
): void {
  const figures = { ...outcome.figures, summary: outcome.summary }
  replaceFile(join(file.folder, 'report.json'), `${JSON.stringify(figures, null, 2)}\n`, 0o600)
  replaceFile(join(file.folder, 'report.md'), markdownOf(file, aftercare, config, outcome.summary), 0o600)
}

function markdownOf(file: CaseFile, aftercare: Aftercare, config: Config, summary: string): string {
  const { found } = file
  const rows = (found.salvage?.tables ?? []).map(entry => {
    const { table, inBackup, salvaged, conflicts, refused, returned, knownLost } = entry
    const name = table.replaceAll('|', '\\|').replaceAll('\n', ' ')
    return `| ${[name, inBackup, salvaged, conflicts, refused, returned, knownLost].join(' | ')} |`
  })
  return [
    `# ${found.id}: ${summary}`,
    '',
    `Database: \`${found.database}\`, damaged (${found.diagnosis.damage}), found ${formatTime(Date.parse(found.started_at))}.`,
    '',
    '```',
    ...linesOf(file, aftercare, config),
    '```',
    '',
    ...(rows.length === 0
      ? []
      : [
          '| table | in the backup | salvaged | differ, the backup’s stay | refused | deleted before, and back | at most lost |',
          '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
          ...rows,
          '',
        ]),
    'Rows that differ or were refused are in `not_restored.db`, a table for each table that has such. The damaged files are in',
    '`damaged/`. candlekeep never removes this folder; once nobody needs it:',
    '',
    '```',
    `rm -r ${quote(file.folder)}`,
    '```',
    '',
  ].join('\n')
}

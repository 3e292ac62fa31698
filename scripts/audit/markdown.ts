import type { Audit } from './audit.ts'
import {
  dayTable,
  describeSpan,
  headline,
  incidentTable,
  recoveryTable,
  syncTable,
  type Table,
  targetTable,
  tierTable,
} from './describe.ts'

/** The audit as a Markdown document (GitHub's tables). */
export function renderMarkdown(audit: Audit, host: string): string {
  const tables = [targetTable, incidentTable, tierTable, recoveryTable, dayTable, syncTable]
  return [
    `# SLA audit of ${escapeCell(host)}`,
    '',
    describeSpan(audit.asked),
    '',
    `**${headline(audit)}**`,
    '',
    ...tables.flatMap(of => renderTable(of(audit))),
    ...(audit.notes.length === 0
      ? []
      : ['## Notes', '', ...audit.notes.map(note => `- ${escapeCell(note)}`), '']),
  ].join('\n')
}

function renderTable({ title, head, rows }: Table): string[] {
  if (rows.length === 0) return [`## ${title}`, '', 'None.', '']
  return [`## ${title}`, '', line(head), line(head.map(() => '---')), ...rows.map(line), '']
}

function line(cells: string[]): string {
  return `| ${cells.map(escapeCell).join(' | ')} |`
}

/** Text that comes from anywhere is text in a cell, and no markup. */
function escapeCell(text: string): string {
  return text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\\`*_{}[\]<>|#~&]/g, character => (character === '&' ? '&amp;' : `\\${character}`))
}

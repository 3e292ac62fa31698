import type { Resync } from '../candles/resync.ts'
import type { Config } from '../job/config.ts'
import { formatDuration, formatTime, hour, minute } from '../job/time.ts'
import { count, formatBytes, some } from '../job/words.ts'
import type { Base, Case, CaseFile } from './case_file.ts'
import type { Diagnosis } from './diagnosis.ts'
import { lossOf } from './loss.ts'
import type { TableSalvage } from './salvage.ts'
import type { Aftercare } from './tasks.ts'

/** What was lost and won, in lines for people; the same stand in the incident file. */
export function linesOf(
  file: CaseFile,
  { backup, resync, broken, health }: Aftercare,
  config: Config,
): string[] {
  const found = file.found
  const { diagnosis, base, evidence, passed_over, warnings } = found
  const indent = ' '.repeat(10)
  const block = (title: string, lines: string[]) =>
    lines.map((line, i) => (i === 0 ? title.padEnd(10) : indent) + line)
  const { rtoMs, rpoMs } = timesOf(found)
  return [
    ...block('damage', [
      `${diagnosis.damage}: ${diagnosis.findings[0] ?? 'it was sound, and was to be replaced all the same'}`,
      ...diagnosis.findings.slice(1),
    ]),
    ...block('evidence', [
      evidence.length === 0
        ? 'there was nothing to keep'
        : `${file.damaged}: ${evidence.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join(', ')}`,
    ]),
    ...block('base', [
      describeBase(base),
      ...passed_over.map(({ tier, id, why }) => `not used: ${tier} ${id}: ${why}`),
    ]),
    ...block('salvage', describeSalvage(found, file)),
    ...block('backup', [backup.id === null ? 'none was taken' : `${backup.id} at once`, ...backup.troubles]),
    ...block('candles', [
      'error' in resync && !('symbols' in resync) ? `not fetched: ${resync.error}` : describeResync(resync),
      ...(broken === undefined
        ? ['whether they are what was sealed cannot be told']
        : broken.length > 0
          ? [
              `not what was sealed: ${some(broken.map(({ symbol, interval, month }) => `${symbol} ${interval} ${month}`))}`,
            ]
          : []),
    ]),
    ...block('health', [`${health.status}: ${health.summary}`]),
    ...block('time', [
      `${formatDuration(rtoMs)} to a proven database in its place (RTO ${config.sla.rto_minutes} min: ${met(rtoMs <= config.sla.rto_minutes * minute)})`,
      rpoMs === 0
        ? `all that had come since was brought over (RPO ${config.sla.rpo_hours} h: met)`
        : `what had come since is not all there: up to ${formatDuration(rpoMs)} (RPO ${config.sla.rpo_hours} h: ${met(rpoMs <= config.sla.rpo_hours * hour)})`,
    ]),
    ...warnings.map(line => `⚠️  ${line}`),
  ]
}

function met(isMet: boolean): string {
  return isMet ? 'met' : 'MISSED'
}

/** How long a recovery took, and how old what it was made from was. */
export function timesOf(found: Case): { rtoMs: number; rpoMs: number } {
  const from = Date.parse(found.started_at)
  return { rtoMs: Date.parse(found.serving_at ?? found.started_at) - from, rpoMs: lossOf(found).rpoMs }
}

function describeBase(base: Base | undefined): string {
  if (base?.kind === 'backup')
    return `${base.id} of the ${base.tier} tier, proven; it has everything up to ${formatTime(Date.parse(base.covers_until))}`
  if (base?.kind === 'itself') return `the damaged database itself, ${base.how}`
  return 'there was no good backup: what could be read of the damaged database, and no more'
}

function describeSalvage({ base, salvage, not_salvaged, doubtful_rows }: Case, file: CaseFile): string[] {
  const doubtful =
    doubtful_rows === 0
      ? []
      : [
          `${count(doubtful_rows, 'row')} and an index of theirs differed: the row counts, and may be the damaged one`,
        ]
  if (base?.kind === 'itself') return ['nothing has to be brought over', ...doubtful]
  if (salvage === null) return [`nothing was brought over${not_salvaged === null ? '' : `: ${not_salvaged}`}`]
  const { tables, unreadable, skipped } = salvage
  const aside = tables.some(
    ({ conflicts, refused, distrusted }) => conflicts + refused > 0 || distrusted !== null,
  )
  return [
    ...tables.filter(({ table }) => !unreadable.includes(table)).map(describeTable),
    ...unreadable.map(table => `${table}: nothing could be read; what the backup has of it stands`),
    ...(skipped.length === 0 ? [] : [`not looked at, as they are virtual tables: ${some(skipped, 5)}`]),
    ...(aside ? [`what was read and not brought over: ${file.aside}`] : []),
    ...doubtful,
  ]
}

function describeTable(entry: TableSalvage): string {
  const { table, inBackup, salvaged, conflicts, refused, returned, knownLost, distrusted } = entry
  const parts = [
    `${inBackup.toLocaleString('en')} in the backup`,
    ...(salvaged > 0 ? [`${salvaged.toLocaleString('en')} salvaged`] : []),
    ...(conflicts > 0 ? [`${count(conflicts, 'row')} differ: the backup's stay`] : []),
    ...(refused > 0 ? [`${refused.toLocaleString('en')} refused`] : []),
    ...(returned > 0 ? [`${returned.toLocaleString('en')} that had been deleted are back`] : []),
    knownLost > 0 ? `at most ${knownLost.toLocaleString('en')} lost` : 'none known lost',
    ...(distrusted === null ? [] : [`not trusted: ${distrusted}`]),
  ]
  return `${table}: ${parts.join(' · ')}`
}

/** What fetching candles again came to. */
export function describeResync({ complete, symbols, inserted, revised, untradable, error }: Resync): string {
  return [
    `${complete}/${symbols} symbols complete`,
    `${inserted.toLocaleString('en')} fetched`,
    ...(revised > 0 ? [`${revised} corrected`] : []),
    ...(untradable.length > 0 ? [`not trading: ${some(untradable)}`] : []),
    ...(error === null ? [] : [error]),
  ].join(' · ')
}

/** A diagnosis, for the JSON. */
export function figuresOf({ verdict, damage, cure, findings, tables, indexes }: Diagnosis): object {
  return { verdict, damage, cure, findings, tables, indexes }
}

import { formatDuration } from '../job/time.ts'
import { count } from '../job/words.ts'
import type { Judged } from './audit.ts'
import type { Facts } from './facts.ts'
import { ageAt, describeRecovery } from './recoveries.ts'
import type { Rules } from './rules.ts'
import { lengthOf, type Span, within } from './spans.ts'
import type { TargetName } from './targets.ts'

/** Something that cost a target. */
export type Incident = {
  kind: 'stale data' | 'damaged database' | 'old backup' | 'recovery' | 'failed drill' | 'slow sync'
  from: number
  /** null: it goes on. */
  until: number | null
  /** So long it lasted within the time that is judged, in milliseconds. */
  lastedMs: number
  costs: TargetName[]
  /** One line: what happened. */
  what: string
}

/** What cost a target, in the order in which it began. */
export function incidentsOf(facts: Facts, judged: Judged, rules: Rules, covered: Span): Incident[] {
  const { availability, rpo, rto, syncs } = judged
  const isOpen = (to: number) => to >= covered.to
  const stretch = ({ from, to }: Span) => ({
    from,
    until: isOpen(to) ? null : to,
    lastedMs: to - from,
  })
  const incidents: Incident[] = [
    ...availability.stale.map(
      (span): Incident => ({
        kind: 'stale data',
        ...stretch(span),
        costs: ['availability', 'freshness'],
        what: describeStale(facts, span),
      }),
    ),
    ...availability.damages.flatMap(({ from, until, line }): Incident[] => {
      const lastedMs = lengthOf(within([{ from, to: until ?? covered.to }], covered))
      if (lastedMs === 0) return []
      const mended = rto.recoveries.filter(
        ({ startedAt }) => startedAt >= from && startedAt <= (until ?? covered.to),
      )
      const open = until === null || until > covered.to
      return [
        {
          kind: 'damaged database',
          from,
          until: open ? null : until,
          lastedMs,
          costs: ['availability'],
          what: [line, ...describeBackup(ageAt(rpo.ages, from)), ...mended.map(describeRecovery)].join('; '),
        },
      ]
    }),
    ...rpo.above.map(
      (span): Incident => ({
        kind: 'old backup',
        ...stretch(span),
        costs: ['rpo'],
        what: describeAbove(span, judged, rules),
      }),
    ),
    ...rto.recoveries.flatMap((recovery): Incident[] => {
      const costs: TargetName[] = []
      if ((recovery.rpoMs ?? 0) > rules.rpoMs) costs.push('rpo')
      if (!recovery.finished || recovery.tookMs > rules.rtoMs) costs.push('rto')
      if (costs.length === 0) return []
      const { startedAt: from, servingAt: until, tookMs: lastedMs } = recovery
      return [{ kind: 'recovery', from, until, lastedMs, costs, what: describeRecovery(recovery) }]
    }),
    ...rto.drills
      .filter(({ run, failure, tookMs }) =>
        failure === null ? tookMs > rules.rtoMs : rto.hopeless.includes(run),
      )
      .map(({ tier, startedAt, finishedAt, tookMs, failure }): Incident => {
        const what = failure === null ? `restoring took ${formatDuration(tookMs)}` : failure
        return {
          kind: 'failed drill',
          from: startedAt,
          until: finishedAt,
          lastedMs: tookMs,
          costs: ['rto'],
          what: `${tier}: ${what}`,
        }
      }),
    ...syncs.slow.map(
      ({ startedAt, finishedAt, summary }): Incident => ({
        kind: 'slow sync',
        from: startedAt,
        until: finishedAt,
        lastedMs: Math.max(0, (finishedAt ?? covered.to) - startedAt),
        costs: ['sync'],
        what: summary,
      }),
    ),
  ]
  return incidents.sort((a, b) => a.from - b.from)
}

/** What could have been lost when damage was seen. */
function describeBackup(ageMs: number | null): string[] {
  return ageMs === null ? [] : [`the newest proven backup was ${formatDuration(ageMs)} old`]
}

/** What was tried meanwhile, and what came of it last. */
function describeStale({ syncs }: Facts, { from, to }: Span): string {
  const before = syncs.findLast(
    ({ counts, finishedAt }) => counts && finishedAt !== null && finishedAt < from,
  )
  const since = before?.finishedAt ?? 0
  const tried = syncs.filter(
    ({ whole, counts, startedAt }) => whole && !counts && startedAt > since && startedAt < to,
  )
  const last = tried.at(-1)
  if (last === undefined) return 'no sync ran, or none that counts'
  return `${count(tried.length, 'sync')} did not count; the last: ${last.outcome}, ${last.summary}`
}

function describeAbove(span: Span, { rpo }: Judged, rules: Rules): string {
  const bare = lengthOf(within(rpo.bare, span))
  if (bare > 0) return `no proven backup at all for ${formatDuration(bare)}`
  const oldest = Math.max(
    ...rpo.ages.filter(({ from, to }) => to > span.from && from < span.to).map(piece => piece.oldest),
  )
  return `the newest proven backup became ${formatDuration(oldest)} old, ${formatDuration(oldest - rules.rpoMs)} more than the target`
}

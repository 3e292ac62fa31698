import { dueDays } from './due_days.ts'
import type { Facts, SyncFact } from './facts.ts'
import type { Rules } from './rules.ts'
import type { Span } from './spans.ts'

/** How a day's sync went: complete; counting, but not of all symbols; missed; or not over yet. */
export type SyncDay = { due: number; state: 'complete' | 'counted' | 'missed' | 'pending' }

export type SyncJudgement = {
  days: SyncDay[]
  /** Days that can be judged, and those with a complete sync. */
  judgedDays: number
  completeDays: number
  /** The daily syncs of the time, in the order in which they began. */
  runs: SyncFact[]
  /** Those of which it is known how long they took, in milliseconds. */
  timed: { startedAt: number; tookMs: number; outcome: SyncFact['outcome'] }[]
  p50: number | null
  p99: number | null
  max: number | null
  /** Those that did not end within the target, or were stopped at their deadline. */
  slow: SyncFact[]
}

/** The daily syncs that began in the covered time; those of some symbols by hand do not count. */
export function judgeSyncs(
  { syncs }: Facts,
  { syncDue, syncTakesMs, syncMs }: Rules,
  covered: Span,
): SyncJudgement {
  const wholes = syncs.filter(({ whole }) => whole)
  const days = dueDays(syncDue, syncTakesMs, covered).map(({ from, to, over }): SyncDay => {
    const until = Math.min(to, covered.to)
    const ended = wholes.filter(({ counts, finishedAt }) => {
      return counts && finishedAt !== null && finishedAt >= from && finishedAt < until
    })
    const complete = ended.some(({ outcome }) => outcome === 'done')
    const state = complete ? 'complete' : ended.length > 0 ? 'counted' : over ? 'missed' : 'pending'
    return { due: from, state }
  })
  const runs = wholes
    .filter(({ startedAt }) => startedAt >= covered.from && startedAt < covered.to)
    .toSorted((a, b) => a.startedAt - b.startedAt)
  const timed = runs.flatMap(({ startedAt, finishedAt, outcome }) => {
    // how long one took that was killed nobody knows, nor one whose clock was set back
    if (finishedAt === null || finishedAt < startedAt || outcome === 'killed') return []
    return [{ startedAt, tookMs: finishedAt - startedAt, outcome }]
  })
  const sorted = timed.map(({ tookMs }) => tookMs).sort((a, b) => a - b)
  const slow = runs.filter(({ startedAt, finishedAt, outcome }) => {
    const took = outcome === 'killed' || finishedAt === null ? 0 : finishedAt - startedAt
    return outcome === 'deadline' || took > syncMs
  })
  const judged = days.filter(({ state }) => state !== 'pending')
  return {
    days,
    judgedDays: judged.length,
    completeDays: judged.filter(({ state }) => state === 'complete').length,
    runs,
    timed,
    p50: nearestRank(sorted, 0.5),
    p99: nearestRank(sorted, 0.99),
    max: sorted.at(-1) ?? null,
    slow,
  }
}

/** The least value that this share of them does not exceed. `sorted`: ascending. */
function nearestRank(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}

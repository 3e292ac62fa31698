import type { TierName } from '../job/config.ts'
import { formatDuration } from '../job/time.ts'
import { count } from '../job/words.ts'
import type { Piece } from './ages.ts'
import type { DrillFact, Facts, RecoveryFact } from './facts.ts'
import type { Span } from './spans.ts'

/** A recovery: how long it took and what it lost. */
export type RecoveryJudgement = RecoveryFact & {
  /** To a proven database in its place; where it never came to that, up to when it is known to have lasted. */
  tookMs: number
  finished: boolean
  /** How old the newest proven backup was when it began; null: that is not known. */
  backupAgeMs: number | null
}

type DrillJudgement = DrillFact & { tookMs: number }

export type RtoJudgement = {
  recoveries: RecoveryJudgement[]
  drills: DrillJudgement[]
  /** Of all recoveries, and of drills that restored something. */
  worst: number | null
  /** Tiers whose last drill restored nothing. */
  failedTiers: TierName[]
  /** Drills in which no tier could be restored from: a recovery then would have failed. */
  hopeless: number[]
}

/** Recoveries and drills that began in the covered time. `ages`: of the newest proven backup. */
export function judgeRto({ recoveries, drills }: Facts, ages: readonly Piece[], covered: Span): RtoJudgement {
  const isWithin = ({ startedAt }: { startedAt: number }) =>
    startedAt >= covered.from && startedAt < covered.to
  const served = recoveries.flatMap(({ servingAt }) => servingAt ?? [])
  const judged = recoveries.filter(isWithin).map((recovery): RecoveryJudgement => {
    const { startedAt, servingAt } = recovery
    const ended = servingAt ?? Math.min(covered.to, ...served.filter(at => at >= startedAt))
    return {
      ...recovery,
      tookMs: Math.max(0, ended - startedAt),
      finished: servingAt !== null,
      backupAgeMs: ageAt(ages, startedAt),
    }
  })
  const drilled = drills.filter(isWithin).map((drill): DrillJudgement => {
    return { ...drill, tookMs: Math.max(0, drill.finishedAt - drill.startedAt) }
  })
  const times = [...judged, ...drilled.filter(({ failure }) => failure === null)].map(({ tookMs }) => tookMs)
  const byRun = [...Map.groupBy(drilled, ({ run }) => run)]
  const lastOfTier = new Map(drilled.map(drill => [drill.tier, drill.run]))
  return {
    recoveries: judged.sort((a, b) => a.startedAt - b.startedAt),
    drills: drilled.sort((a, b) => a.startedAt - b.startedAt),
    worst: times.length === 0 ? null : Math.max(...times),
    failedTiers: [...lastOfTier]
      .filter(([tier, run]) => !restored(drilled.filter(drill => drill.tier === tier && drill.run === run)))
      .map(([tier]) => tier),
    hopeless: byRun.filter(([, some]) => !restored(some)).map(([run]) => run),
  }
}

function restored(drills: readonly DrillFact[]): boolean {
  return drills.some(({ failure }) => failure === null)
}

/** How old something was at a moment; null: that is not known. */
export function ageAt(ages: readonly Piece[], moment: number): number | null {
  const piece = ages.find(({ from, to }) => moment >= from && moment < to)
  if (piece === undefined) return null
  return piece.oldest === 0 ? 0 : piece.youngest + moment - piece.from
}

/** How it went, in a few words. */
export function describeRecovery(recovery: RecoveryJudgement): string {
  const { id, tookMs, finished, knownLost, rpoMs, base } = recovery
  if (!finished) return `${id} did not come to an end within ${formatDuration(tookMs)}`
  const from = base === null ? '' : ` from ${base}`
  const lost =
    (rpoMs ?? 0) === 0 && knownLost === 0
      ? 'nothing lost'
      : `what came in ${formatDuration(rpoMs ?? 0)} may be lost, ${count(knownLost, 'row')} of it for certain`
  return `${id}${from} in ${formatDuration(tookMs)}, ${lost}`
}

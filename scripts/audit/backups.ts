import type { TierName } from '../job/config.ts'
import { type AgeFigures, agesFrom, figuresOf, olderThan, type Piece, since } from './ages.ts'
import { dueDays } from './due_days.ts'
import type { BackupFact, Facts, Known } from './facts.ts'
import type { Rules } from './rules.ts'
import { type Span, without } from './spans.ts'

/** How well a tier got its backups. */
export type TierJudgement = {
  tier: TierName
  /** Runs that tried to bring it one, and those that did. */
  tried: number
  succeeded: number
  /** Days that can be judged, from one daily backup to the next, and those of which there is a proven backup. */
  judgedDays: number
  coveredDays: number
  days: { due: number; covered: boolean }[]
  /** Backups of the time: how many were taken. */
  taken: number
}

export type RpoJudgement = AgeFigures & {
  /** How old the newest proven backup was, at each moment. */
  ages: Piece[]
  /** When it was older than the target. */
  above: Span[]
  /** When there was none at all: its age is counted from where the history begins. */
  bare: Span[]
}

/**
 * What would have been lost at each moment: the time since the newest backup that was proven by then, and neither found to
 * be bad nor removed. What changed nothing since a backup is covered by it.
 */
export function judgeRpo({ backups, begunAt }: Known, { rpoMs }: Rules, covered: Span): RpoJudgement {
  const known = agesFrom(backups.map(sourceOf), covered)
  const bare = without([covered], known)
  const ages = [...known, ...bare.flatMap(gap => since(begunAt ?? covered.from, gap))].sort(
    (a, b) => a.from - b.from,
  )
  return { ...figuresOf(ages), ages, above: olderThan(ages, rpoMs), bare }
}

function sourceOf({ provenAt, coversUntil, failedAt, removedAt }: BackupFact) {
  const until = Math.min(failedAt ?? Number.POSITIVE_INFINITY, removedAt ?? Number.POSITIVE_INFINITY)
  return { from: provenAt, until, origin: coversUntil }
}

export function judgeTiers(
  { backups, backupRuns }: Facts,
  { tiers, backupDue, backupTakesMs }: Rules,
  covered: Span,
): TierJudgement[] {
  const isWithin = (time: number) => time >= covered.from && time < covered.to
  const tries = backupRuns
    .filter(({ startedAt }) => isWithin(startedAt))
    .flatMap(({ tiers: results }) => results ?? [])
  const due = dueDays(backupDue, backupTakesMs, covered)
  return tiers.map(tier => {
    const own = backups.filter(backup => backup.tier === tier)
    const days = due.flatMap(({ from, to, over }) => {
      const has = own.some(({ takenAt, coversUntil, provenAt, failedAt }) => {
        const known = provenAt < covered.to && (failedAt ?? covered.to) >= covered.to
        return known && takenAt < to && coversUntil >= from
      })
      return over || has ? [{ due: from, covered: has }] : []
    })
    const tried = tries.filter(result => result.tier === tier)
    return {
      tier,
      tried: tried.length,
      succeeded: tried.filter(({ failed }) => !failed).length,
      judgedDays: days.length,
      coveredDays: days.filter(one => one.covered).length,
      days,
      taken: own.filter(({ takenAt }) => isWithin(takenAt)).length,
    }
  })
}

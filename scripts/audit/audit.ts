import { type Availability, judgeAvailability } from './availability.ts'
import { judgeRpo, judgeTiers, type RpoJudgement, type TierJudgement } from './backups.ts'
import type { Facts, Known } from './facts.ts'
import { type Incident, incidentsOf } from './incidents.ts'
import { notesOf } from './notes.ts'
import { judgeRto, type RtoJudgement } from './recoveries.ts'
import type { Rules } from './rules.ts'
import type { Span } from './spans.ts'
import { judgeSyncs, type SyncJudgement } from './syncs.ts'
import { judgeTargets, type Target } from './targets.ts'

/** What the history says, by each thing that is measured. */
export type Judged = {
  availability: Availability
  syncs: SyncJudgement
  rpo: RpoJudgement
  rto: RtoJudgement
  tiers: TierJudgement[]
}

/** How well the service kept its targets in a time. */
export type Audit = Judged & {
  /** What was asked for, and the part of it that the history covers; that can be nothing. */
  asked: Span
  covered: Span
  rules: Rules
  targets: Target[]
  incidents: Incident[]
  notes: string[]
}

/** Judges a time by what the history tells. Pure; all times in milliseconds. */
export function audit(facts: Facts, rules: Rules, asked: Span, now: number): Audit {
  const known = upTo(facts, now)
  const covered = coveredPart(known, asked, now)
  const rpo = judgeRpo(known, rules, covered)
  const judged: Judged = {
    availability: judgeAvailability(known, rules, covered),
    syncs: judgeSyncs(known, rules, covered),
    rpo,
    rto: judgeRto(known, rpo.ages, covered),
    tiers: judgeTiers(known, rules, covered),
  }
  return {
    ...judged,
    asked,
    covered,
    rules,
    targets: judgeTargets(judged, rules),
    incidents: incidentsOf(known, judged, rules, covered),
    // they tell of what is left out as well
    notes: notesOf({ ...known, runs: facts.runs }, judged, asked, covered, now),
  }
}

function coveredPart({ begunAt }: Known, asked: Span, now: number): Span {
  const from = Math.max(asked.from, begunAt ?? asked.to)
  return { from, to: Math.max(from, Math.min(asked.to, now)) }
}

/** Without what is dated after `now`, by a clock that was ahead: it must not pass for news. */
function upTo(facts: Facts, now: number): Known {
  const begins = facts.runs.map(({ startedAt }) => startedAt).filter(at => at <= now)
  const hasBegun = ({ startedAt }: { startedAt: number }) => startedAt <= now
  return {
    begunAt: begins.length === 0 ? undefined : begins.reduce((a, b) => Math.min(a, b)),
    syncs: facts.syncs.filter(hasBegun),
    newestCandles: facts.newestCandles.filter(({ at }) => at <= now),
    soundness: facts.soundness.filter(({ at }) => at <= now),
    backups: facts.backups
      .filter(({ takenAt }) => takenAt <= now)
      .map(backup => (backup.coversUntil > now ? { ...backup, coversUntil: backup.takenAt } : backup)),
    backupRuns: facts.backupRuns.filter(hasBegun),
    recoveries: facts.recoveries.filter(hasBegun),
    drills: facts.drills.filter(hasBegun),
    runs: facts.runs.filter(hasBegun),
  }
}

import { figuresOf } from './ages.ts'
import type { Audit } from './audit.ts'
import { lengthOf, type Span } from './spans.ts'

/** The audit as the one JSON object: times as ISO texts, durations in seconds, shares from 0 to 1. */
export function figuresOfAudit(audit: Audit): object {
  const { asked, covered, availability, syncs, rpo, rto, tiers, targets, incidents, notes } = audit
  return {
    period: span(asked),
    covered: lengthOf([covered]) === 0 ? null : span(covered),
    targets: Object.fromEntries(
      targets.map(({ name, verdict, target, measured }) => {
        const isShare = name === 'availability'
        return [
          name,
          isShare
            ? { verdict, target, measured }
            : { verdict, target_seconds: target / 1000, measured_seconds: seconds(measured) },
        ]
      }),
    ),
    availability: {
      ratio: availability.ratio,
      judged_seconds: availability.judgedMs / 1000,
      unknown_seconds: availability.unknownMs / 1000,
      down_seconds: lengthOf(availability.down) / 1000,
      stale_seconds: lengthOf(availability.stale) / 1000,
      damaged_seconds: lengthOf(availability.damaged) / 1000,
      error_budget_seconds: Math.round(availability.budgetMs) / 1000,
      error_budget_left_seconds: Math.round(availability.budgetLeftMs) / 1000,
    },
    sync_days: {
      judged: syncs.judgedDays,
      complete: syncs.completeDays,
      days: syncs.days.map(({ due, state }) => ({ due: iso(due), state })),
    },
    sync_duration: {
      count: syncs.runs.length,
      p50_seconds: seconds(syncs.p50),
      p99_seconds: seconds(syncs.p99),
      max_seconds: seconds(syncs.max),
    },
    freshness: { sync_age: ages(availability.syncAges), candle_age: ages(availability.candleAges) },
    rpo: {
      ...ages(rpo.ages),
      above_target_seconds: lengthOf(rpo.above) / 1000,
      above_target_ratio: lengthOf(rpo.ages) === 0 ? null : lengthOf(rpo.above) / lengthOf(rpo.ages),
      without_backup_seconds: lengthOf(rpo.bare) / 1000,
    },
    recoveries: rto.recoveries.map(({ id, startedAt, tookMs, finished, damage, base, ...loss }) => ({
      id,
      started_at: iso(startedAt),
      rto_seconds: tookMs / 1000,
      finished,
      damage,
      base,
      newest_backup_age_seconds: seconds(loss.backupAgeMs),
      rpo_seconds: seconds(loss.rpoMs),
      rows_lost: loss.knownLost,
    })),
    drills: rto.drills.map(({ tier, backup, startedAt, tookMs, failure }) => ({
      tier,
      backup,
      started_at: iso(startedAt),
      rto_seconds: tookMs / 1000,
      error: failure,
    })),
    backups: tiers.map(({ tier, tried, succeeded, judgedDays, coveredDays, taken }) => ({
      tier,
      tried,
      succeeded,
      success_ratio: tried === 0 ? null : succeeded / tried,
      judged_days: judgedDays,
      covered_days: coveredDays,
      taken,
    })),
    incidents: incidents.map(({ kind, from, until, lastedMs, costs, what }) => ({
      kind,
      from: iso(from),
      until: until === null ? null : iso(until),
      lasted_seconds: lastedMs / 1000,
      costs,
      what,
    })),
    notes,
  }
}

function ages(pieces: Audit['rpo']['ages']) {
  const { p50, p95, worst } = figuresOf(pieces)
  return { p50_seconds: seconds(p50), p95_seconds: seconds(p95), worst_seconds: seconds(worst) }
}

function span({ from, to }: Span) {
  return { from: iso(from), to: iso(to) }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000
}

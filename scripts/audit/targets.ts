import { figuresOf } from './ages.ts'
import type { Judged } from './audit.ts'
import type { Rules } from './rules.ts'

export type TargetName = 'availability' | 'rpo' | 'rto' | 'freshness' | 'sync'

/** Unknown: nothing of the time can be judged by it. */
type Verdict = 'met' | 'missed' | 'unknown'

/** A target and what it came to: shares of time for the availability, the worst in milliseconds for the others. */
export type Target = { name: TargetName; verdict: Verdict; target: number; measured: number | null }

export function judgeTargets({ availability, rpo, rto, syncs }: Judged, rules: Rules): Target[] {
  const lost = rto.recoveries.map(({ rpoMs }) => rpoMs ?? 0)
  const late = rto.recoveries.some(({ finished }) => !finished) || rto.hopeless.length > 0
  const fresh = worstFreshness(availability, rules)
  return [
    {
      name: 'availability',
      // to the millisecond: the budget is a product of fractions
      verdict: verdict(availability.ratio !== null, availability.budgetLeftMs > -1),
      target: rules.availability,
      measured: availability.ratio,
    },
    {
      name: 'rpo',
      verdict: verdict(rpo.worst !== null, rpo.above.length === 0 && lost.every(ms => ms <= rules.rpoMs)),
      target: rules.rpoMs,
      measured: rpo.worst === null ? null : Math.max(rpo.worst, ...lost),
    },
    {
      name: 'rto',
      verdict: verdict(rto.worst !== null || late, !late && (rto.worst ?? 0) <= rules.rtoMs),
      target: rules.rtoMs,
      measured: rto.worst,
    },
    {
      name: 'freshness',
      verdict: verdict(fresh !== undefined, availability.stale.length === 0),
      target: fresh?.limit ?? rules.fresh.syncMs,
      measured: fresh?.worst ?? null,
    },
    {
      name: 'sync',
      verdict: verdict(syncs.max !== null || syncs.slow.length > 0, syncs.slow.length === 0),
      target: rules.syncMs,
      measured: syncs.max,
    },
  ]
}

function verdict(known: boolean, met: boolean): Verdict {
  return known ? (met ? 'met' : 'missed') : 'unknown'
}

/** Of the last sync's age and the newest candle's, the one that came closer to its limit. */
function worstFreshness({ syncAges, candleAges }: Judged['availability'], { fresh }: Rules) {
  const found = [
    { worst: figuresOf(syncAges).worst, limit: fresh.syncMs },
    { worst: figuresOf(candleAges).worst, limit: fresh.candleMs },
  ].flatMap(({ worst, limit }) => (worst === null ? [] : [{ worst, limit }]))
  // of a time without a sync nothing is known, whatever candles there are
  if (syncAges.length === 0) return undefined
  return found.sort((a, b) => b.worst / b.limit - a.worst / a.limit)[0]
}

import type { ChalkInstance } from 'chalk'
import type { Condition } from '../job/alerting.ts'
import type { TierName } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { count, formatBytes, some } from '../job/words.ts'
import type { Verified } from './verify.ts'

const marks: Record<Verified['result'], string> = { proven: '✅', read: '✅', bad: '❌', unknown: '❓' }

/** What reading backups again came to. `whole`: all of these tiers were read. */
export function reportVerified(
  verified: Verified[],
  troubles: { tier: TierName; message: string }[],
  { colour, elapsedMs, whole }: { colour: ChalkInstance; elapsedMs: number; whole: readonly TierName[] },
): Outcome {
  const bad = verified.filter(({ result }) => result === 'bad')
  const unknown = verified.filter(({ result }) => result === 'unknown').length + troubles.length
  const good = verified.length - bad.length - (unknown - troubles.length)
  const outcome = bad.length > 0 ? 'failed' : unknown > 0 ? 'partly' : 'done'
  const paint = { done: colour.green, partly: colour.yellow, failed: colour.red }[outcome]
  const summary = [
    `${good}/${verified.length} backups are as they were stored`,
    ...(bad.length === 0 ? [] : [`${bad.length} damaged`]),
    ...(unknown === 0 ? [] : [`${unknown} could not be read`]),
    formatBytes(verified.reduce((sum, { bytes }) => sum + bytes, 0)),
    formatDuration(elapsedMs),
  ].join(' · ')
  return {
    outcome,
    report: [
      ...verified.map(({ tier, id, result, why }) => {
        const words = { proven: 'proven', read: 'as it was stored', bad: 'DAMAGED', unknown: 'not read' }[
          result
        ]
        return `${tier.padEnd(5)} ${marks[result]} ${id}  ${words}${why === '' ? '' : `: ${why}`}`
      }),
      ...troubles.map(({ tier, message }) => `${tier.padEnd(5)} ❓ ${message}`),
      paint(`${{ done: '✅', partly: '⚠️ ', failed: '❌' }[outcome]} ${summary}`),
    ],
    summary,
    figures: { task: 'verify', verified, errors: troubles },
    conditions: conditionsOfProof(bad, whole),
    toldByConditions: true,
  }
}

/** Only who has read all of a tier can say that it is well. */
function conditionsOfProof(bad: Verified[], whole: readonly TierName[]): Condition[] {
  const byTier = Map.groupBy(bad, ({ tier }) => tier)
  const tiers = new Set([...byTier.keys(), ...whole])
  return [...tiers].map(tier => {
    const damaged = byTier.get(tier) ?? []
    return {
      key: `backup:${tier}:proof`,
      severity: damaged.length === 0 ? 'ok' : 'critical',
      title:
        damaged.length === 0
          ? `all backups of the ${tier} tier are proven`
          : `the ${tier} tier has ${count(damaged.length, 'damaged backup')}: ${some(
              damaged.map(({ id }) => id),
              2,
            )}`,
      details: damaged.map(({ id, why }) => `${id}: ${why}`),
    }
  })
}

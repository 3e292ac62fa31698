import type { ChalkInstance } from 'chalk'
import type { Condition } from '../job/alerting.ts'
import type { TierName } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { count, formatBytes, some } from '../job/words.ts'
import type { Verification, Verified } from './verify.ts'

const looks: Record<Verified['result'], { mark: string; words: string }> = {
  proven: { mark: '✅', words: 'proven' },
  read: { mark: '✅', words: 'as it was stored' },
  bad: { mark: '❌', words: 'DAMAGED' },
  unknown: { mark: '❓', words: 'not read' },
  archived: { mark: '❓', words: 'not read' },
}

/** What reading backups again came to. `whole`: all of these tiers were read. */
export function reportVerified(
  verified: Verified[],
  troubles: Verification['troubles'],
  { colour, elapsedMs, whole }: { colour: ChalkInstance; elapsedMs: number; whole: readonly TierName[] },
): Outcome {
  const bad = verified.filter(({ result }) => result === 'bad')
  const good = verified.filter(({ result }) => result === 'proven' || result === 'read')
  const unread = verified.length - bad.length - good.length
  const outcome = outcomeOf({
    bad: bad.length,
    good: good.length,
    unknown: unread + troubles.length,
  })
  const paint = { done: colour.green, partly: colour.yellow, failed: colour.red }[outcome]
  const summary = [
    verified.length === 0
      ? 'there is no backup to prove'
      : `${good.length}/${verified.length} backups are as they were stored`,
    ...(bad.length === 0 ? [] : [`${bad.length} damaged`]),
    ...(unread === 0 ? [] : [`${unread} could not be read`]),
    ...(troubles.length === 0 ? [] : [`${count(troubles.length, 'tier')} could not be looked at`]),
    formatBytes(verified.reduce((sum, { bytes }) => sum + bytes, 0)),
    formatDuration(elapsedMs),
  ].join(' · ')
  return {
    outcome,
    report: [
      ...verified.map(({ tier, id, result, why }) => {
        const { mark, words } = looks[result]
        return `${tier.padEnd(5)} ${mark} ${id}  ${words}${why === '' ? '' : `: ${why}`}`
      }),
      ...troubles.map(({ tier, message }) => `${tier.padEnd(5)} ❓ ${message}`),
      paint(`${{ done: '✅', partly: '⚠️ ', failed: '❌' }[outcome]} ${summary}`),
    ],
    summary,
    figures: { task: 'verify', verified, errors: troubles },
    conditions: conditionsOfProof(verified, troubles, whole),
    toldByConditions: true,
  }
}

/** Where nothing was read at all, nothing is known: that is no success, and where there is nothing to read neither. */
function outcomeOf({ bad, good, unknown }: { bad: number; good: number; unknown: number }) {
  if (bad > 0) return 'failed'
  if (good > 0) return unknown > 0 ? 'partly' : 'done'
  return unknown > 0 ? 'failed' : 'partly'
}

/** Only who has read all of a tier can say that it is well. */
function conditionsOfProof(
  verified: Verified[],
  troubles: Verification['troubles'],
  whole: readonly TierName[],
): Condition[] {
  const tiers = new Set([...verified.map(({ tier }) => tier), ...whole])
  return [...tiers].flatMap((tier): Condition[] => {
    const key = `backup:${tier}:proof`
    const of = (...results: Verified['result'][]) =>
      verified.filter(found => found.tier === tier && results.includes(found.result))
    const bad = of('bad')
    if (bad.length > 0) {
      const names = some(
        bad.map(({ id }) => id),
        2,
      )
      const title = `the ${tier} tier has ${count(bad.length, 'damaged backup')}: ${names}`
      return [{ key, severity: 'critical', title, details: bad.map(({ id, why }) => `${id}: ${why}`) }]
    }
    const unread = [
      ...troubles.filter(trouble => trouble.tier === tier).map(({ message }) => message),
      ...of('unknown').map(({ id, why }) => `${id}: ${why}`),
    ]
    if (unread.length > 0) {
      const title = `backups of the ${tier} tier could not be read again`
      return [{ key, severity: 'warning', title, details: unread, unsure: true }]
    }
    if (!whole.includes(tier) || of('archived').length > 0) return []
    return [{ key, severity: 'ok', title: `no backup of the ${tier} tier is damaged`, details: [] }]
  })
}

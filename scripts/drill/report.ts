import type { ChalkInstance } from 'chalk'
import type { Condition } from '../job/alerting.ts'
import type { TierName } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { count, formatBytes } from '../job/words.ts'
import type { Comparison } from './compare.ts'
import type { Drill } from './drill.ts'
import type { Live } from './live.ts'

type Look = { colour: ChalkInstance; elapsedMs: number; live: Live | undefined }

/** How a drill went: a line a backup, and one that sums them up. */
export function reportDrills(tiers: readonly TierName[], drills: Drill[], look: Look): Outcome {
  const { colour, elapsedMs, live } = look
  const verdicts = tiers.map(tier => ({ tier, drills: drills.filter(drill => drill.tier === tier) }))
  const failed = verdicts.filter(verdict => verdict.drills.some(isFailed))
  const well = verdicts.filter(isWell)
  const outcome = well.length === 0 ? 'failed' : failed.length > 0 ? 'partly' : 'done'
  const paint = { done: colour.green, partly: colour.yellow, failed: colour.red }[outcome]
  const mark = { done: '✅', partly: '⚠️ ', failed: '❌' }[outcome]
  const proven = drills.filter(({ result }) => result === 'proven')
  const untried = tiers.length - well.length - failed.length
  const summary = [
    `${well.length}/${tiers.length} tiers restore`,
    ...(failed.length === 0 ? [] : [`failed: ${failed.map(({ tier }) => tier).join(', ')}`]),
    ...(untried === 0 ? [] : [`${untried} not tried`]),
    `${count(proven.length, 'backup')} proven`,
    formatBytes(proven.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0)),
    formatDuration(elapsedMs),
  ].join(' · ')
  const notCompared = live !== undefined && 'why' in live ? live.why : undefined
  return {
    outcome,
    report: [
      ...drills.flatMap(describe),
      ...(notCompared === undefined ? [] : [`–  not compared with the live database: ${notCompared}`]),
      paint(`${mark} ${summary}`),
    ],
    summary,
    figures: {
      drills: drills.map(figuresOf),
      live: live === undefined ? null : 'why' in live ? { error: live.why } : { error: null },
    },
    conditions: verdicts.flatMap(verdict => conditionOf(verdict, well.length > 0)),
    toldByConditions: true,
  }
}

type Verdict = { tier: TierName; drills: Drill[] }

function isFailed({ result }: Drill): boolean {
  return result === 'bad' || result === 'failed'
}

function isWell({ drills }: Verdict): boolean {
  return drills.some(({ result }) => result === 'proven') && !drills.some(isFailed)
}

function describe({
  tier,
  id,
  result,
  why,
  hint,
  startedAt,
  finishedAt,
  ageMs,
  comparison,
}: Drill): string[] {
  const name = `${tier.padEnd(5)} ${id === null ? '' : `${id} `}`
  if (result === 'archived') return [`–  ${name}is archived: not brought back for a drill`]
  if (result === 'proven') {
    const age = formatDuration(ageMs ?? 0)
    const took = formatDuration(finishedAt - startedAt)
    return [`✅ ${name}restored and proven in ${took}; ${age} old${describeLoss(comparison)}`]
  }
  const what = result === 'bad' ? `is DAMAGED: ${why}` : id === null ? why : `was not restored: ${why}`
  return [`❌ ${name}${what}`, ...(hint === undefined ? [] : [`   → ${hint}`])]
}

/** What a recovery from it would have lost. */
function describeLoss(comparison: Comparison | undefined): string {
  if (comparison === undefined) return ''
  const { behindRows, goneRows, behindCandlesMs } = comparison
  const parts = [
    behindRows === 0
      ? 'the live database has no rows more'
      : `the live database has ${count(behindRows, 'row')} more`,
    ...(behindCandlesMs === 0 ? [] : [`candles ${formatDuration(behindCandlesMs)} newer`]),
    ...(goneRows === 0 ? [] : [`${count(goneRows, 'row')} fewer`]),
  ]
  return `, ${parts.join(', ')}`
}

function figuresOf(drill: Drill): object {
  const { tier, id, result, why, startedAt, finishedAt, bytes, ageMs, comparison } = drill
  return {
    tier,
    id,
    result,
    error: why === '' ? null : why,
    seconds: (finishedAt - startedAt) / 1000,
    bytes,
    age_seconds: ageMs === null ? null : ageMs / 1000,
    behind_rows: comparison?.behindRows ?? null,
    gone_rows: comparison?.goneRows ?? null,
    tables: comparison?.tables ?? null,
    candles: comparison?.candles ?? null,
  }
}

/** Of a tier of which nothing was tried, nothing can be said. */
function conditionOf({ tier, drills }: Verdict, someWell: boolean): Condition[] {
  const key = `drill:${tier}`
  const failed = drills.filter(isFailed)
  if (failed.length === 0) {
    if (!isWell({ tier, drills })) return []
    return [{ key, severity: 'ok', title: `the ${tier} tier can be restored from again`, details: [] }]
  }
  const bad = failed.filter(({ result }) => result === 'bad')
  const restores = drills.some(({ result }) => result === 'proven')
  const title =
    bad.length > 0
      ? `the ${tier} tier has ${count(bad.length, 'damaged backup')}, as a restore drill found`
      : `the ${tier} tier could not be restored from: ${failed[0]?.why}`
  const details = [
    ...failed.flatMap(({ id, why, hint }) => [
      `${id ?? tier}: ${why}`,
      ...(hint === undefined ? [] : [`→ ${hint}`]),
    ]),
    ...(restores ? ['an earlier backup of this tier was restored and proven'] : []),
  ]
  const severity = bad.length > 0 || !someWell ? 'critical' : 'warning'
  // what could not be restored says nothing of damage that was found before
  return [{ key, severity, title, details, unsure: bad.length === 0 }]
}

import type { ChalkInstance } from 'chalk'
import type { Condition, Severity } from '../job/alerting.ts'
import type { Config } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { command, count, formatBytes, quote, some } from '../job/words.ts'
import type { BackupFacts } from './manifest.ts'
import type { BackupResult, NoUsableTier, TierResult } from './run.ts'

type Look = { colour: ChalkInstance; elapsedMs: number }

/** How a backup went: a line a tier, and one that sums them up. */
export function reportBackup(result: BackupResult, { colour, elapsedMs }: Look): Outcome {
  const { facts, unchanged, heldMs, tiers } = result
  const failed = tiers.filter(({ trouble }) => trouble !== undefined)
  const well = tiers.length - failed.length
  const outcome = failed.length === 0 ? 'done' : well > 0 ? 'partly' : 'failed'
  const what = unchanged
    ? `unchanged since ${facts.id}`
    : `${facts.id} · ${formatBytes(facts.database.bytes)}, ${describeRows(facts)}`
  const mark = { done: '✅', partly: '⚠️ ', failed: '❌' }[outcome]
  const paint = { done: colour.green, partly: colour.yellow, failed: colour.red }[outcome]
  const held = heldMs === undefined ? [] : [`writers waited ${formatDuration(heldMs)} at most`]
  const summary = [`${well}/${tiers.length} tiers`, what, ...held, formatDuration(elapsedMs)].join(' · ')
  return {
    outcome,
    report: [...tiers.flatMap(entry => describeTier(entry, result, colour)), paint(`${mark} ${summary}`)],
    summary,
    figures: {
      task: 'backup',
      id: facts.id,
      unchanged,
      bytes: facts.database.bytes,
      taken_at: facts.taken_at,
      writers_waited_ms: heldMs === undefined ? null : Math.round(heldMs),
      tiers: tiers.map(({ tier, stored, pruned, trouble }) => ({
        tier: tier.name,
        where: tier.where,
        stored: stored.map(({ id, stored: { bytes } }) => ({ id, bytes })),
        pruned,
        error: trouble?.message ?? null,
      })),
    },
    conditions: conditionsOf(result),
    toldByConditions: true,
  }
}

function describeRows({ database }: BackupFacts): string {
  const rows = database.tables.reduce((sum, table) => sum + table.rows, 0)
  const newest = database.candles
    .flatMap(candle => candle.newest ?? [])
    .toSorted()
    .at(-1)
  const candle = newest === undefined ? '' : `, newest candle ${newest.slice(0, 16).replace('T', ' ')} UTC`
  return `${count(rows, 'row')} in ${count(database.tables.length, 'table')}${candle}`
}

function describeTier(
  { tier, stored, pruned, trouble, listing }: TierResult,
  { facts, unchanged }: BackupResult,
  colour: ChalkInstance,
): string[] {
  const name = tier.name.padEnd(5)
  const missed = stored.filter(({ id }) => id !== facts.id)
  const own = stored.find(({ id }) => id === facts.id)
  const parts = [
    ...(own === undefined ? [] : [formatBytes(own.stored.bytes), 'proven']),
    ...(own === undefined && unchanged && trouble === undefined ? ['has it'] : []),
    ...(missed.length === 0
      ? []
      : [
          `caught up with ${some(
            missed.map(({ id }) => id),
            2,
          )}`,
        ]),
    ...(pruned.length === 0 ? [] : [`${count(pruned.length, 'old one')} removed`]),
  ]
  const damaged = listing.broken.map(({ name: file, why }) => {
    return `${' '.repeat(8)}${colour.yellow(`${file}: ${why}`)}`
  })
  if (trouble === undefined) return [`${name} ✅ ${tier.where} · ${parts.join(' · ')}`, ...damaged]
  return [
    `${name} ❌ ${colour.red(trouble.message)}`,
    ...(trouble.hint === undefined ? [] : [`${' '.repeat(8)}→ ${trouble.hint}`]),
    ...(parts.length === 0 ? [] : [`${' '.repeat(8)}${parts.join(' · ')}`]),
    ...damaged,
  ]
}

/** About the database, about each tier, and about the copies on it that are not what they were. */
function conditionsOf({ facts, tiers }: BackupResult): Condition[] {
  const allFailed = tiers.every(({ trouble }) => trouble !== undefined)
  return [
    { key: 'backup:source', severity: 'ok', title: 'the database can be backed up again', details: [] },
    ...tiers.flatMap(entry => [
      conditionOfTier(entry, facts.id, allFailed ? 'critical' : 'warning'),
      ...conditionsOfBroken(entry),
    ]),
  ]
}

function conditionOfTier(
  { tier, stored, listing, trouble }: TierResult,
  id: string,
  severity: Severity,
): Condition {
  const key = `backup:${tier.name}`
  if (trouble === undefined)
    return { key, severity: 'ok', title: `the ${tier.name} tier has its backup again`, details: [] }
  // what it had missed, or the removal of old ones, can still fail
  const hasIt = [...stored, ...listing.backups].some(found => found.id === id)
  const title = hasIt
    ? `the ${tier.name} tier has its backup, but ${trouble.message}`
    : `the ${tier.name} tier has got no backup: ${trouble.message}`
  return { key, severity, title, details: trouble.hint === undefined ? [] : [`→ ${trouble.hint}`] }
}

/** Nothing can be said of a tier that could not be looked at. */
function conditionsOfBroken({ tier, listing, trouble }: TierResult): Condition[] {
  const { broken } = listing
  if (broken.length === 0 && trouble !== undefined) return []
  const title =
    broken.length === 0
      ? `the ${tier.name} tier has only whole backups again`
      : `the ${tier.name} tier has ${count(broken.length, 'damaged backup')}`
  return [
    {
      key: `backup:${tier.name}:broken`,
      severity: broken.length === 0 ? 'ok' : 'warning',
      title,
      details: broken.map(({ name, why }) => `${name}: ${why}`),
    },
  ]
}

/** No tier could be used. */
export function reportNoTier({ message, hint, tiers }: NoUsableTier): Outcome {
  return {
    outcome: 'failed',
    report: [`❌ ${message}`, ...(hint === undefined ? [] : [`   ${hint}`])],
    summary: message,
    figures: { task: 'backup', error: message, ...(hint === undefined ? {} : { hint }) },
    conditions: tiers.map(entry => conditionOfTier(entry, '', 'critical')),
    toldByConditions: true,
  }
}

/** No backup of a damaged database: it must not push out a good one. */
export function reportDamaged(
  reason: string,
  { newest, config }: { newest: string | undefined; config: Pick<Config, 'file' | 'isDefault'> },
): Outcome {
  // SQLite says some things in several lines
  const why = reason.replaceAll(/\s*\n\s*/g, ' ')
  const kept =
    newest === undefined
      ? 'there is no earlier backup'
      : `all earlier backups are kept, the newest is ${newest}`
  const advice = command('db_recovery', ...(config.isDefault ? [] : ['--config', quote(config.file)]))
  return {
    outcome: 'failed',
    report: [`❌ no backup was taken: ${why}`, `   ${kept}`, `   → ${advice}`],
    summary: `no backup was taken: ${why}; ${kept}`,
    figures: { task: 'backup', damaged: true, error: why },
    conditions: [
      {
        key: 'backup:source',
        severity: 'critical',
        title: `no backup was taken: ${why}`,
        details: [kept, `→ ${advice}`],
      },
    ],
    toldByConditions: true,
  }
}

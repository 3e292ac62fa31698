import type { ChalkInstance } from 'chalk'
import type { Outcome } from '../job/ending.ts'
import { formatDuration } from '../job/time.ts'
import { count, formatBytes } from '../job/words.ts'
import type { Looked } from './look.ts'
import type { Manifest } from './manifest.ts'
import type { BackupRecord } from './records.ts'
import type { Verdict } from './retention.ts'
import type { Step } from './s3_self_test.ts'

/** What `--dry-run` says: where a new backup would go, what would be removed and why. */
export function reportPlan(looked: Looked[], colour: ChalkInstance): Outcome {
  const usable = looked.filter(({ trouble }) => trouble === undefined)
  const removed = usable.flatMap(({ verdicts }) => verdicts.filter(({ prune }) => prune))
  const names = usable.map(({ tier }) => tier.name).join(', ')
  const lost = looked.filter(({ trouble }) => trouble !== undefined).map(({ tier }) => tier.name)
  const summary = [
    usable.length === 0
      ? 'no backup could be taken'
      : `a backup to ${names} would be taken; ${count(removed.length, 'old one')} would be removed`,
    ...(lost.length === 0 ? [] : [`${lost.join(', ')} cannot be used`]),
  ].join('; ')
  return {
    outcome: outcomeOf(looked),
    report: [
      ...looked.flatMap(({ tier, verdicts, trouble }) => [
        `${tier.name} · ${tier.where}`,
        ...(trouble === undefined ? verdicts.map(describeVerdict) : [`  ${colour.red(trouble)}`]),
      ]),
      summary,
    ],
    summary,
    figures: {
      tiers: looked.map(({ tier, verdicts, trouble }) => {
        return { tier: tier.name, where: tier.where, verdicts, error: trouble ?? null }
      }),
    },
  }
}

/** As of a backup: some tiers that cannot be looked at, or all of them. */
function outcomeOf(looked: Looked[]): Outcome['outcome'] {
  const unreadable = looked.filter(({ trouble }) => trouble !== undefined)
  if (unreadable.length === 0) return 'done'
  return unreadable.length < looked.length ? 'partly' : 'failed'
}

function describeVerdict({ id, prune, why }: Verdict): string {
  return `  ${prune ? 'remove' : 'keep  '} ${id}  ${why}`
}

/** Every backup on every tier, newest first, with totals. */
export function reportList(listed: Looked[], now: number, colour: ChalkInstance): Outcome {
  const total = listed.flatMap(({ backups }) => backups)
  const bytes = sizeOf(total)
  const unreadable = listed.filter(({ trouble }) => trouble !== undefined)
  const damaged = listed.flatMap(({ broken, backups, records }) => [
    ...broken,
    ...backups.filter(manifest => recordOf(manifest, records).failure !== null),
  ])
  const readable = listed.length - unreadable.length
  const summary = [
    `${count(total.length, 'backup')} on ${count(readable, 'tier')}, ${formatBytes(bytes)}`,
    ...(damaged.length === 0 ? [] : [colour.red(`${damaged.length} damaged`)]),
    ...(unreadable.length === 0
      ? []
      : [colour.red(`${count(unreadable.length, 'tier')} could not be looked at`)]),
  ].join(' · ')
  return {
    outcome: outcomeOf(listed),
    report: [...listed.flatMap(entry => listTier(entry, now, colour)), summary],
    summary,
    figures: {
      bytes,
      backups: listed.flatMap(({ tier, backups, records }) =>
        backups.map(manifest => {
          const { provenAt, failure } = recordOf(manifest, records)
          return {
            tier: tier.name,
            id: manifest.id,
            taken_at: manifest.taken_at,
            where: tier.where,
            bytes: manifest.stored.bytes,
            proven_at: new Date(provenAt).toISOString(),
            failure,
          }
        }),
      ),
      broken: listed.flatMap(({ tier, broken }) => broken.map(entry => ({ tier: tier.name, ...entry }))),
      errors: unreadable.map(({ tier, trouble }) => ({ tier: tier.name, error: trouble })),
    },
  }
}

function listTier(
  { tier, backups, broken, strange = [], records, trouble }: Looked,
  now: number,
  colour: ChalkInstance,
): string[] {
  const heading = `${tier.name} · ${tier.where}`
  if (trouble !== undefined) return [heading, `  ${colour.red(trouble)}`]
  const lines = backups.map(manifest => {
    const { provenAt, failure } = recordOf(manifest, records)
    const age = formatDuration(Math.max(0, now - Date.parse(manifest.taken_at)))
    const proof =
      failure === null
        ? `proven ${formatDuration(Math.max(0, now - provenAt))} ago`
        : colour.red(`damaged: ${failure}`)
    return `  ${manifest.id}  ${`${age} old`.padStart(15)}  ${formatBytes(manifest.stored.bytes).padStart(9)}  ${proof}`
  })
  return [
    `${heading} · ${count(backups.length, 'backup')}, ${formatBytes(sizeOf(backups))}`,
    ...lines,
    ...broken.map(({ name, why }) => `  ${colour.red(`${name}: ${why}`)}`),
    ...strange.map(name => `  ${name}: it has no manifest: it was never proven, or not by us`),
  ]
}

function recordOf({ id, proven_at }: Manifest, records: Map<string, BackupRecord>) {
  const record = records.get(id)
  return { provenAt: record?.provenAt ?? Date.parse(proven_at), failure: record?.failure ?? null }
}

function sizeOf(backups: Manifest[]): number {
  return backups.reduce((sum, { stored }) => sum + stored.bytes, 0)
}

/** A document to be given to AWS, as it is: on standard output alone it can be sent on. */
export function reportDocument(name: string, document: object): Outcome {
  return {
    outcome: 'done',
    report: [JSON.stringify(document, null, 2)],
    summary: `the ${name} was printed`,
    figures: { [name]: document },
  }
}

/** What the S3 service can do, a line for each thing. */
export function reportSelfTest(steps: Step[], colour: ChalkInstance): Outcome {
  const failed = steps.filter(({ ok }) => !ok)
  const summary =
    failed.length === 0
      ? 'the S3 service does all that is asked of it'
      : `${failed.length} of ${steps.length} failed`
  return {
    outcome: failed.length === 0 ? 'done' : 'failed',
    report: [
      ...steps.map(
        ({ step, ok, line }) => `${ok ? '✅' : '❌'} ${step.padEnd(20)} ${ok ? line : colour.red(line)}`,
      ),
      failed.length === 0 ? colour.green(`✅ ${summary}`) : colour.red(`❌ ${summary}`),
    ],
    summary,
    figures: { steps },
  }
}

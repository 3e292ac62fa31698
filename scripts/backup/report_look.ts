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
export function reportPlan(looked: Looked[]): Outcome {
  const usable = looked.filter(({ trouble }) => trouble === undefined)
  const removed = usable.flatMap(({ verdicts }) => verdicts.filter(({ prune }) => prune))
  const names = looked.map(({ tier }) => tier.name).join(', ')
  const summary = `a backup to ${names} would be taken; ${count(removed.length, 'old one')} would be removed`
  return {
    outcome: 'done',
    report: [
      ...looked.flatMap(({ tier, verdicts, trouble }) => [
        `${tier.name} · ${tier.where}`,
        ...(trouble === undefined ? verdicts.map(describeVerdict) : [`  ${trouble}`]),
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

function describeVerdict({ id, prune, why }: Verdict): string {
  return `  ${prune ? 'remove' : 'keep  '} ${id}  ${why}`
}

/** Every backup on every tier, newest first, with totals. */
export function reportList(listed: Looked[], now: number, colour: ChalkInstance): Outcome {
  const total = listed.flatMap(({ backups }) => backups)
  const bytes = sizeOf(total)
  const unreadable = listed.filter(({ trouble }) => trouble !== undefined)
  const summary = `${count(total.length, 'backup')} on ${count(listed.length, 'tier')}, ${formatBytes(bytes)}`
  return {
    outcome: unreadable.length === 0 ? 'done' : unreadable.length < listed.length ? 'partly' : 'failed',
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

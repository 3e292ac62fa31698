import type { ChalkInstance } from 'chalk'
import type { BrokenSeal } from '../candles/inspect.ts'
import type { Resync } from '../candles/resync.ts'
import type { Outcome } from '../job/ending.ts'
import { exitStatus } from '../job/exit_status.ts'
import { command, count, formatBytes } from '../job/words.ts'
import type { Candidate } from './choose.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type FileHolder, nameHolders } from './holders.ts'
import { describeResync, figuresOf } from './report_lines.ts'

type Look = { database: string; colour: ChalkInstance }

/** What a database suffers from: exit status 0 sound, 1 damaged. */
export function reportCheck(diagnosis: Diagnosis, { database, colour }: Look): Outcome {
  const sound = diagnosis.verdict === 'sound'
  const summary = sound ? `${database} is sound` : `${database} is damaged (${diagnosis.damage})`
  return {
    outcome: sound ? 'done' : 'failed',
    exitStatus: sound ? exitStatus.done : exitStatus.failed,
    report: [
      ...diagnosis.findings.map(line => `   ${line}`),
      sound ? colour.green(`✅ ${summary}`) : colour.red(`❌ ${summary}`),
      ...(sound ? [] : [`   → ${command('db_recovery')}`]),
    ],
    summary,
    figures: { task: 'check', diagnosis: figuresOf(diagnosis) },
  }
}

/** There is nothing to recover. */
export function reportSound(diagnosis: Diagnosis, { database, colour }: Look): Outcome {
  const summary = `${database} is sound: nothing has been changed`
  return {
    outcome: 'done',
    report: [...diagnosis.findings.map(line => `   ${line}`), colour.green(`✅ ${summary}`)],
    summary,
    figures: { task: 'recover', diagnosis: figuresOf(diagnosis), recovery: null },
  }
}

export type Plan = {
  diagnosis: Diagnosis
  order: readonly Candidate[]
  holders: readonly FileHolder[]
  blind: boolean
}

const cures = {
  none: 'nothing has to be done',
  resync: 'the candles of those months are fetched again; nothing is replaced',
  itself: 'a private copy of the database itself is mended; where that does not help, a backup is restored',
  restore:
    'the newest good backup is restored, and what can still be read of the damaged database is brought over',
}

const shownCandidates = 5

/** What a recovery would do. */
export function reportPlan({ diagnosis, order, holders, blind }: Plan, { database, colour }: Look): Outcome {
  const { verdict, damage, cure, findings } = diagnosis
  const state =
    verdict === 'sound'
      ? colour.green(`✅ ${database} is sound`)
      : colour.red(`❌ ${database} is damaged (${damage})`)
  const more = order.length - shownCandidates
  return {
    outcome: 'done',
    report: [
      state,
      ...findings.map(line => `   ${line}`),
      `cure      ${cures[cure]}`,
      ...order.slice(0, shownCandidates).map(({ tier, manifest }, i) => {
        const { id, database: copy } = manifest
        return (i === 0 ? 'backups' : '').padEnd(10) + `${tier.padEnd(5)} ${id} · ${formatBytes(copy.bytes)}`
      }),
      ...(more > 0 ? [`${' '.repeat(10)}and ${more} more`] : []),
      ...(order.length === 0 ? [`backups   ${colour.red('none')}`] : []),
      holders.length === 0
        ? `writers   none${blind ? ' that this user can see' : ''}`
        : colour.yellow(`writers   ${nameHolders(holders)}: to be stopped first`),
    ],
    summary: verdict === 'sound' ? 'sound' : `damaged (${damage})`,
    figures: {
      task: 'dry-run',
      diagnosis: figuresOf(diagnosis),
      candidates: order.map(({ tier, manifest }) => ({
        tier,
        id: manifest.id,
        taken_at: manifest.taken_at,
        bytes: manifest.database.bytes,
      })),
      holders,
      blind,
    },
  }
}

/** Candles were fetched again, and nothing was replaced. */
export function reportResynced(
  diagnosis: Diagnosis,
  resync: Resync,
  still: readonly BrokenSeal[],
  colour: ChalkInstance,
): Outcome {
  const well = resync.error === null && still.length === 0
  const summary = well
    ? `candles are what was stored again: ${describeResync(resync)}`
    : `candles are not what was stored: ${resync.error ?? `${count(still.length, 'seal')} still broken`}`
  return {
    outcome: well ? 'done' : 'partly',
    report: [
      ...diagnosis.findings.map(line => `   ${line}`),
      well ? colour.green(`✅ ${summary}`) : colour.yellow(`⚠️  ${summary}`),
    ],
    summary,
    figures: {
      task: 'recover',
      diagnosis: figuresOf(diagnosis),
      recovery: null,
      resync,
      still_broken: still,
    },
  }
}

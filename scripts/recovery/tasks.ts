import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import type { ChalkInstance } from 'chalk'
import type { BackupResult } from '../backup/run.ts'
import type { BrokenSeal } from '../candles/inspect.ts'
import type { Resync } from '../candles/resync.ts'
import type { Outcome } from '../job/ending.ts'
import { messageOf, UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import { command } from '../job/words.ts'
import { CaseFile } from './case_file.ts'
import { candidates, type Offer } from './choose.ts'
import { type Diagnosis, DoubtfulDiagnosis } from './diagnosis.ts'
import { examineDatabase } from './examine.ts'
import { holdersOf } from './holders.ts'
import type { RecoveryRecords } from './records.ts'
import { isStale, recover } from './recover.ts'
import { reportRecovery } from './report.ts'
import { writeReports } from './report_files.ts'
import { reportCheck, reportPlan, reportResynced, reportSound } from './report_look.ts'
import { offersOf } from './restore.ts'
import { sideSuffixes } from './specimen.ts'
import type { RecoveryTools } from './tools.ts'
import type { RecoveryTask, Wishes } from './wishes.ts'

/** What the last of the six health checks said, or why it could not be asked. */
export type HealthVerdict = { status: string; summary: string }

/** What a task is given; the last three come from other capabilities. */
export type RecoveryTaskTools = RecoveryTools & {
  wishes: Wishes
  colour: ChalkInstance
  recovered: RecoveryRecords
  /** A backup to all tiers. */
  backUp: () => Promise<BackupResult>
  /** Fetches the candles that lack, and those of months that are `broken`. */
  resync: (broken: () => Promise<BrokenSeal[]>) => Promise<Resync>
  health: () => Promise<HealthVerdict>
}

/** What became of the steps after the database was in place. */
export type Aftercare = {
  backup: { id: string | null; troubles: string[] }
  resync: Resync | { error: string }
  /** Months of candles that are still not what was sealed; undefined: that cannot be told. */
  broken: BrokenSeal[] | undefined
  health: HealthVerdict
}

/** What `db_recovery.mts` can do. */
export const tasks: Record<RecoveryTask, (tools: RecoveryTaskTools) => Promise<Outcome>> = {
  async check(tools) {
    return reportCheck(await examine(tools, await offersOf(tools)), tools)
  },

  async 'dry-run'(tools) {
    const offers = await offersOf(tools)
    const diagnosis = await examine(tools, offers)
    const { processes, blind } = holdersOf(['', ...sideSuffixes].map(suffix => tools.database + suffix))
    const order = candidates(offers, tools.wishes.choice, tools.now())
    return reportPlan({ diagnosis, order, holders: processes, blind }, tools)
  },

  async recover(tools) {
    const { database, wishes } = tools
    const offers = await offersOf(tools)
    const unfinished = CaseFile.unfinished(database)
    const goesOn = unfinished !== undefined && isUnderWay(unfinished, database)
    const diagnosis = goesOn ? unfinished.found.diagnosis : await examine(tools, offers)
    // candles that lack are fetched then
    const serves = diagnosis.verdict === 'sound' || diagnosis.damage === 'candles'
    if (unfinished?.found.state === 'replaced' && serves) return await finish(tools, unfinished)
    if (unfinished !== undefined && !goesOn) putAway(unfinished, tools)
    if (diagnosis.verdict === 'sound' && !wishes.force) return reportSound(diagnosis, tools)
    await confirm(tools, diagnosis, offers)
    if (diagnosis.cure === 'resync' && !wishes.force) return await resyncOnly(tools, diagnosis)
    const file = await recover(tools, { diagnosis, offers, choice: wishes.choice, force: wishes.force })
    if (file === undefined) return await resyncOnly(tools, diagnosis)
    return await finish(tools, file)
  },
}

/** What comes after the new database is in its place. */
async function finish(tools: RecoveryTaskTools, file: CaseFile): Promise<Outcome> {
  const { recovered, config, colour, now } = tools
  recovered.note(file.found, file.folder)
  const aftercare = await careFor(tools)
  const outcome = reportRecovery(file, aftercare, { colour, config })
  writeReports(file, aftercare, { config, outcome })
  file.update({ state: 'finished', finished_at: new Date(now()).toISOString() })
  recovered.note(file.found, file.folder)
  return outcome
}

/** Whether a recovery that was killed had begun to put the new database in place, and nobody has come between. */
function isUnderWay(file: CaseFile, database: string): boolean {
  return file.found.state === 'replacing' && file.hasEvidence && !isStale(file, database)
}

/**
 * A recovery that was killed and is not gone on with: the database is another one by now, mended or written to, or
 * damaged once more. What it had kept of the damaged one stays.
 */
function putAway(file: CaseFile, { now, log, say }: RecoveryTaskTools): void {
  log.info(`${file.found.id} was killed and is begun anew`)
  if (!file.hasEvidence) return file.discard()
  say(`⚠️  a recovery was killed; what it has kept of the damaged database is in ${file.damaged}`)
  file.clear(file.specimen, file.restored)
  file.update({ state: 'finished', finished_at: new Date(now()).toISOString() })
}

async function examine(tools: RecoveryTaskTools, offers: readonly Offer[]): Promise<Diagnosis> {
  refuseDanglingLink(tools.config.paths.database)
  const [newest] = candidates(offers, {}, tools.now())
  const expected = newest && { tables: newest.manifest.database.tables.map(({ name }) => name) }
  try {
    return await examineDatabase(tools, expected)
  } catch (error) {
    tools.context.signal.throwIfAborted()
    if (!(error instanceof DoubtfulDiagnosis)) throw error
    throw new UserError(`whether ${tools.database} is sound cannot be told: ${error.message}`, {
      hint: `Nothing has been changed. ${command('db_recovery', '--dry-run')} says who has it open.`,
    })
  }
}

/** A link that leads nowhere leads to a disk that is not mounted: what took its place would hide the true database. */
function refuseDanglingLink(path: string): void {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  if (isLink && !existsSync(path))
    throw new UserError(`${path} is a link to ${readlinkSync(path)}, which is not there`, {
      hint: 'Is the disk mounted that it is on? Nothing has been changed.',
    })
}

/** Candles are not what was stored, and all else is well: they are fetched again, and nothing is replaced. */
async function resyncOnly(tools: RecoveryTaskTools, diagnosis: Diagnosis): Promise<Outcome> {
  const resynced = await tools.resync(() => brokenNow(tools))
  return reportResynced(diagnosis, resynced, await brokenNow(tools), tools.colour)
}

/** What goes wrong here takes nothing back: the database is in its place. */
async function careFor(tools: RecoveryTaskTools): Promise<Aftercare> {
  const { context, log } = tools
  const attempt = async <T>(work: () => Promise<T>, failed: (why: string) => T): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      context.signal.throwIfAborted()
      log.info(`after the recovery: ${messageOf(error)}`, {
        stack: error instanceof Error ? error.stack : '',
      })
      return failed(messageOf(error))
    }
  }
  // first: what came with the last backup is on one disk only, and the next one is an hour away
  const backup = await attempt<Aftercare['backup']>(
    async () => {
      const { facts, tiers } = await tools.backUp()
      const troubles = tiers.flatMap(({ tier, trouble }) =>
        trouble ? [`${tier.name}: ${trouble.message}`] : [],
      )
      return { id: facts.id, troubles }
    },
    why => ({ id: null, troubles: [why] }),
  )
  const resynced: Aftercare['resync'] = await attempt<Aftercare['resync']>(
    () => tools.resync(() => brokenNow(tools)),
    error => ({ error }),
  )
  const broken = await attempt<BrokenSeal[] | undefined>(
    () => brokenNow(tools),
    () => undefined,
  )
  const health = await attempt(tools.health, why => ({ status: 'unknown', summary: why }))
  return { backup, resync: resynced, broken, health }
}

/** Those seals that do not match now. */
async function brokenNow({ mender, database, seals }: RecoveryTools): Promise<BrokenSeal[]> {
  const { findings, trouble } = await mender.ask({ task: 'seals', file: database, seals: seals() })
  if (findings.broken !== undefined) return findings.broken
  const why = trouble && 'damaged' in trouble ? trouble.damaged : trouble?.unknown
  throw new UserError(`whether candles are what was sealed cannot be told: ${why ?? 'nothing was answered'}`)
}

/** Asks the person at the terminal, where `--yes` does not answer. */
async function confirm(
  tools: RecoveryTaskTools,
  diagnosis: Diagnosis,
  offers: readonly Offer[],
): Promise<void> {
  const { wishes, database, say, context } = tools
  if (wishes.yes) return
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new UserError('there is nobody to ask', {
      hint: `${command('db_recovery', '--yes')} does it, ${command('db_recovery', '--dry-run')} says what it would do.`,
      status: exitStatus.usage,
    })
  const { processes, blind } = holdersOf(['', ...sideSuffixes].map(suffix => database + suffix))
  const order = candidates(offers, wishes.choice, tools.now())
  for (const line of reportPlan({ diagnosis, order, holders: processes, blind }, tools).report) say(line)
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await prompt.question('Recover it now? [y/N] ', { signal: context.signal })
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new UserError('nothing has been done', { status: exitStatus.interrupted })
  } finally {
    prompt.close()
  }
}

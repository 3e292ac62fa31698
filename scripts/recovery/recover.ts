import { basename, join } from 'node:path'
import { lookAtFile } from '../database/file_facts.ts'
import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import { isAlive } from '../job/process.ts'
import { second } from '../job/time.ts'
import { command } from '../job/words.ts'
import { build } from './build.ts'
import { CaseFile } from './case_file.ts'
import type { Choice, Offer } from './choose.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type FileHolder, holdersOf, nameHolders } from './holders.ts'
import { evidenceOf, isInPlace, keepByCopy, putInPlace } from './replace.ts'
import { sideSuffixes, signatureOf } from './specimen.ts'
import { askMender, type RecoveryTools } from './tools.ts'

export type RecoveryWishes = {
  diagnosis: Diagnosis
  offers: readonly Offer[]
  choice: Choice
  /** Also while other processes have the database open. */
  force: boolean
}

/**
 * Brings a proven database to the place of the damaged one, which is kept. Where an earlier run was killed on the way,
 * it is taken up: until the new database was proven it is made anew, from then on it is put in place. undefined: fetching
 * candles again will do.
 */
export async function recover(tools: RecoveryTools, wishes: RecoveryWishes): Promise<CaseFile | undefined> {
  const { database, startedAt } = tools
  const file = CaseFile.unfinished(database) ?? CaseFile.begin(database, wishes.diagnosis, startedAt)
  for (let round = 1; file.found.state === 'preparing' || file.found.state === 'replacing'; round++) {
    if (file.found.state === 'preparing' && !(await prepare(tools, file, wishes))) {
      file.discard()
      return undefined
    }
    // what others wrote meanwhile is to be in it
    if (!isStale(file, database) || (wishes.force && round >= rounds)) await replace(tools, file, wishes)
    else if (round < rounds) file.update({ state: 'preparing' })
    else {
      file.discard()
      throw new UserError(`${database} is written to all the time: nothing has been replaced`, {
        hint: 'Stop whatever writes to it.',
        status: exitStatus.locked,
      })
    }
  }
  return file
}

const rounds = 3

/**
 * Whether the damaged database was written to since it was read. Where a run was killed while it moved the log and the
 * journal, those that are there now are new.
 */
export function isStale(file: CaseFile, database: string): boolean {
  if (isInPlace(file, database) || file.found.method === 'through') return false
  const [before = '', ...logs] = (file.found.seen ?? '').split(' ')
  const [now, ...newLogs] = signatureOf(database).split(' ')
  return (
    before !== now ||
    (file.hasEvidence
      ? newLogs.some(log => log !== '-' && !logs.includes(log))
      : newLogs.join() !== logs.join())
  )
}

async function prepare(tools: RecoveryTools, file: CaseFile, wishes: RecoveryWishes): Promise<boolean> {
  const { database, config, log } = tools
  const { diagnosis, choice, offers, force } = wishes
  file.update({ diagnosis, warnings: [] })
  const holders = await waitForHolders(tools, force)
  if (holders.length > 0 && !force) {
    file.discard()
    throw heldBy(holders, database)
  }
  const before = lookAtFile(database)
  // who names a time wants the database as it was then
  const salvage = config.recovery.salvage && choice.at === undefined && !diagnosis.foreign
  try {
    if (!(await build(tools, file, { choice, offers, file: before, salvage, force }))) return false
  } catch (error) {
    // nothing has been touched yet, and the next run begins anew
    if (!tools.context.signal.aborted) file.discard()
    throw error
  }
  // where its header is sound it is written through, so that who has it open goes on with the new one
  const through = holders.length > 0 && before.kind === 'database'
  file.update({ state: 'replacing', method: through ? 'through' : 'rename' })
  log.info(`the new database is proven: ${JSON.stringify(file.found.base)}`)
  return true
}

/** Throws a UserError where the disk does not do what is asked of it: at each moment the next run can go on. */
async function replace(tools: RecoveryTools, file: CaseFile, wishes: RecoveryWishes): Promise<void> {
  try {
    await replaceIt(tools, file, wishes)
  } catch (error) {
    if (error instanceof UserError || codeOf(error) === '') throw error
    throw new UserError(`the restored database could not be put in its place: ${messageOf(error)}`, {
      hint: 'The damaged files are kept. See to the disk, then run it again: it goes on where it stopped.',
      cause: error,
    })
  }
}

async function replaceIt(tools: RecoveryTools, file: CaseFile, { force }: RecoveryWishes): Promise<void> {
  const { database, now } = tools
  let holders: FileHolder[] = []
  if (!isInPlace(file, database)) {
    holders = await waitForHolders(tools, force)
    if (holders.length > 0 && !force) {
      // by the time that it is tried again, more will have been written
      file.discard()
      throw heldBy(holders, database)
    }
    const written = file.found.method === 'through' && (await writeThrough(tools, file))
    if (!written) putInPlace(file, database)
  }
  file.update({
    state: 'replaced',
    evidence: evidenceOf(file, database),
    serving_at: file.found.serving_at ?? new Date(now()).toISOString(),
  })
  warnOfWriters(tools, file, holders)
}

/** False where the damaged database does not take it; the new one is put in its place then. */
async function writeThrough(tools: RecoveryTools, file: CaseFile): Promise<boolean> {
  const { database, seals, log } = tools
  if (file.found.evidence.length === 0) {
    keepByCopy(file, database)
    file.update({ evidence: evidenceOf(file, database) })
  }
  const { findings, trouble } = await askMender(tools, {
    task: 'through',
    file: file.restored,
    target: database,
  })
  const written = trouble === undefined && findings.pages !== undefined
  const look = { task: 'look', file: database, seals: seals(), live: true } as const
  const proven = written ? (await askMender(tools, look)).findings.look : undefined
  if (proven?.problems.length === 0) {
    file.clear(file.restored)
    return true
  }
  log.warn(
    `the damaged database does not take the new one (${JSON.stringify(trouble ?? proven)}): it is replaced`,
  )
  file.update({ method: 'rename', evidence: [] })
  return false
}

/** Who still has the old file open writes into what nobody reads any more. */
function warnOfWriters({ database }: RecoveryTools, file: CaseFile, holders: readonly FileHolder[]): void {
  if (file.found.method === 'through') {
    if (holders.length > 0)
      file.warn(
        `${nameHolders(holders)} had the database open: what it wrote while it was being recovered is not in it`,
      )
    return
  }
  // where it could not be linked, or was copied first, the file that they have open has no name any more
  const { processes } = holdersOf([join(file.damaged, basename(database))])
  const known = new Set(processes.map(({ pid }) => pid))
  const still = [...processes, ...holders.filter(({ pid }) => !known.has(pid) && isAlive(pid))]
  if (still.length > 0)
    file.warn(`${nameHolders(still)} still has the old file open: restart it, or what it writes is lost`)
}

const lookEveryMs = 250

/** Gives processes that have the database open some time to let go of it, unless it is forced; those that have not. */
async function waitForHolders(
  { database, config, now, say, wait, log }: RecoveryTools,
  force: boolean,
): Promise<FileHolder[]> {
  const files = ['', ...sideSuffixes].map(suffix => database + suffix)
  const until = now() + config.recovery.wait_for_writers_seconds * second
  for (let told = false; ; told = true) {
    const { processes, blind } = holdersOf(files)
    if (processes.length === 0 || force || now() >= until) {
      if (blind)
        log.info(
          'processes of other users cannot be seen: one that has the database open only shows by its locks',
        )
      return processes
    }
    if (!told) say(`⏳ ${nameHolders(processes)} has the database open; it is waited for`)
    await wait(lookEveryMs)
  }
}

function heldBy(holders: readonly FileHolder[], database: string): UserError {
  return new UserError(`${nameHolders(holders)} has ${database} open; nothing has been replaced`, {
    hint: `Stop it first. ${command('db_recovery', '--yes', '--force')} does not wait for it, and loses what it writes meanwhile.`,
    status: exitStatus.locked,
  })
}

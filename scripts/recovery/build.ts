import { statSync } from 'node:fs'
import { syncFile } from '../backup/archive.ts'
import type { Manifest } from '../backup/manifest.ts'
import { needRoom } from '../backup/snapshot.ts'
import type { FileFacts } from '../database/file_facts.ts'
import { UserError } from '../job/errors.ts'
import { syncFolder } from '../job/replace_file.ts'
import { command, count } from '../job/words.ts'
import type { CaseFile } from './case_file.ts'
import { type Candidate, type Choice, candidates, type Offer } from './choose.ts'
import { fromBackup, fromRemains, type Made } from './from_backup.ts'
import { mendItself } from './mend_itself.ts'
import { type JournalMode, prove } from './prove.ts'
import { giveTo, ownerOf } from './replace.ts'
import { signatureOf, sizeOf, takeSpecimen } from './specimen.ts'
import type { RecoveryTools } from './tools.ts'

export type BuildRequest = {
  choice: Choice
  offers: readonly Offer[]
  /** What the damaged file looked like. */
  file: FileFacts
  /** Whether what can be read of the damaged database is to be brought over. */
  salvage: boolean
  /** Also where fetching candles again would do. */
  force: boolean
}

/**
 * Makes the new database in the case's folder, proven, with owner, mode and journal mode as before: from the damaged one
 * itself where that loses nothing, else from the newest good backup and what the damaged one has beside it, else from
 * what can be read of that alone. False where nothing but candles is damaged, and they only have to be fetched again.
 * Throws a UserError where there is nothing to make one from.
 */
export async function build(tools: RecoveryTools, file: CaseFile, request: BuildRequest): Promise<boolean> {
  const { database } = tools
  const { choice, offers, force } = request
  file.clear(file.restored, file.specimen, file.aside)
  file.update({
    seen: signatureOf(database),
    salvage: null,
    not_salvaged: null,
    doubtful_rows: 0,
    passed_over: [],
  })
  const hasSpecimen = (sizeOf(database) ?? 0) > 0
  if (hasSpecimen) copyDamaged(tools, file)
  const order = candidates(offers, choice, tools.now())
  const free = (choice.id ?? choice.tier ?? choice.at) === undefined
  const journalModeOf = (manifest: Manifest | undefined) => modeOf(request.file, manifest)

  const itself = hasSpecimen && free ? await fromItself(tools, file, order, journalModeOf) : undefined
  if (itself === undefined && file.found.diagnosis.damage === 'candles' && !force) return false
  const wishes = { salvage: request.salvage && hasSpecimen, journalModeOf }
  const made =
    itself ??
    (await fromBackup(tools, file, order, wishes)) ??
    (hasSpecimen && free ? await fromRemains(tools, file, journalModeOf(undefined)) : undefined)
  if (made === undefined) throw nothingToRestoreFrom(file, request)

  giveTo(ownerOf(database, made.manifest?.source.owner), file.restored)
  await syncFile(file.restored)
  syncFolder(file.folder)
  file.clear(file.specimen)
  file.update({ base: made.base, new_inode: statSync(file.restored).ino })
  return true
}

function copyDamaged({ database }: RecoveryTools, file: CaseFile): void {
  needRoom(file.folder, sizeOf(database) ?? 0)
  const { unreadableBytes } = takeSpecimen(database, file.specimen)
  if (unreadableBytes > 0)
    file.warn(`the disk did not give ${count(unreadableBytes, 'byte')} of the database`)
}

async function fromItself(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
  journalModeOf: (manifest: Manifest | undefined) => JournalMode,
): Promise<Made | undefined> {
  const manifest = order[0]?.manifest
  const base = await mendItself(tools, file, order)
  if (base !== undefined) {
    const flaw = await prove(tools, file, journalModeOf(manifest))
    if (flaw === undefined) return { base, manifest }
    tools.log.info(`the database was not sound when it was mended (${base.how}): ${flaw.what}`)
  }
  // an attempt may have changed the copy
  file.clear(file.restored, file.aside)
  file.update({ salvage: null, not_salvaged: null, doubtful_rows: 0 })
  if (file.found.diagnosis.damage !== 'foreign_log') copyDamaged(tools, file)
  else takeSpecimen(tools.database, file.specimen, { logs: false })
  return undefined
}

function nothingToRestoreFrom(file: CaseFile, { choice, offers }: BuildRequest): UserError {
  const tried = file.found.passed_over
  if (tried.length > 0) {
    const lines = tried.slice(0, 5).map(({ tier, id, why }) => `${tier} ${id}: ${why}`)
    return new UserError(`no backup is good: ${lines.join('; ')}`, {
      hint: `Nothing has been replaced. ${command('backup', '--list')} shows what there is.`,
    })
  }
  const any = offers.some(({ backups }) => backups.length > 0)
  const asked = choice.id ?? choice.tier ?? (choice.at && new Date(choice.at).toISOString())
  return new UserError(
    any && asked !== undefined
      ? `there is no backup for ${asked}`
      : 'there is no backup, and nothing that can be read',
    { hint: `Nothing has been replaced. ${command('backup', '--list')} shows what there is.` },
  )
}

/** The journal mode that the database was in; by its header, or by what was noted at its backup. */
function modeOf(file: FileFacts, manifest: Manifest | undefined): JournalMode {
  // an overwritten header says nothing
  if (file.kind === 'database') return file.journalMode
  return manifest?.source.journal_mode ?? 'rollback'
}

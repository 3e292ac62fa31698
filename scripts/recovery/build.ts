import { existsSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { syncFile } from '../backup/archive.ts'
import type { Manifest } from '../backup/manifest.ts'
import { needRoom } from '../backup/snapshot.ts'
import { isCandleTable } from '../candles/intervals.ts'
import type { FileFacts } from '../database/file_facts.ts'
import { UserError } from '../job/errors.ts'
import { syncFolder } from '../job/replace_file.ts'
import { command, count, some } from '../job/words.ts'
import type { Base, CaseFile } from './case_file.ts'
import { type Candidate, type Choice, candidates, type Offer } from './choose.ts'
import { problemsListed } from './look.ts'
import type { Look, MenderRequest } from './mender_protocol.ts'
import { giveTo, ownerOf } from './replace.ts'
import { type Judgement, type PassedOver, restoreFirst } from './restore.ts'
import type { Salvage } from './salvage.ts'
import { sizeOf, takeSpecimen } from './specimen.ts'
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
  file.clear(file.restored, file.specimen, file.aside)
  const hasSpecimen = (sizeOf(database) ?? 0) > 0
  if (hasSpecimen) {
    needRoom(file.folder, sizeOf(database) ?? 0)
    const { unreadableBytes } = takeSpecimen(database, file.specimen)
    if (unreadableBytes > 0)
      file.warn(`the disk did not give ${count(unreadableBytes, 'byte')} of the database`)
  }
  const order = candidates(request.offers, request.choice, tools.now())
  const chosen = request.choice.id ?? request.choice.tier ?? request.choice.at
  const itself = hasSpecimen && chosen === undefined ? await mendItself(tools, file, order) : undefined
  if (itself === undefined && file.found.diagnosis.damage === 'candles' && !request.force) return false
  const made =
    (itself && { base: itself, manifest: order[0]?.manifest }) ??
    (await fromBackup(tools, file, order, { ...request, salvage: request.salvage && hasSpecimen })) ??
    (hasSpecimen && chosen === undefined ? await fromRemains(tools, file) : undefined)
  if (made === undefined) throw nothingToRestoreFrom(file, request)
  const { base, manifest } = made
  if (itself !== undefined) await prove(tools, file, journalModeOf(request.file, manifest))
  giveTo(ownerOf(database, manifest?.source.owner), file.restored)
  await syncFile(file.restored)
  syncFolder(file.folder)
  file.clear(file.specimen)
  file.update({ base })
  return true
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
function journalModeOf(file: FileFacts, manifest: Manifest | undefined): 'wal' | 'rollback' {
  // an overwritten header says nothing
  if (file.kind === 'database') return file.journalMode
  return manifest?.source.journal_mode ?? 'rollback'
}

/**
 * Mends the copy of the damaged database, where nothing of its tables is lost by that: without a log that makes a sound
 * database a damaged one, with its indexes made anew. It is the new database then.
 */
async function mendItself(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<Base | undefined> {
  const mend = { indexes: reindexed, free_pages: vacuumed }[file.found.diagnosis.damage as string]
  const base = (await withoutLog(tools, file)) ?? (await mend?.(tools, file, order))
  if (base !== undefined) renameSync(file.specimen, file.restored)
  return base
}

const logs = ['-wal', '-journal']

async function withoutLog(tools: RecoveryTools, file: CaseFile): Promise<Base | undefined> {
  const { specimen } = file
  const there = logs.filter(suffix => (sizeOf(specimen + suffix) ?? 0) > 0)
  if (there.length === 0) return undefined
  const { diagnosis } = file.found
  for (const suffix of there) renameSync(specimen + suffix, `${specimen}.aside${suffix}`)
  const look = await lookAt(tools, specimen)
  const worse = diagnosis.damage === 'candles' && (look?.broken.length ?? 0) > 0
  if (look !== undefined && look.problems.length === 0 && look.structures.length > 0 && !worse) {
    file.clear(`${specimen}.aside`)
    return { kind: 'itself', how: 'without its log' }
  }
  // what is in a log of another database must not be read as if it were this one's
  if (diagnosis.damage === 'foreign_log') file.clear(`${specimen}.aside`)
  for (const suffix of there)
    if (existsSync(`${specimen}.aside${suffix}`)) renameSync(`${specimen}.aside${suffix}`, specimen + suffix)
  return undefined
}

async function reindexed(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<Base | undefined> {
  const { doubtful } = file.found.diagnosis
  const rows = doubtful.reduce((sum, { rowids }) => sum + rowids.length, 0)
  // a row and its index differ: it can be the row that is damaged, and then an earlier backup has it otherwise
  if (rows > 0 && rows < problemsListed) {
    const differing = await differingRows(tools, file, order)
    if (differing > 0) {
      tools.log.info(`${differing} rows that an index has otherwise are not what the backup has`)
      return undefined
    }
  }
  const done = await tools.mender.ask({ task: 'reindex', file: file.specimen })
  const look = done.trouble === undefined ? await lookAt(tools, file.specimen) : undefined
  if (look === undefined || look.problems.length > 0) return undefined
  file.update({ doubtful_rows: rows })
  return { kind: 'itself', how: 'indexes rebuilt' }
}

/** The tables as they are, and a list of free pages that is right. */
async function vacuumed(tools: RecoveryTools, file: CaseFile): Promise<Base | undefined> {
  const target = `${file.specimen}.vacuumed`
  try {
    const { trouble } = await tools.mender.ask({ task: 'vacuum', file: file.specimen, target })
    const look = trouble === undefined ? await lookAt(tools, target) : undefined
    if (look === undefined || look.problems.length > 0) return undefined
    file.clear(file.specimen)
    renameSync(target, file.specimen)
    return { kind: 'itself', how: 'written anew' }
  } finally {
    file.clear(target)
  }
}

/** How many of the rows that an index does not have, or otherwise, are not as the newest hot backup has them. */
async function differingRows(
  { tiers, mender }: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<number> {
  const newest = order.find(({ tier }) => tier === 'hot')
  if (newest === undefined) return 0
  const earlier = tiers.hot.fileOf(newest.manifest)
  const rows = file.found.diagnosis.doubtful
  const { findings } = await mender.ask({ task: 'compare', file: file.specimen, earlier, rows })
  return findings.differing?.length ?? 0
}

type Made = { base: Base; manifest: Manifest | undefined }

async function fromBackup(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
  request: BuildRequest,
): Promise<Made | undefined> {
  const { records } = tools
  const judge = async ({ tier, manifest }: Candidate): Promise<Judgement> => {
    const journalMode = journalModeOf(request.file, manifest)
    if (request.salvage && (await salvageInto(tools, file, manifest))) {
      const flaw = file.found.salvage === null ? 'it broke off' : await prove(tools, file, journalMode)
      if (flaw === undefined) return 'good'
      // whose fault that is shows without what was brought over
      giveUpSalvage(file, file.found.not_salvaged ?? `the database was not sound with it: ${flaw}`)
      return 'again'
    }
    const flaw = await prove(tools, file, journalMode, manifest)
    if (flaw === undefined) return 'good'
    records.verified(tier, manifest.id, flaw)
    return { flaw }
  }
  const passOver = (entry: PassedOver) => file.update({ passed_over: [...file.found.passed_over, entry] })
  const found = await restoreFirst(tools, order, file.restored, judge, passOver)
  if (found === undefined) return undefined
  const { tier, manifest } = found
  const known = records.of(tier).get(manifest.id)
  const covers = new Date(known?.coversUntil ?? Date.parse(manifest.taken_at)).toISOString()
  const { id, taken_at } = manifest
  return { base: { kind: 'backup', id, tier, taken_at, covers_until: covers }, manifest }
}

/** Whether anything was done with the restored database. */
async function salvageInto(tools: RecoveryTools, file: CaseFile, manifest: Manifest): Promise<boolean> {
  if (file.found.not_salvaged !== null) return false
  const room = manifest.database.bytes
  try {
    needRoom(dirname(file.restored), room * 0.3)
  } catch {
    giveUpSalvage(file, 'there was no room for it')
    return false
  }
  const request: MenderRequest = {
    task: 'salvage',
    damaged: file.specimen,
    into: file.restored,
    aside: file.aside,
    seals: tools.seals(),
  }
  const { findings, trouble } = await tools.mender.ask(request)
  const { salvage } = findings
  if (salvage === undefined) {
    giveUpSalvage(file, trouble && 'damaged' in trouble ? trouble.damaged : (trouble?.unknown ?? 'it failed'))
    return true
  }
  if ('nothing' in salvage) {
    file.update({ not_salvaged: salvage.nothing, salvage: null })
    return false
  }
  file.update({ salvage })
  return true
}

function giveUpSalvage(file: CaseFile, why: string): void {
  file.clear(file.aside)
  file.update({ salvage: null, not_salvaged: why })
}

/** There is no good backup: the tables of the damaged database, and what can be read of them. */
async function fromRemains(tools: RecoveryTools, file: CaseFile): Promise<Made | undefined> {
  file.update({ salvage: null, not_salvaged: null })
  file.clear(file.restored, file.aside)
  const outlined = await tools.mender.ask({ task: 'outline', file: file.specimen, target: file.restored })
  if (outlined.trouble !== undefined) return undefined
  const { findings } = await tools.mender.ask({
    task: 'salvage',
    damaged: file.specimen,
    into: file.restored,
    aside: file.aside,
    seals: tools.seals(),
  })
  const { salvage } = findings
  if (salvage === undefined || 'nothing' in salvage) return undefined
  file.update({ salvage })
  const flaw = await prove(tools, file, 'rollback')
  return flaw === undefined ? { base: { kind: 'remains' }, manifest: undefined } : undefined
}

/**
 * Sets the journal mode of the new database and reads all of it once more. What is wrong with it; undefined: nothing.
 * `manifest`: what is in it to the row.
 */
async function prove(
  { mender, seals }: RecoveryTools,
  file: CaseFile,
  journalMode: 'wal' | 'rollback',
  manifest?: Manifest,
): Promise<string | undefined> {
  const { findings, trouble } = await mender.ask({
    task: 'settle',
    file: file.restored,
    journalMode,
    seals: seals(),
  })
  const { look } = findings
  if (look === undefined)
    return trouble && 'damaged' in trouble ? trouble.damaged : (trouble?.unknown ?? 'it was not proven')
  if (look.problems.length > 0) return `SQLite finds damage in it: ${some(look.problems, 3)}`
  const left = ['-wal', '-journal', '-shm'].filter(suffix => existsSync(file.restored + suffix))
  if (left.length > 0) return `${left.join(', ')} lies beside it`
  return disagreement(look, file.found.salvage, manifest)
}

/** How the rows that were counted differ from those that should be there; of candles whole months are replaced. */
function disagreement(
  look: Look,
  salvage: Salvage | null,
  manifest: Manifest | undefined,
): string | undefined {
  const expected =
    salvage?.tables
      .filter(({ table }) => !isCandleTable(table))
      .map(({ table, inBackup, salvaged }) => ({ name: table, rows: inBackup + salvaged })) ??
    manifest?.database.tables ??
    []
  const found = new Map(look.rows.map(({ table, rows }) => [table, rows]))
  const [wrong] = expected.filter(({ name, rows }) => found.has(name) && found.get(name) !== rows)
  if (wrong === undefined) return undefined
  return `${wrong.name} has ${found.get(wrong.name)} rows instead of ${wrong.rows}`
}

async function lookAt({ mender, seals }: RecoveryTools, file: string): Promise<Look | undefined> {
  const { findings } = await mender.ask({ task: 'look', file, seals: seals(), live: false })
  return findings.look
}

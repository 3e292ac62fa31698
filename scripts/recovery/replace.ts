import { chmodSync, chownSync, existsSync, linkSync, renameSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { needRoom } from '../backup/snapshot.ts'
import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { syncFolder } from '../job/replace_file.ts'
import type { CaseFile, Evidence } from './case_file.ts'
import { copyAround, sideSuffixes, sizeOf } from './specimen.ts'

/**
 * Puts the new database in the place of the damaged one. At each moment the damaged file is at its own place or in the
 * case's folder, under a second name of the same file or moved there, and there is always a database at its path. Its
 * log, journal and shared memory are gone before the new one comes: they would be written into it. Killed, it is to be
 * done once more.
 */
export function putInPlace(file: CaseFile, database: string): void {
  keepByLink(file, database)
  renameSync(file.restored, database)
  syncFolder(dirname(database))
  syncFolder(file.folder)
}

/** Whether the new database has taken the place of the damaged one already: it is the same file under another name. */
export function isInPlace({ found, restored }: CaseFile, database: string): boolean {
  if (existsSync(restored)) return false
  if (found.method === 'through') return true
  if (statSync(database, { throwIfNoEntry: false })?.ino === found.new_inode) return true
  throw new UserError(`the restored database is neither at ${database} nor at ${restored}`, {
    hint: `The damaged files are kept in ${dirname(restored)}/damaged. Move that folder elsewhere and recover again.`,
  })
}

function keepByLink(file: CaseFile, database: string): void {
  const kept = join(file.damaged, basename(database))
  // copies that are there already are of before it was written to
  if (sizeOf(database) !== undefined && sizeOf(kept) === undefined) linkOrCopy(database, kept)
  syncFolder(file.damaged)
  for (const suffix of sideSuffixes) moveAside(database + suffix, kept + suffix)
  syncFolder(file.damaged)
  syncFolder(dirname(database))
}

/** Not every file system has hard links. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    copyAround(from, to)
  }
}

/** One that was made after the first was moved is another one: it is kept as well. */
function moveAside(from: string, to: string): void {
  for (let i = 1; ; i++) {
    const target = i === 1 ? to : `${to}.${i}`
    if (existsSync(target)) continue
    try {
      renameSync(from, target)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
    return
  }
}

/** Keeps copies of the damaged files, where what is there is to be written over. */
export function keepByCopy(file: CaseFile, database: string): void {
  const kept = join(file.damaged, basename(database))
  const set = ['', '-journal', '-wal']
  needRoom(
    file.damaged,
    set.reduce((sum, suffix) => sum + (sizeOf(database + suffix) ?? 0), 0),
  )
  for (const suffix of set)
    if (sizeOf(database + suffix) !== undefined) copyAround(database + suffix, kept + suffix)
  syncFolder(file.damaged)
}

/** What is kept of the damaged database. */
export function evidenceOf(file: CaseFile, database: string): Evidence[] {
  return ['', ...sideSuffixes].flatMap(suffix => {
    const name = basename(database) + suffix
    const bytes = sizeOf(join(file.damaged, name))
    return bytes === undefined ? [] : [{ name, bytes }]
  })
}

/** Owner and permissions of a file. */
export type Owner = { uid: number; gid: number; mode: number }

/** Of the file that is there; else those that it had when it was backed up. */
export function ownerOf(
  database: string,
  backedUp: { uid: number; gid: number; mode: string } | undefined,
): Owner {
  const stat = statSync(database, { throwIfNoEntry: false })
  if (stat !== undefined) return { uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777 }
  if (backedUp !== undefined)
    return { uid: backedUp.uid, gid: backedUp.gid, mode: Number.parseInt(backedUp.mode, 8) }
  const folder = statSync(dirname(database))
  return { uid: folder.uid, gid: folder.gid, mode: 0o640 }
}

/** Throws a UserError where this user may not: the agent could not open its database then. */
export function giveTo({ uid, gid, mode }: Owner, file: string): void {
  try {
    const own = statSync(file)
    if (own.uid !== uid || own.gid !== gid) chownSync(file, uid, gid)
    chmodSync(file, mode)
  } catch (error) {
    if (codeOf(error) === '') throw error
    throw new UserError(
      `the restored database cannot be given to its owner ${uid}:${gid}: ${messageOf(error)}`,
      {
        hint: 'Run the recovery as that user or as root; nothing has been replaced.',
      },
    )
  }
}

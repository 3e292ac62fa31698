import { closeSync, constants, copyFileSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'
import { realPathOf } from './real_path.ts'

/** A copy that was made, and for how long writers had to wait. */
export type SealedCopy = {
  heldMs: number
  /** The original has a transaction that was cut off; in the copy it is rolled back. */
  hotJournal: boolean
}

const busyMs = 10_000
const tries = 3
const settledMs = 50
/** Bytes: of a smaller file, a copy under the lock takes no more than ten milliseconds. */
const worthPatience = 32e6

/**
 * Copies a database in rollback mode to `target`, as of one moment. A reader keeps writers out there, for as long as
 * it reads: a check of the whole would hold the agent up for seconds, a copy does for milliseconds (a third of one
 * per megabyte); and a large one (`patientFrom` bytes) for none at all where nobody happens to write meanwhile. To be
 * called in a process of its own that does nothing else with the file: closing it, as copying does in the end, drops
 * SQLite's locks. Throws what SQLite throws.
 */
export async function copySealed(
  file: string,
  target: string,
  { patientFrom = worthPatience } = {},
): Promise<SealedCopy> {
  warmUp(file)
  for (let attempt = 1; ; attempt++) {
    // an attempt that somebody else's rollback came in the way of must leave nothing that would be played back
    for (const suffix of ['', '-journal']) rmSync(target + suffix, { force: true })
    try {
      const undisturbed = statSync(file).size >= patientFrom && (await copyUndisturbed(file, target))
      const heldMs = undisturbed ? 0 : copyUnderLock(file, target)
      refuseWal(target)
      return { heldMs, hotJournal: false }
    } catch (error) {
      if (codeOf(error) !== 'SQLITE_READONLY_ROLLBACK' || attempt >= 2 * tries) throw error
    }
    // between two commits of a busy writer it can look like this for a moment
    if (attempt >= tries && copyWithJournal(file, target)) return { heldMs: 0, hotJournal: true }
    await delay(100)
  }
}

/** Brings the file into the page cache, so that the disk is not waited for while others wait for us. */
function warmUp(file: string): void {
  const piece = Buffer.allocUnsafe(1 << 20)
  const descriptor = openSync(file, 'r')
  while (readSync(descriptor, piece) > 0);
  closeSync(descriptor)
}

/** In WAL mode a lock keeps nobody out: what was copied is of several moments, and lacks what is in the log. */
function refuseWal(target: string): void {
  if (headOf(target, 20)[18] === 2)
    throw new Database.SqliteError('the database has gone over to WAL mode meanwhile', 'SQLITE_BUSY')
}

/**
 * Copies the file while nobody is kept out, and looks whether anybody has written meanwhile: most agents do so only now
 * and then. False: somebody has, or it cannot be told.
 */
async function copyUndisturbed(file: string, target: string): Promise<boolean> {
  for (let attempt = 1; attempt <= tries; attempt++) {
    const before = lookUnderLock(file)
    // times of files have steps: a write in the step of an earlier one would not show
    if (Date.now() - before.modifiedMs >= settledMs) {
      await copyFile(file, target, constants.COPYFILE_FICLONE)
      if (lookUnderLock(file).state === before.state) return true
    }
    await delay(settledMs)
  }
  return false
}

/** What the file is like while nobody can write to it: whatever is written moves its times. */
function lookUnderLock(file: string): { state: string; modifiedMs: number } {
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    database.exec('BEGIN')
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    const { ino, size, mtimeNs, ctimeNs, mtimeMs } = statSync(file, { bigint: true })
    return { state: [ino, size, mtimeNs, ctimeNs].join(), modifiedMs: Number(mtimeMs) }
  } finally {
    database.close()
  }
}

function copyUnderLock(file: string, target: string): number {
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    database.exec('BEGIN')
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    const began = performance.now()
    copyFileSync(file, target, constants.COPYFILE_FICLONE)
    return performance.now() - began
  } finally {
    database.close()
  }
}

/**
 * Nobody has a database open whose journal is hot, so both files can be copied as they are; the copy is rolled back.
 * False where somebody came and rolled it back meanwhile.
 */
function copyWithJournal(path: string, target: string): boolean {
  const file = realPathOf(path)
  const journal = `${file}-journal`
  const state = () =>
    [file, journal].map(name => statSync(name, { bigint: true, throwIfNoEntry: false })?.mtimeNs)
  const before = state()
  if (before.includes(undefined)) return false
  try {
    copyFileSync(file, target, constants.COPYFILE_FICLONE)
    copyFileSync(journal, `${target}-journal`)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
  if (state().join() !== before.join()) return false
  const database = new Database(target)
  try {
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    return true
  } finally {
    database.close()
  }
}

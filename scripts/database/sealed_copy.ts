import { closeSync, constants, copyFileSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'

/** A copy that was made, and for how long writers had to wait. */
export type SealedCopy = {
  heldMs: number
  /** The original has a transaction that was cut off; in the copy it is rolled back. */
  hotJournal: boolean
}

const busyMs = 10_000
const tries = 3

/**
 * Copies a database in rollback mode to `target`, as of one moment. A reader keeps writers out there, for as long as
 * it reads: a check of the whole would hold the agent up for seconds, a copy does for milliseconds (a third of one
 * per megabyte). To be called in a process of its own that does nothing else with the file: closing it, as copying
 * does in the end, drops SQLite's locks. Throws what SQLite throws.
 */
export async function copySealed(file: string, target: string): Promise<SealedCopy> {
  warmUp(file)
  for (let attempt = 1; ; attempt++) {
    // an attempt that somebody else's rollback came in the way of must leave nothing that would be played back
    for (const suffix of ['', '-journal']) rmSync(target + suffix, { force: true })
    try {
      return { heldMs: copyUnderLock(file, target), hotJournal: false }
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

function copyUnderLock(file: string, target: string): number {
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    database.exec('BEGIN')
    database.prepare('SELECT count(*) FROM sqlite_master').get()
    const began = performance.now()
    copyFileSync(file, target, constants.COPYFILE_FICLONE)
    const heldMs = performance.now() - began
    // readers do not keep writers out there: what was copied is of several moments
    if (headOf(target, 20)[18] === 2)
      throw new Database.SqliteError('the database has gone over to WAL mode meanwhile', 'SQLITE_BUSY')
    return heldMs
  } finally {
    database.close()
  }
}

/**
 * Nobody has a database open whose journal is hot, so both files can be copied as they are; the copy is rolled back.
 * False where somebody came and rolled it back meanwhile.
 */
function copyWithJournal(file: string, target: string): boolean {
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

import { chownSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf, messageOf } from '../job/errors.ts'
import { isAlive } from '../job/process.ts'
import type { Examiner, Trouble } from './examiner.ts'
import { lookAtFile } from './file_facts.ts'

/** A file that can be read: what the database held at one moment. */
export type View = {
  file: string
  /** The database has a transaction that was cut off; here it is rolled back. */
  hotJournal: boolean
  /** For how long writers had to wait; undefined: they never did. */
  heldMs: number | undefined
  /** Whoever reads this keeps writers out for as long. */
  holdsWriters: boolean
}

/**
 * In WAL mode readers are in nobody's way, and the view is the database itself. In rollback mode a reader keeps
 * writers out, so it is a copy in `folder`; only where the disk has no room for one is it the database all the same.
 */
export async function takeView(
  database: string,
  folder: string,
  examiner: Examiner,
): Promise<View | { trouble: Trouble }> {
  const file = lookAtFile(database)
  if (file.kind !== 'database') return { trouble: { unknown: 'there is no database to look into' } }
  const itself = { file: database, hotJournal: false, heldMs: undefined }
  if (file.journalMode === 'wal') return { ...itself, holdsWriters: false }
  try {
    makeScratchFolder(folder)
  } catch (error) {
    const why = codeOf(error) || messageOf(error)
    return { trouble: { unknown: `no copy of the database can be made in ${folder}: ${why}` } }
  }
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize < file.bytes * 1.1) return { ...itself, holdsWriters: true }
  const target = join(folder, 'copy.db')
  const { findings, trouble } = await examiner.ask({ task: 'copy', file: database, target })
  if (findings.copy !== undefined) return { file: target, ...findings.copy, holdsWriters: false }
  return { trouble: trouble ?? { unknown: 'the database could not be copied' } }
}

/** Run by root, it belongs to whom the folder above belongs: root's check must not keep the next one out. */
function makeScratchFolder(folder: string): void {
  const scratch = join(folder, '..')
  const owner = statSync(join(scratch, '..'))
  for (const path of [scratch, folder]) {
    if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined && process.getuid?.() === 0)
      chownSync(path, owner.uid, owner.gid)
  }
}

/**
 * Runs `work` with a folder for this process in `scratch` (made when it is needed) and takes it away afterwards; also
 * those of processes that were killed.
 */
export async function inScratchFolder<T>(scratch: string, work: (folder: string) => Promise<T>): Promise<T> {
  clearLeftovers(scratch)
  const folder = join(scratch, `health-${process.pid}`)
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function clearLeftovers(scratch: string): void {
  try {
    for (const name of readdirSync(scratch)) {
      const pid = /^health-(\d+)$/.exec(name)?.[1]
      if (pid !== undefined && !isAlive(Number(pid)))
        rmSync(join(scratch, name), { recursive: true, force: true })
    }
  } catch {
    // not there yet, or another user's: then nothing of ours is in it
  }
}

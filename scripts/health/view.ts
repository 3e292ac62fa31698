import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '../job/process.ts'
import type { Examiner, Trouble } from './examiner.ts'
import { lookAtFile } from './file_facts.ts'

/** A file that can be read at leisure: what the database held at one moment. */
export type View = {
  file: string
  /** The database has a transaction that was cut off; here it is rolled back. */
  hotJournal: boolean
  /** For how long writers had to wait; undefined: they never did. */
  heldMs: number | undefined
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
  const itself = { file: database, hotJournal: false, heldMs: undefined }
  const file = lookAtFile(database)
  if (file.kind !== 'database') return { trouble: { unknown: 'there is no database to look into' } }
  if (file.journalMode === 'wal') return itself
  const { bavail, bsize } = statfsSync(folder)
  if (bavail * bsize < file.bytes * 1.1) return itself
  const target = join(folder, 'copy.db')
  const { findings, trouble } = await examiner.ask({ task: 'copy', file: database, target })
  if (findings.copy !== undefined) return { file: target, ...findings.copy }
  return { trouble: trouble ?? { unknown: 'the database could not be copied' } }
}

/** Makes a folder for this process, runs `work` and takes the folder away; also those of processes that were killed. */
export async function inScratchFolder<T>(scratch: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(scratch, `health-${process.pid}`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(scratch)) {
    const pid = /^health-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(join(scratch, name), { recursive: true, force: true })
  }
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

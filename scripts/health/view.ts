import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { lookAtFile } from '../database/file_facts.ts'
import { makeScratchFolder } from '../database/scratch.ts'
import type { Trouble } from '../database/worker.ts'
import { codeOf, messageOf } from '../job/errors.ts'
import type { Examiner } from './examiner.ts'

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

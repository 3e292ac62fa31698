import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import { type FileFacts, lookAtFile } from '../database/file_facts.ts'
import { makeScratchFolder } from '../database/scratch.ts'
import type { Trouble } from '../database/worker.ts'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'
import { type Diagnosis, diagnose } from './diagnosis.ts'
import { isJournalOfAnotherTime } from './journal.ts'
import type { Look } from './mender_protocol.ts'
import type { RecoveryTools } from './tools.ts'

/** Finds out what a database suffers from, and changes nothing of it. `expected`: the tables of the newest backup. */
export async function examineDatabase(
  tools: RecoveryTools,
  expected: { tables: string[] } | undefined,
): Promise<Diagnosis> {
  const { database } = tools
  const file = lookAtFile(database)
  const staleJournal = file.kind === 'database' && file.journal > 0 && isJournalOfAnotherTime(database)
  const nothing = { look: undefined, hotJournal: false }
  const { look, hotJournal } = staleJournal ? nothing : await lookAtContents(tools, file)
  return diagnose({
    staleJournal,
    database,
    file,
    look,
    hotJournal,
    declaredBytes: declaredBytes(database),
    expected,
  })
}

type Contents = { look: Look | Trouble | undefined; hotJournal: boolean }

/**
 * In WAL mode readers are in nobody's way; in rollback mode a copy is looked at, as a reader would keep writers out.
 * Beside what belongs to another database SQLite must not be let at it at all.
 */
async function lookAtContents(tools: RecoveryTools, file: FileFacts): Promise<Contents> {
  const { database, mender, seals, scratch } = tools
  const nothing = { look: undefined, hotJournal: false }
  if (file.kind !== 'database') return nothing
  const { journalMode, wal, journal } = file
  if ((journalMode === 'rollback' && wal > 0) || (journalMode === 'wal' && journal > 0)) return nothing
  if (journalMode === 'wal') return { look: await lookAt(tools, database, true), hotJournal: false }
  makeScratchFolder(scratch)
  const { bavail, bsize } = statfsSync(scratch)
  if (bavail * bsize < file.bytes * 1.05)
    return { look: await lookAt(tools, database, true), hotJournal: false }
  const target = join(scratch, 'look.db')
  const { findings, trouble } = await mender.ask({ task: 'copy', file: database, target })
  if (findings.copy === undefined) return { look: trouble, hotJournal: false }
  const { findings: found, trouble: other } = await mender.ask({
    task: 'look',
    file: target,
    seals: seals(),
    live: false,
  })
  return { look: found.look ?? other, hotJournal: findings.copy.hotJournal }
}

async function lookAt(
  { mender, seals }: RecoveryTools,
  file: string,
  live: boolean,
): Promise<Look | Trouble | undefined> {
  const { findings, trouble } = await mender.ask({ task: 'look', file, seals: seals(), live })
  return findings.look ?? trouble
}

/**
 * Page size times page count of the header; the count holds where the two change counters agree (SQLite, "Database File
 * Format", 1.3.7).
 */
function declaredBytes(database: string): number | undefined {
  try {
    const head = headOf(database, 100)
    if (head.length < 100 || head.readUInt32BE(24) !== head.readUInt32BE(92)) return undefined
    const size = head.readUInt16BE(16)
    return (size === 1 ? 65536 : size) * head.readUInt32BE(28)
  } catch (error) {
    if (codeOf(error) === '') throw error
    return undefined
  }
}

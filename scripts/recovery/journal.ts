import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'

const journalMagic = Buffer.from('d9d505f920a163d7', 'hex')
/** Where the change counter stands in page 1. */
const counterAt = 24

/**
 * Whether the rollback journal beside a database is one of another time, or of another database: rolled back, it would
 * take away what was committed since. The change counter in its image of page 1 is then not that of the file, nor one
 * less, as it is where a transaction was cut off (SQLite, "Database File Format", 3: The Rollback Journal). A journal
 * that has no image of page 1 yet cannot be told.
 */
export function isJournalOfAnotherTime(database: string): boolean {
  try {
    const before = counterInJournal(`${database}-journal`)
    const now = headOf(database, 100).readUInt32BE(counterAt)
    return before !== undefined && now !== before && now !== (before + 1) >>> 0
  } catch (error) {
    // a writer takes its journal away with every commit
    if (codeOf(error) === '') throw error
    return false
  }
}

function counterInJournal(file: string): number | undefined {
  const header = headOf(file, 28)
  if (header.length < 28 || !header.subarray(0, 8).equals(journalMagic)) return undefined
  const [sectorSize, pageSize] = [header.readUInt32BE(20), header.readUInt32BE(24)]
  const record = 4 + pageSize + 4
  if (pageSize < 512 || sectorSize < 28) return undefined
  const descriptor = openSync(file, 'r')
  try {
    const { size } = statSync(file)
    const start = Buffer.alloc(4 + counterAt + 4)
    for (let at = sectorSize; at + record <= size; at += record) {
      readSync(descriptor, start, 0, start.length, at)
      if (start.readUInt32BE(0) === 1) return start.readUInt32BE(4 + counterAt)
    }
    return undefined
  } finally {
    closeSync(descriptor)
  }
}

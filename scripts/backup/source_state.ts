import { createHash } from 'node:crypto'
import { type BigIntStats, closeSync, openSync, readSync, statSync } from 'node:fs'
import { realPathOf } from '../database/real_path.ts'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'

/** Times of files have steps of some milliseconds: a write in the same step as the look would not move them. */
const settledMs = 2000n
/** Bytes; checkpoints keep a log at some MB where all is well. */
const largestLog = 64_000_000n

/**
 * What a database's files look like from outside: as long as that is the same, nothing was committed. null: it cannot
 * be told, so a change in the next moment might not show. No one sign is enough (in WAL mode the header's change
 * counter stands still), so all are taken together: inode, size and both times of the database and its header; of its
 * log and its journal inode, size, time and, of the log, all that is in it and what its index says is committed. To be
 * called where this process does not have the database open.
 */
export function stateOf(path: string): string | null {
  const database = realPathOf(path)
  try {
    const main = statSync(database, { bigint: true })
    const [log, journal] = ['-wal', '-journal'].map(suffix => statOfSideFile(database + suffix))
    const now = BigInt(Date.now())
    // to read all of a log that nobody has checkpointed for long takes longer than a backup of what it changes may
    if (log !== undefined && log.size > largestLog) return null
    const times = [main.mtimeMs, main.ctimeMs, ...[log, journal].flatMap(stat => stat?.mtimeMs ?? [])]
    if (times.some(time => now - time < settledMs)) return null
    const facts = [`${factsOf(main)}:${main.ctimeNs}`, ...[log, journal].map(factsOf)]
    const logged = log === undefined ? [] : [digestOf(`${database}-wal`), committedIn(`${database}-shm`)]
    return [...facts, headOf(database, 100).toString('base64'), ...logged].join(' ')
  } catch (error) {
    // a file that goes in this very moment
    if (codeOf(error) === '') throw error
    return null
  }
}

/** Without the time of its inode: each reader that is root moves that of a log or journal, our own backup too. */
function factsOf(stat: BigIntStats | undefined): string {
  return stat === undefined ? '-' : [stat.dev, stat.ino, stat.size, stat.mtimeNs].join(':')
}

/** An empty log or journal, as a reader in WAL mode makes one, says as much as none. */
function statOfSideFile(file: string): BigIntStats | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined || stat.size === 0n ? undefined : stat
}

/**
 * The header of the log's index (SQLite, "WAL-mode File Format"). A transaction is committed when this says so, which
 * can be seconds after it was written to the log: until then no copy has it.
 */
function committedIn(index: string): string {
  const exists = statSync(index, { throwIfNoEntry: false }) !== undefined
  return exists ? headOf(index, 48).toString('base64') : '-'
}

/** Of a log, some MB long at most where all is well. */
function digestOf(file: string): string {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(1 << 20)
  const handle = openSync(file, 'r')
  try {
    for (let read = readSync(handle, buffer); read > 0; read = readSync(handle, buffer))
      hash.update(buffer.subarray(0, read))
  } finally {
    closeSync(handle)
  }
  return hash.digest('base64')
}

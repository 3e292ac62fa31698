import { type BigIntStats, statSync } from 'node:fs'
import { headOf } from '../job/database_header.ts'
import { codeOf } from '../job/errors.ts'

/** Times of files have steps of some milliseconds: a write in the same step as the look would not move them. */
const settledMs = 2000n

/**
 * What a database's files look like from outside: as long as that is the same, nothing was committed. null: it cannot
 * be told, so a change in the next moment might not show. No one sign is enough (in WAL mode the header's change
 * counter stands still), so all are taken together: inode, size and both times of the database, its log and its
 * journal, its header, the salt of its log. To be called where this process does not have the database open.
 */
export function stateOf(database: string): string | null {
  try {
    const main = statSync(database, { bigint: true })
    const [log, journal] = ['-wal', '-journal'].map(suffix => statOfSideFile(database + suffix))
    const stats = [main, log, journal]
    const now = BigInt(Date.now())
    const times = stats.flatMap(stat => (stat === undefined ? [] : [stat.mtimeMs, stat.ctimeMs]))
    if (times.some(time => now - time < settledMs)) return null
    const facts = stats.map(stat => {
      return stat === undefined ? '-' : [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':')
    })
    const heads = [headOf(database, 100), ...(log === undefined ? [] : [headOf(`${database}-wal`, 32)])]
    return [...facts, ...heads.map(head => head.toString('base64'))].join(' ')
  } catch (error) {
    // a file that goes in this very moment
    if (codeOf(error) === '') throw error
    return null
  }
}

/** An empty log or journal, as a reader in WAL mode makes one, says as much as none. */
function statOfSideFile(file: string): BigIntStats | undefined {
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stat === undefined || stat.size === 0n ? undefined : stat
}

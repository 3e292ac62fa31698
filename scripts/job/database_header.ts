import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'

const magic = Buffer.from('SQLite format 3\0')

/**
 * Whether `file` is plainly no SQLite database: it begins otherwise, or it has been cut to nothing beside a log of
 * changes. SQLite itself must not be let at such a one: it deletes that log or writes it into the garbage, and with
 * it what could still have been told from them. Where nothing can be told, that is left to SQLite.
 *
 * To be asked before this process has the file open through SQLite only: closing it here drops SQLite's locks.
 */
export function isForeign(file: string): boolean {
  try {
    const descriptor = openSync(file, 'r')
    try {
      if (fstatSync(descriptor).size === 0) return statSync(`${file}-wal`).size > 0
      const head = Buffer.alloc(magic.length)
      readSync(descriptor, head, 0, head.length, 0)
      return !head.equals(magic)
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return false
  }
}

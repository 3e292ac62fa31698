import { closeSync, openSync, readSync, statSync } from 'node:fs'

/** How every SQLite database begins. */
export const magic = Buffer.from('SQLite format 3\0')

/** The first bytes of a file, as many as there are. Not of a file that this process has open through SQLite. */
export function headOf(file: string, length: number): Buffer {
  const head = Buffer.alloc(length)
  const descriptor = openSync(file, 'r')
  try {
    return head.subarray(0, readSync(descriptor, head, 0, length, 0))
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Whether `file` is plainly no SQLite database: it begins otherwise, or it has been cut to nothing beside a log of
 * changes. SQLite itself must not be let at such a one: it deletes that log or writes it into the garbage, and with
 * it what could still have been told from them. Where nothing can be told, that is left to SQLite.
 *
 * To be asked before this process has the file open through SQLite only: closing it here drops SQLite's locks.
 */
export function isForeign(file: string): boolean {
  try {
    const head = headOf(file, magic.length)
    return head.length === 0 ? statSync(`${file}-wal`).size > 0 : !head.equals(magic)
  } catch {
    return false
  }
}

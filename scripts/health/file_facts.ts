import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { codeOf, messageOf } from '../job/errors.ts'

/** What a database file looks like from outside, without SQLite. Sizes in bytes. */
export type FileFacts =
  | { kind: 'missing' }
  | { kind: 'empty' }
  | { kind: 'foreign' }
  | { kind: 'unreadable'; why: string }
  | { kind: 'database'; bytes: number; journalMode: 'wal' | 'rollback'; wal: number; journal: number }

const magic = 'SQLite format 3\0'

/**
 * Looks at a file and at what lies beside it. Bytes 18 and 19 of the header are 2 in WAL mode, 1 otherwise (SQLite,
 * "Database File Format"). To be called in a process that does not have the file open through SQLite: closing it
 * here would drop SQLite's locks.
 */
export function lookAtFile(file: string): FileFacts {
  try {
    const bytes = statSync(file).size
    if (bytes === 0) return { kind: 'empty' }
    const header = Buffer.alloc(100)
    const descriptor = openSync(file, 'r')
    const read = readSync(descriptor, header)
    closeSync(descriptor)
    if (read < header.length || header.toString('latin1', 0, magic.length) !== magic)
      return { kind: 'foreign' }
    const journalMode = header[18] === 2 ? 'wal' : 'rollback'
    return {
      kind: 'database',
      bytes,
      journalMode,
      wal: sizeOf(`${file}-wal`),
      journal: journalSize(`${file}-journal`),
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { kind: 'missing' }
    return { kind: 'unreadable', why: codeOf(error) || messageOf(error) }
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** Size of a journal that SQLite would play back; its mode PERSIST leaves one with zeros at its beginning. */
function journalSize(file: string): number {
  const bytes = sizeOf(file)
  if (bytes === 0) return 0
  const first = Buffer.alloc(1)
  const descriptor = openSync(file, 'r')
  readSync(descriptor, first)
  closeSync(descriptor)
  return first[0] === 0 ? 0 : bytes
}

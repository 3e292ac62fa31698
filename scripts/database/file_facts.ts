import { statSync } from 'node:fs'
import { headOf, magic } from '../job/database_header.ts'
import { codeOf, messageOf } from '../job/errors.ts'
import { realPathOf } from './real_path.ts'

/** What a database file looks like from outside, without SQLite. Sizes in bytes. */
export type FileFacts =
  | { kind: 'missing' }
  | { kind: 'empty' }
  | { kind: 'foreign' }
  | { kind: 'unreadable'; why: string }
  | { kind: 'database'; bytes: number; journalMode: 'wal' | 'rollback'; wal: number; journal: number }

/**
 * Looks at a file and at what lies beside it. Bytes 18 and 19 of the header are 2 in WAL mode, 1 otherwise (SQLite,
 * "Database File Format"). To be called in a process that does not have the file open through SQLite: closing it
 * here would drop SQLite's locks.
 */
export function lookAtFile(path: string): FileFacts {
  const file = realPathOf(path)
  try {
    const bytes = statSync(file).size
    if (bytes === 0) return { kind: 'empty' }
    const header = headOf(file, 100)
    if (header.length < 100 || !header.subarray(0, magic.length).equals(magic)) return { kind: 'foreign' }
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
  try {
    const { size } = statSync(file)
    return size === 0 || headOf(file, 1)[0] === 0 ? 0 : size
  } catch (error) {
    // a writer takes its journal away with every commit
    if (codeOf(error) === 'ENOENT') return 0
    throw error
  }
}

import { closeSync, fstatSync, ftruncateSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import Database from 'better-sqlite3'
import { headOf } from '../job/database_header.ts'
import { layoutOf } from './readable_file.ts'

/**
 * Plays back what lies beside a damaged file, a log or the journal of a transaction that was cut off, as SQLite would
 * when it is opened next. SQLite does that by the header; where there is none any more, the first page of the backup is
 * put in its place, and true is the answer. To be called before either file is read in other ways.
 */
export function settle(damaged: string, backup: string): boolean {
  const wal = sizeOf(`${damaged}-wal`) > 0
  const beside = wal || sizeOf(`${damaged}-journal`) > 0
  const grafted = beside && layoutOf(headOf(damaged, 100)) === undefined
  if (grafted) graftFirstPage(damaged, backup, wal)
  if (beside) playBack(damaged)
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(damaged + suffix, { force: true })
  return grafted
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** Writes the backup's first page, with a header that fits the file: whole pages, none of them free. */
function graftFirstPage(damaged: string, backup: string, wal: boolean): void {
  const layout = layoutOf(headOf(backup, 100))
  if (layout === undefined) throw new Error(`the backup ${backup} is no database`)
  const { pageSize } = layout
  const page = Buffer.alloc(pageSize)
  const source = openSync(backup, 'r')
  readSync(source, page, 0, pageSize, 0)
  closeSync(source)
  const target = openSync(damaged, 'r+')
  try {
    const pages = Math.max(1, Math.floor(fstatSync(target).size / pageSize))
    ftruncateSync(target, pages * pageSize)
    page.fill(wal ? 2 : 1, 18, 20)
    page.writeUInt32BE(pages, 28)
    page.fill(0, 32, 40)
    // the number of pages counts where both counters are the same
    page.copy(page, 92, 24, 28)
    writeSync(target, page, 0, pageSize, 0)
  } finally {
    closeSync(target)
  }
}

/** A first read plays a journal back, and closing the last connection writes the log into the file. */
function playBack(file: string): void {
  const database = new Database(file)
  try {
    database.exec('PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF')
    database.prepare('SELECT count(*) FROM sqlite_master').get()
  } catch {
    // that the schema cannot be read comes after both
  } finally {
    database.close()
  }
}

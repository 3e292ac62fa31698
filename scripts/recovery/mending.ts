import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'

/** Makes all indexes of a private copy anew, from their tables. Throws what SQLite throws. */
export function rebuildIndexes(file: string): void {
  const database = new Database(file)
  try {
    database.pragma('synchronous = FULL')
    database.exec('REINDEX')
    database.pragma('journal_mode = DELETE')
  } finally {
    database.close()
  }
}

/** Writes a private copy anew to `target`. Throws what SQLite throws. */
export function vacuumInto(file: string, target: string): void {
  removeAll(target)
  const database = new Database(file)
  try {
    database.prepare('VACUUM INTO ?').run(target)
  } finally {
    database.close()
  }
}

function removeAll(file: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(file + suffix, { force: true })
}

/**
 * Of some rows, those that an earlier database has too and that are otherwise there. A table that it lacks, or that
 * has no rowids or other columns, has none.
 */
export function compareRows(
  file: string,
  earlier: string,
  rows: { table: string; rowids: string[] }[],
): { table: string; rowid: string }[] {
  const database = new Database(file, { readonly: true })
  try {
    database.prepare('ATTACH ? AS earlier').run(earlier)
    return rows.flatMap(({ table, rowids }) => {
      try {
        const name = `"${table.replaceAll('"', '""')}"`
        // IS, as a row value, compares NULL too; the union has two rows where they differ
        const differs = database
          .prepare(
            `SELECT (SELECT count(*) FROM (SELECT * FROM main.${name} WHERE rowid = @row
               UNION SELECT * FROM earlier.${name} WHERE rowid = @row)) > 1
             AND EXISTS (SELECT 1 FROM earlier.${name} WHERE rowid = @row)`,
          )
          .pluck()
        return rowids
          .filter(rowid => differs.get({ row: BigInt(rowid) }) === 1)
          .map(rowid => ({ table, rowid }))
      } catch (error) {
        if (error instanceof Database.SqliteError) return []
        throw error
      }
    })
  } finally {
    database.close()
  }
}

/** Makes an empty database at `target` with the tables, indexes, views and triggers of `file`. Throws what SQLite throws. */
export function makeOutline(file: string, target: string): void {
  removeAll(target)
  const from = new Database(file)
  const to = new Database(target)
  try {
    const number = (name: string) => Number(from.pragma(name, { simple: true }))
    for (const name of ['page_size', 'auto_vacuum', 'user_version', 'application_id'])
      to.pragma(`${name} = ${number(name)}`)
    const statements = from
      .prepare(
        `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
      )
      .pluck()
      .all() as string[]
    to.transaction(() => statements.forEach(sql => to.exec(sql)))()
  } finally {
    to.close()
    from.close()
  }
}

const busyMs = 10_000
const tries = 5

/**
 * Writes `file` into the database at `target` while processes have that open: to its readers it becomes the new one at
 * one moment. How many pages were written. Throws where it cannot be done; the target is as it was then.
 */
export async function writeThrough(file: string, target: string): Promise<number> {
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    for (let attempt = 1; attempt <= tries; attempt++) {
      const { totalPages } = await database.backup(target, { progress: () => 0x7fffffff })
      // where its first step meets a lock it says that it is done, and has copied nothing
      if (totalPages > 0) return totalPages
      await delay(200 * attempt)
    }
  } finally {
    database.close()
  }
  throw new Database.SqliteError('a writer was in the way all the time', 'SQLITE_BUSY')
}

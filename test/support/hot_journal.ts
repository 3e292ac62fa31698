import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const program = `
  const Database = require('better-sqlite3')
  const database = new Database(process.argv[1])
  // a cache of one page: what does not fit is written to the file, and its old content to the journal before
  database.pragma('cache_size = 1')
  database.exec('BEGIN')
  for (const name of database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all())
    database.exec('DELETE FROM ' + name)
  process.kill(process.pid, 'SIGKILL')
`

/** Empties all tables of a database in rollback mode and is killed before the commit: a hot journal is left. */
export function leaveHotJournal(file: string): void {
  const cwd = join(import.meta.dirname, '../..')
  const { stderr } = spawnSync(process.execPath, ['-e', program, file], { cwd, encoding: 'utf8' })
  if (!existsSync(`${file}-journal`)) throw new Error(`no journal was left: ${stderr}`)
}

/**
 * Takes copies of a database and proves them, in a process of its own: SQLite's work cannot be stopped from within, and
 * what reads the database's file drops SQLite's locks on it. Reads requests from standard input and answers on standard
 * output, both a line of JSON each.
 */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { integrityProblems } from '../database/integrity.ts'
import { endWithParent } from '../database/orphan.ts'
import { copySealed } from '../database/sealed_copy.ts'
import { headOf } from '../job/database_header.ts'
import { codeOf, messageOf } from '../job/errors.ts'
import { giveWay } from '../job/process.ts'
import type { Proof, SnapshotAnswer, SnapshotRequest, Taken } from './snapshot_protocol.ts'

const busyMs = 10_000
const tries = 5
const problemsShown = 20
// copies hold everything that the database does, also while they are made
process.umask(0o077)

const sideFiles = ['-journal', '-wal', '-shm']

async function answer(request: SnapshotRequest): Promise<SnapshotAnswer> {
  try {
    if (request.task === 'take') return { taken: await take(request) }
    return { proof: prove(request.file) }
  } catch (error) {
    return { error: { code: codeOf(error), message: messageOf(error) } }
  }
}

/**
 * In WAL mode by SQLite's backup API, since readers are in nobody's way there. In rollback mode a reader keeps writers
 * out, and that takes the API twice as long as copying the file under the same lock. Whichever does not work for a
 * reason that says nothing of the database is followed by VACUUM INTO.
 */
async function take({ file, target, rollback }: Extract<SnapshotRequest, { task: 'take' }>): Promise<Taken> {
  try {
    if (!rollback) return await backUp(file, target)
    const { heldMs } = await copySealed(file, target)
    return { method: 'copy', heldMs }
  } catch (error) {
    if (!(error instanceof NothingCopied) && codeOf(error) !== 'SQLITE_ERROR') throw error
    return vacuumInto(file, target, rollback)
  }
}

class NothingCopied extends Error {}

async function backUp(file: string, target: string): Promise<Taken> {
  for (let attempt = 1; attempt <= tries; attempt++) {
    removeAll(target)
    const database = new Database(file, { readonly: true, timeout: busyMs })
    try {
      // all pages in one step: in several, each write in between would make it begin anew, for ever under a busy writer
      const { totalPages } = await database.backup(target, { progress: () => 0x7fffffff })
      // where its first step meets a lock it says that it is done, and has copied nothing
      if (totalPages > 0) return { method: 'backup', heldMs: undefined }
    } finally {
      database.close()
    }
    await delay(200 * attempt)
  }
  throw new NothingCopied('the backup API copied nothing')
}

function vacuumInto(file: string, target: string, rollback: boolean): Taken {
  removeAll(target)
  const began = performance.now()
  const database = new Database(file, { readonly: true, timeout: busyMs })
  try {
    database.prepare('VACUUM INTO ?').run(target)
    return { method: 'vacuum', heldMs: rollback ? performance.now() - began : undefined }
  } finally {
    database.close()
  }
}

/**
 * A whole check of the copy. That SQLite finds nothing is not enough: an empty file is sound too, and so is what a
 * killed backup leaves.
 */
function prove(file: string): Proof {
  const proof = proveOpen(file)
  // SQLite also says that it has left WAL mode where the disk did not let it
  if (headOf(file, 19)[18] === 2) throw new Error('its copy could not be taken out of WAL mode')
  return proof
}

function proveOpen(file: string): Proof {
  // it takes a processor for as long as it lasts
  giveWay()
  const database = new Database(file, { timeout: 0 })
  try {
    // a copy of a database in WAL mode would get a log and an index beside it each time that it is looked at
    const mode = database.pragma('journal_mode = DELETE', { simple: true })
    const number = (name: string) => Number(database.pragma(name, { simple: true }))
    const problems = integrityProblems(database, 'integrity_check', problemsShown)
    if (mode !== 'delete') problems.push(`the copy stays in journal mode ${String(mode)}`)
    const tables = countRows(database)
    if (tables.length === 0) problems.push('it has no table')
    return {
      problems,
      database: {
        page_size: number('page_size'),
        page_count: number('page_count'),
        schema_sha256: digestOfSchema(database),
        user_version: number('user_version'),
        application_id: number('application_id'),
        tables,
        candles: newestCandles(database, tables),
      },
      sqlite: database.prepare('SELECT sqlite_version()').pluck().get() as string,
    }
  } finally {
    database.close()
  }
}

/** Rows of each table, but for those that a virtual table keeps its content in. */
function countRows(database: Database.Database): { name: string; rows: number }[] {
  const names = database
    .prepare(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )
    .pluck()
    .all() as string[]
  const rows = (name: string) =>
    database
      .prepare(`SELECT count(*) FROM "${name.replaceAll('"', '""')}"`)
      .pluck()
      .get() as number
  return names.map(name => ({ name, rows: rows(name) }))
}

/** The agent's candle tables are `ohlcv_h1`, `ohlcv_h4`, `ohlcv_d1`; its `timestamp` is the open time in milliseconds. */
function newestCandles(database: Database.Database, tables: { name: string }[]) {
  return tables
    .map(({ name }) => name)
    .filter(name => /^ohlcv_[hd]\d+$/.test(name))
    .map(table => {
      // the agent may have a table of such a name that is something else
      const columns = database.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table)
      if (!columns.includes('timestamp')) return { table, newest: null }
      const newest = database.prepare(`SELECT max(timestamp) FROM ${table}`).pluck().get()
      const time = typeof newest === 'number' ? new Date(newest) : undefined
      return { table, newest: time === undefined || Number.isNaN(time.getTime()) ? null : time.toISOString() }
    })
}

function digestOfSchema(database: Database.Database): string {
  const schema = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name')
  return createHash('sha256').update(JSON.stringify(schema.raw().all())).digest('hex')
}

function removeAll(file: string): void {
  for (const suffix of ['', ...sideFiles]) rmSync(file + suffix, { force: true })
}

// last: what is above has to be there, classes too, before the first request is answered
endWithParent()
for await (const line of createInterface({ input: process.stdin })) {
  const found = await answer(JSON.parse(line) as SnapshotRequest)
  process.stdout.write(`${JSON.stringify(found)}\n`)
}

/**
 * Looks into a database in a process of its own, so that whatever damage does to it, the health check goes on, and
 * can end it when it takes too long. Reads requests from standard input and answers on standard output, both a line
 * of JSON each.
 */
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'
import { countCandleDays } from '../candles/candle_days.ts'
import { inspectCandles, inspectSeals } from '../candles/inspect.ts'
import { integrityProblems } from '../database/integrity.ts'
import { copySealed } from '../database/sealed_copy.ts'
import { codeOf, messageOf } from '../job/errors.ts'
import { giveWay } from '../job/process.ts'
import type { ExaminerRequest, Findings } from './examiner_protocol.ts'

const busyMs = 10_000
/** Checking follows the indexes all over the file: mapped into memory that takes a quarter less. */
const mappedBytes = 4 * 2 ** 30
const problemsShown = 100

for await (const line of createInterface({ input: process.stdin })) {
  const findings = await answer(JSON.parse(line) as ExaminerRequest)
  process.stdout.write(`${JSON.stringify(findings)}\n`)
}

/** What was found, as far as it could be looked. */
async function answer(request: ExaminerRequest): Promise<Findings> {
  const findings: Findings = {}
  try {
    if (request.task === 'copy') findings.copy = await copySealed(request.file, request.target)
    else lookInto(request, findings)
  } catch (error) {
    findings.error = { code: codeOf(error), message: messageOf(error) }
  }
  return findings
}

function lookInto(request: Exclude<ExaminerRequest, { task: 'copy' }>, findings: Findings): void {
  const database = new Database(request.file, { readonly: true, timeout: busyMs })
  try {
    database.pragma(`mmap_size = ${mappedBytes}`)
    // one state of the database for everything that is looked at
    database.exec('BEGIN')
    if (request.task === 'structure') {
      // it takes a processor for as long as it lasts: the trading agent comes first
      giveWay()
      findings.structure = checkStructure(database, request.quick)
    } else if (request.task === 'days') {
      findings.days = countCandleDays(database, request.table, request)
    } else {
      findings.size = sizeOf(database)
      findings.candles = inspectCandles(database, request.table, request.lastClosed)
      findings.broken = inspectSeals(database, request.seals)
    }
  } finally {
    database.close()
  }
}

function checkStructure(database: Database.Database, quick: boolean) {
  const check = quick ? 'quick_check' : 'integrity_check'
  const problems = integrityProblems(database, check, problemsShown)
  const foreignKeys = database
    .prepare('SELECT "table", count(*) AS count FROM pragma_foreign_key_check() GROUP BY "table"')
    .all() as { table: string; count: number }[]
  return { problems, foreignKeys }
}

function sizeOf(database: Database.Database) {
  const number = (name: string) => Number(database.pragma(name, { simple: true }))
  const [pages, free, bytes] = [number('page_count'), number('freelist_count'), number('page_size')]
  return { file: pages * bytes, used: (pages - free) * bytes, free: free * bytes }
}

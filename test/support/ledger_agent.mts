/**
 * Writes a ledger as a trading agent does, each transaction to several tables, and measures how long each had to wait.
 *
 *     ledger_agent.mts FILE TRANSACTIONS_A_SECOND
 *
 * Answers each line of standard input with a line of JSON: a LedgerReport of what has been committed by then, and of
 * the waits since the line before. It ends with its standard input.
 */
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'
import { ledgerTransaction } from './ledger.ts'

/** `lastId`: the number of the transaction that was committed last. */
export type LedgerReport = {
  lastId: number
  written: number
  failed: number
  longestMs: number
  over100Ms: number
}

const [file, rate] = [process.argv[2] as string, Number(process.argv[3])]
const database = new Database(file, { timeout: 60_000 })
// what is measured is waiting for locks, not for the disk
database.pragma('synchronous = OFF')
// most of the time there is much in the log alone (in WAL mode): a copy of the file without it lacks that
database.pragma('wal_autocheckpoint = 0')
const checkpointEvery = 1500
const statements = ledgerTransaction.split(';').filter(text => text.trim() !== '')
const prepared = statements.map(text => database.prepare(text))
// takes the lock before it reads: as one that only finds out later that it has to write could have to give up
const transaction = database.transaction(() => {
  for (const statement of prepared) statement.run()
})
const lastId = database.prepare('SELECT last_id FROM journal_state').pluck()
let committed = lastId.get() as number
let report = { written: 0, failed: 0, longestMs: 0, over100Ms: 0 }
let due = performance.now()
let ended = false

createInterface({ input: process.stdin })
  .on('line', () => {
    process.stdout.write(`${JSON.stringify({ lastId: committed, ...report })}\n`)
    report = { written: 0, failed: 0, longestMs: 0, over100Ms: 0 }
  })
  .on('close', () => (ended = true))
step()

function step(): void {
  if (ended) {
    database.close()
    return
  }
  // after a long wait it does not try to catch up with everything
  due = Math.max(due, performance.now() - 200)
  for (let i = 0; due <= performance.now() && i < 20; i++, due += 1000 / rate) write()
  setTimeout(step, 1)
}

function write(): void {
  const began = performance.now()
  try {
    transaction.immediate()
    committed += 1
    report.written += 1
  } catch (error) {
    report.failed += 1
    process.stderr.write(`${String(error)}\n`)
  }
  const took = performance.now() - began
  report.longestMs = Math.max(report.longestMs, took)
  if (took > 100) report.over100Ms += 1
  // its own work, and no wait
  if (committed % checkpointEvery === 0) database.pragma('wal_checkpoint(PASSIVE)')
}

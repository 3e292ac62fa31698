/**
 * Writes to a database as a trading agent does, and measures how long each write had to wait.
 *
 *     busy_agent.mts FILE WRITES_A_SECOND
 *
 * Ends with its standard input, and then says how it went: a BusyAgentReport as JSON.
 */
import Database from 'better-sqlite3'

export type BusyAgentReport = { written: number; failed: number; longestMs: number; over50Ms: number }

const [file, rate] = [process.argv[2] as string, Number(process.argv[3])]
const database = new Database(file, { timeout: 30_000 })
// what is measured is waiting for locks, not for the disk
database.pragma('synchronous = OFF')
database.exec('CREATE TABLE IF NOT EXISTS ticks (id INTEGER PRIMARY KEY, at INTEGER, price REAL, note TEXT)')
const insert = database.prepare("INSERT INTO ticks (at, price, note) VALUES (?, ?, 'a tick of the market')")
const report: BusyAgentReport = { written: 0, failed: 0, longestMs: 0, over50Ms: 0 }
const started = performance.now()
let ended = false

process.stdin.resume().on('end', () => (ended = true))
process.stdout.write('ready\n')
step()

function step(): void {
  if (ended) {
    database.close()
    process.stdout.write(`${JSON.stringify(report)}\n`)
    return
  }
  const due = ((performance.now() - started) / 1000) * rate
  // after a long wait it does not try to catch up with everything at once
  for (let i = 0; report.written < due && i < 20; i++) write()
  setTimeout(step, 1)
}

function write(): void {
  const began = performance.now()
  try {
    insert.run(Date.now(), Math.random())
    report.written += 1
  } catch (error) {
    report.failed += 1
    process.stderr.write(`${String(error)}\n`)
  }
  const took = performance.now() - began
  report.longestMs = Math.max(report.longestMs, took)
  if (took > 50) report.over50Ms += 1
}

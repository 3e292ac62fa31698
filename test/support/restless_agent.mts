/**
 * Writes to a database in rollback mode as somebody does who makes it hard to copy: commits, transactions that are larger
 * than the cache and are rolled back after they have reached the file, and pauses. `balance` always says what
 * `ledger` comes to.
 *
 *     restless_agent.mts FILE
 *
 * Ends with its standard input.
 */
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'

const database = new Database(process.argv[2], { timeout: 30_000 })
database.pragma('synchronous = OFF')
database.pragma('cache_size = 4')
database.exec(`
  CREATE TABLE IF NOT EXISTS ledger (id INTEGER PRIMARY KEY, amount INTEGER, note TEXT);
  CREATE TABLE IF NOT EXISTS balance (entries INTEGER, amount INTEGER);
  INSERT INTO balance SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM balance)`)
const insert = database.prepare('INSERT INTO ledger (amount, note) VALUES (?, hex(randomblob(50)))')
const book = database.prepare('UPDATE balance SET entries = entries + 1, amount = amount + ?')
const ended = new AbortController()

process.stdin.resume().on('end', () => ended.abort())
process.stdout.write('ready\n')
while (!ended.signal.aborted) {
  const entries = Math.random() < 0.5 ? 1 : 200
  database.exec('BEGIN')
  for (let i = 0; i < entries; i++) {
    const amount = Math.round(Math.random() * 1000)
    insert.run(amount)
    book.run(amount)
  }
  // rows all over the file, so that pages of all ages reach it before they are taken back
  if (Math.random() < 0.4) database.exec("UPDATE ledger SET note = 'taken back' WHERE id % 7 = 0; ROLLBACK")
  else database.exec('COMMIT')
  await delay(Math.random() < 0.5 ? Math.random() * 5 : Math.random() * 200)
}
database.close()

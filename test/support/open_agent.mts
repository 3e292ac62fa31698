/**
 * Keeps a database open as a trading agent does, by better-sqlite3: runs each line of standard input as statements on
 * its one connection and answers with a line of JSON, the rows of the last statement or the error.
 *
 *     open_agent.mts FILE
 */
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'

const database = new Database(process.argv[2], { timeout: 10_000 })

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(answer(line))}\n`)

function answer(sql: string): object {
  try {
    const statement = database.prepare(sql)
    return { rows: statement.reader ? statement.all() : [statement.run().changes] }
  } catch (error) {
    return { error: String(error) }
  }
}

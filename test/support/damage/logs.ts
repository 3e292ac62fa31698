import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { below, change, type Damage, header, pages, randomBytes, type Target } from '../damages.ts'
import { leaveHotJournal } from '../hot_journal.ts'
import { type Build, life, sqlite } from '../recovery_stage.ts'

const unlessWal = ({ journalMode }: Build) => journalMode !== 'wal'
const unlessRollback = ({ journalMode }: Build) => journalMode !== 'delete'

/** Takes the newest rows of the agent away again, as if they had not come yet. */
const retreat = `
  DELETE FROM fills WHERE id > 2300; DELETE FROM trade_log WHERE id > 2300; DELETE FROM audit WHERE trade > 2300;
  DELETE FROM grid WHERE level > 2300; DELETE FROM sentiment WHERE at > 1700000002300; DELETE FROM models WHERE id > 46;
  UPDATE state SET trades = 2300;`

/** Writes by a connection that goes without a checkpoint, as a process that is killed does: it is in the log only. */
function leaveInLog(database: string, sql: string): void {
  sqlite(database, `.dbconfig no_ckpt_on_close on\nPRAGMA wal_autocheckpoint = 0;\n${sql}`)
  if (!existsSync(`${database}-wal`)) throw new Error('no log was left')
}

/** The newest rows are committed, and in the log only. */
function newestInLog({ database }: Target): void {
  sqlite(database, retreat)
  leaveInLog(database, life(2301, 2400))
}

/** A log of an earlier time lies beside the database again, as a restore of single files leaves it. */
function oldLog({ database }: Target): void {
  leaveInLog(database, retreat)
  const kept = readFileSync(`${database}-wal`)
  sqlite(database, life(2301, 2400))
  writeFileSync(`${database}-wal`, kept)
  rmSync(`${database}-shm`, { force: true })
}

/** Emptied within a transaction that never ended: the journal has all that was there. */
function hotJournal({ database }: Target): void {
  leaveHotJournal(database)
}

/** A journal of an earlier time, of a few pages, that SQLite takes for hot. */
function oldJournal({ database }: Target): void {
  sqlite(database, retreat)
  const now = `${database}.now`
  cpSync(database, now)
  leaveHotJournal(database)
  cpSync(now, database)
  rmSync(now)
  const journal = readFileSync(`${database}-journal`)
  rmSync(`${database}-journal`)
  sqlite(database, life(2301, 2400))
  writeFileSync(`${database}-journal`, journal)
}

function cut(suffix: '-wal' | '-journal') {
  return ({ database, random }: Target) =>
    change(database + suffix, bytes => bytes.subarray(0, 1 + below(random, bytes.length - 1)))
}

function flip(suffix: '-wal' | '-journal') {
  return ({ database, random }: Target) =>
    change(database + suffix, bytes => {
      const at = below(random, bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 + below(random, 255))
    })
}

/** One after the other. */
function both(...strikes: Damage['strike'][]): Damage['strike'] {
  return target => {
    for (const strike of strikes) strike(target)
  }
}

const noise = pages(4, (page, { random }) => void randomBytes(page.length, random).copy(page))
const smashHeader = header(100, (length, { random }) => randomBytes(length, random))

/** What befalls a log or a journal, or a database that has one beside it. */
export const logDamages: Damage[] = [
  { name: 'newest rows in the log only', strike: newestInLog, unless: unlessWal, lossless: true },
  { name: 'a log and pages of noise', strike: both(newestInLog, noise), unless: unlessWal },
  { name: 'a log and a header overwritten', strike: both(newestInLog, smashHeader), unless: unlessWal },
  { name: 'a log cut', strike: both(newestInLog, cut('-wal')), unless: unlessWal },
  { name: 'a log cut and pages of noise', strike: both(newestInLog, cut('-wal'), noise), unless: unlessWal },
  { name: 'a log with a flipped byte', strike: both(newestInLog, flip('-wal')), unless: unlessWal },
  {
    name: 'a log whose database is gone',
    strike: both(newestInLog, ({ database }) => rmSync(database)),
    unless: unlessWal,
  },
  { name: 'a log of an earlier time', strike: oldLog, unless: unlessWal },
  { name: 'a hot journal', strike: hotJournal, unless: unlessRollback, lossless: true },
  { name: 'a hot journal and pages of noise', strike: both(hotJournal, noise), unless: unlessRollback },
  {
    name: 'a hot journal and a header overwritten',
    strike: both(hotJournal, smashHeader),
    unless: unlessRollback,
  },
  { name: 'a hot journal cut', strike: both(hotJournal, cut('-journal')), unless: unlessRollback },
  {
    name: 'a hot journal with a flipped byte',
    strike: both(hotJournal, flip('-journal')),
    unless: unlessRollback,
  },
  {
    name: 'a hot journal whose database is gone',
    strike: both(hotJournal, ({ database }) => rmSync(database)),
    unless: unlessRollback,
  },
  { name: 'a journal of an earlier time', strike: oldJournal, unless: unlessRollback, lossless: true },
  {
    name: 'a journal of an earlier time, cut',
    strike: both(oldJournal, cut('-journal')),
    unless: unlessRollback,
  },
]

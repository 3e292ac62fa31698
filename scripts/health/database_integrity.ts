import type { FileFacts } from '../database/file_facts.ts'
import { command, count, formatBytes, quote, some, whoHolds } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** What SQLite's own check said. */
type SqliteVerdict = {
  /** Lines of `integrity_check` or `quick_check`; none: ok. */
  problems: string[]
  /** Rows that refer to rows which are not there, by table. */
  foreignKeys: { table: string; count: number }[]
}

/** What the seals said of the stored candles. */
type SealVerdict = {
  /** How many there are, each of a symbol and interval. */
  symbols: number
  /** Those whose months were all compared in this run. */
  verified: number
  broken: { interval: string; symbol: string; month: string }[]
}

export type IntegrityFacts = {
  database: string
  file: FileFacts
  quick: boolean
  /** The interval that is configured. */
  interval: string
  /** Whether candles are stored that should be sealed. */
  hasCandles: boolean
  /** For how long writers had to wait while the database was copied. */
  heldMs: number | undefined
  /** A transaction that was cut off and nobody has rolled back. */
  hotJournal: boolean
  sqlite: SqliteVerdict | { unknown: string } | { damaged: string }
  seals: SealVerdict | { unknown: string } | { damaged: string }
}

/** [3/6] Whether the database is one, whole, and says what was once stored. */
export function judgeIntegrity(facts: IntegrityFacts): CheckResult {
  const { database, file, sqlite, seals, quick } = facts
  const inside = [
    ...(facts.hotJournal ? [hotJournalFound(database)] : []),
    ...judgeSqlite(sqlite, database),
    ...judgeSeals(facts),
  ]
  const findings = [...judgeFile(file, database), ...(file.kind === 'database' ? inside : [])]
  const sealed =
    'verified' in seals ? `seals of ${seals.verified}/${seals.symbols} symbols hold` : 'seals not compared'
  const name = quick ? 'quick_check' : 'integrity_check'
  return conclusion('database_integrity', findings, `${name} ok, ${sealed}`, {
    check: name,
    problems: 'problems' in sqlite ? sqlite.problems : null,
    foreign_key_violations: 'foreignKeys' in sqlite ? sqlite.foreignKeys : null,
    sealed_symbols: 'symbols' in seals ? seals.symbols : null,
    verified_symbols: 'verified' in seals ? seals.verified : null,
    broken_seals: 'broken' in seals ? seals.broken : null,
    journal_mode: 'journalMode' in file ? file.journalMode : null,
    wal_bytes: 'wal' in file ? file.wal : null,
    writers_held_ms: facts.heldMs === undefined ? 0 : Math.round(facts.heldMs),
  })
}

/** It keeps the evidence, asks before it does anything, and says what that would be. */
const recovery = command('db_recovery')

function judgeFile(file: FileFacts, database: string): Finding[] {
  if (file.kind === 'missing') {
    // the disk that it is on may not be mounted
    const look = `ls -la ${quote(database.replace(/\/[^/]*$/, ''))}`
    return [{ status: 'critical', line: `${database} is not there`, advice: look }]
  }
  if (file.kind === 'unreadable') {
    return [
      {
        status: 'unknown',
        line: `${database} cannot be read: ${file.why}`,
        advice: `ls -la ${quote(database)}`,
      },
    ]
  }
  if (file.kind === 'empty') return critical(`${database} has no bytes at all`)
  if (file.kind === 'foreign') return critical(`${database} is not a SQLite database`)
  const { journalMode, wal, journal, bytes } = file
  // SQLite would roll back, or write in, what is in them, whatever database they belong to
  if (journalMode === 'rollback' && wal > 0)
    return critical(
      `a write-ahead log (${formatBytes(wal)}) lies beside a database in rollback mode: it may belong to another one`,
    )
  if (journalMode === 'wal' && journal > 0)
    return critical(
      `a rollback journal (${formatBytes(journal)}) lies beside a database in WAL mode: it may belong to another one`,
    )
  if (wal > Math.max(bytes, 100e6)) {
    const line = `the write-ahead log has grown to ${formatBytes(wal)}: some process keeps a transaction open`
    return [{ status: 'warning', line, advice: whoHolds(database) }]
  }
  return []
}

function critical(line: string): Finding[] {
  return [{ status: 'critical', line, advice: recovery }]
}

function hotJournalFound(database: string): Finding {
  return {
    status: 'warning',
    line: 'a transaction was cut off and waits to be rolled back: its writer was killed and is not back yet',
    advice: whoHolds(database),
  }
}

function judgeSqlite(sqlite: IntegrityFacts['sqlite'], database: string): Finding[] {
  if ('unknown' in sqlite) return [{ status: 'unknown', line: sqlite.unknown, advice: whoHolds(database) }]
  if ('damaged' in sqlite) return [{ status: 'critical', line: sqlite.damaged, advice: recovery }]
  const { problems, foreignKeys } = sqlite
  const findings: Finding[] = []
  if (problems.length > 0) {
    const line = `SQLite finds damage: ${some(problems, 2)}`
    findings.push({ status: 'critical', line, advice: recovery })
  }
  if (foreignKeys.length > 0) {
    const total = foreignKeys.reduce((sum, entry) => sum + entry.count, 0)
    const line = `${count(total, 'row')} of ${some(foreignKeys.map(({ table }) => table))} refer to rows that are not there`
    const list = `sqlite3 -readonly ${quote(database)} "PRAGMA foreign_key_check"`
    findings.push({ status: 'warning', line, advice: list })
  }
  return findings
}

function judgeSeals({ seals, interval, hasCandles, quick }: IntegrityFacts): Finding[] {
  if ('unknown' in seals) return [{ status: 'unknown', line: seals.unknown }]
  if ('damaged' in seals) return [{ status: 'critical', line: seals.damaged }]
  if (seals.symbols === 0 && hasCandles && !quick) {
    const line = 'no stored candle has a seal: whether they are what was once stored, nobody can say'
    return [{ status: 'unknown', line, advice: command('daily_candle_sync') }]
  }
  // a command for each interval, since a sync is about one
  return [...Map.groupBy(seals.broken, entry => entry.interval)].map(([of, broken]) => {
    const names = broken.map(({ symbol, month }) => `${symbol} ${month}`)
    const since = broken.map(({ month }) => month).toSorted()[0]
    const symbols = [...new Set(broken.map(({ symbol }) => symbol))]
    const other = of === interval ? [] : ['--interval', of]
    const range = ['--symbols', symbols.join(','), '--since', `${since}-01`, '--reread']
    const advice = command('daily_candle_sync', ...other, ...range)
    const which = of === interval ? '' : ` ${of}`
    const line = `stored${which} candles are not what was stored (${count(broken.length, 'seal')} broken): ${some(names)}`
    return { status: 'critical', line, advice }
  })
}

import type { FileFacts } from '../database/file_facts.ts'
import type { Trouble } from '../database/worker.ts'
import { count, formatBytes, some } from '../job/words.ts'
import { problemsListed } from './look.ts'
import type { Look } from './mender_protocol.ts'
import { sortProblems } from './problems.ts'

/** What is wrong with a database. */
export type Damage =
  | 'none'
  | 'missing'
  | 'empty'
  | 'not_a_database'
  | 'unreadable'
  | 'truncated'
  | 'schema'
  | 'pages'
  | 'indexes'
  | 'free_pages'
  | 'foreign_log'
  | 'candles'

/**
 * What would help: nothing; reading candles again that are not what was sealed; mending a private copy of the database
 * itself; or a backup.
 */
type Cure = 'none' | 'resync' | 'itself' | 'restore'

export type Diagnosis = {
  verdict: 'sound' | 'damaged'
  damage: Damage
  cure: Cure
  /** It is a sound database that has no table of ours: nothing of it belongs to us. */
  foreign: boolean
  /** Lines for people. */
  findings: string[]
  /** What SQLite's check is about, as far as it can be told. */
  tables: string[]
  indexes: string[]
  /** Rows that an index does not have, or otherwise: either of the two can be the damaged one. */
  doubtful: { table: string; rowids: string[] }[]
}

export type DiagnosisFacts = {
  database: string
  file: FileFacts
  /** undefined: SQLite was not let at it. */
  look: Look | Trouble | undefined
  /** How many bytes the file should have by its own header; undefined: that does not say. */
  declaredBytes: number | undefined
  /** The journal beside it is of another time. */
  staleJournal: boolean
  /** SQLite found a transaction that was cut off, and rolled it back in a copy. */
  hotJournal: boolean
  /** What the newest backup has; undefined: there is none. */
  expected: { tables: string[] } | undefined
}

/** Says what a database suffers from, by what was seen of it. Throws a DoubtfulDiagnosis where that cannot be told. */
export function diagnose(facts: DiagnosisFacts): Diagnosis {
  const { look, hotJournal } = facts
  const outside = judgeFile(facts)
  if (outside !== undefined) return outside
  if (look === undefined) throw new DoubtfulDiagnosis('it has not been looked into')
  if ('unknown' in look) throw new DoubtfulDiagnosis(look.unknown)
  if ('damaged' in look)
    return wrong(isCut(facts) ? 'truncated' : kindOf(look.damaged), 'restore', [look.damaged])
  if (look.problems.length > 0) {
    const found = judgeProblems(look, isCut(facts))
    // where prices have changed as well, it is not only the indexes: of the agent's own rows nobody would see it
    const wider = found.damage === 'indexes' && look.broken.length > 0
    return wider ? { ...found, damage: 'pages', cure: 'restore' } : found
  }
  const shape = judgeShape(look, facts)
  if (shape !== undefined) return shape
  if (look.broken.length > 0) {
    const names = look.broken.map(({ interval, symbol, month }) => `${symbol} ${interval} ${month}`)
    const line = `stored candles are not what was stored (${count(names.length, 'seal')} broken): ${some(names)}`
    // where SQLite has played back a journal that belongs to an earlier time, what it gave is of two times
    return wrong('candles', hotJournal ? 'itself' : 'resync', [line])
  }
  const note = 'a transaction was cut off; whoever opens it next rolls it back'
  return { ...wrong('none', 'none', hotJournal ? [note] : []), verdict: 'sound' }
}

/** It could not be looked at, which says nothing of the database. */
export class DoubtfulDiagnosis extends Error {
  override name = 'DoubtfulDiagnosis'
}

function wrong(damage: Damage, cure: Cure, findings: string[]): Diagnosis {
  return {
    verdict: 'damaged',
    damage,
    cure,
    foreign: false,
    findings,
    tables: [],
    indexes: [],
    doubtful: [],
  }
}

function judgeFile({ file, database, staleJournal }: DiagnosisFacts): Diagnosis | undefined {
  if (file.kind === 'database' && staleJournal)
    return wrong('foreign_log', 'itself', [
      `a rollback journal of another time (${formatBytes(file.journal)}) lies beside it: whoever opens the database next would roll it back to then`,
    ])
  if (file.kind === 'database') return judgeSideFiles(file)
  if (file.kind === 'missing') return wrong('missing', 'restore', [`${database} is not there`])
  if (file.kind === 'empty') return wrong('empty', 'restore', [`${database} has no bytes at all`])
  if (file.kind === 'foreign')
    return wrong('not_a_database', 'restore', [
      `${database} does not begin as a SQLite database does: its header is overwritten, or it is something else`,
    ])
  if (/^(EACCES|EPERM)/.test(file.why))
    throw new DoubtfulDiagnosis(`${database} may not be read: ${file.why}`)
  return wrong('unreadable', 'restore', [`${database} cannot be read: ${file.why}`])
}

/** SQLite would write in what is in a log or journal, whatever database it belongs to. */
function judgeSideFiles({
  journalMode,
  wal,
  journal,
}: Extract<FileFacts, { kind: 'database' }>): Diagnosis | undefined {
  if (journalMode === 'rollback' && wal > 0)
    return wrong('foreign_log', 'itself', [
      `a write-ahead log (${formatBytes(wal)}) lies beside a database in rollback mode: it belongs to another one`,
    ])
  if (journalMode === 'wal' && journal > 0)
    return wrong('foreign_log', 'itself', [
      `a rollback journal (${formatBytes(journal)}) lies beside a database in WAL mode: it belongs to another one`,
    ])
  return undefined
}

function isCut({ file, declaredBytes }: DiagnosisFacts): boolean {
  return file.kind === 'database' && declaredBytes !== undefined && file.bytes < declaredBytes
}

function kindOf(message: string): Damage {
  if (/SQLITE_NOTADB/.test(message)) return 'not_a_database'
  if (/SQLITE_IOERR/.test(message)) return 'unreadable'
  return 'pages'
}

function judgeShape(look: Look, { expected, database }: DiagnosisFacts): Diagnosis | undefined {
  if (look.misshapen.length > 0) return wrong('schema', 'restore', look.misshapen)
  const tables = look.structures.map(({ table }) => table)
  if (expected !== undefined && expected.tables.length > 0) {
    const lacking = expected.tables.filter(table => !tables.includes(table))
    const candles = lacking.filter(table => table.startsWith('ohlcv_'))
    const foreign = lacking.length === expected.tables.length
    if (candles.length > 0 || foreign) {
      const line = `${database} is sound, and not the database that was backed up: it lacks ${some(lacking)}`
      return { ...wrong('schema', 'restore', [line]), foreign }
    }
  }
  if (tables.length > 0) return undefined
  return wrong('schema', 'restore', [`${database} has no tables`])
}

function judgeProblems({ problems, structures }: Look, cut: boolean): Diagnosis {
  const { tables, indexes, doubtful, only } = sortProblems(problems, structures)
  const about = [
    ...(tables.length === 0 ? [] : [`tables: ${some(tables, 5)}`]),
    ...(indexes.length === 0 ? [] : [`indexes: ${some(indexes, 5)}`]),
  ]
  const more = problems.length >= problemsListed ? ' or more' : ''
  const findings = [`SQLite finds ${count(problems.length, 'fault')}${more}: ${some(problems, 3)}`, ...about]
  const damage = only ?? (cut ? 'truncated' : 'pages')
  return { ...wrong(damage, only === undefined ? 'restore' : 'itself', findings), tables, indexes, doubtful }
}

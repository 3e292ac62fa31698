import type { BrokenSeal, SealsOfSymbol } from '../candles/inspect.ts'
import type { SealedCopy } from '../database/sealed_copy.ts'
import type { WorkerAnswer } from '../database/worker.ts'
import type { Salvage, SalvageRequest } from './salvage.ts'

// What recovery and the process that works on databases for it say to each other.

export type MenderRequest =
  /** Copies a database in rollback mode as of one moment. */
  | { task: 'copy'; file: string; target: string }
  /** Looks at a database and changes nothing; `live`: others may write to it. */
  | { task: 'look'; file: string; seals: SealsOfSymbol[]; live: boolean }
  /** Compares stored candles with their seals; others may write to the database. */
  | { task: 'seals'; file: string; seals: SealsOfSymbol[] }
  /** Makes the indexes of a private copy anew. */
  | { task: 'reindex'; file: string }
  /** Makes a private copy anew without its list of free pages, page by page of its tables and indexes. */
  | { task: 'vacuum'; file: string; target: string }
  /** Of some rows of a table, those that an earlier database has too, and otherwise. */
  | { task: 'compare'; file: string; earlier: string; rows: { table: string; rowids: string[] }[] }
  /** Makes an empty database with the tables of another. */
  | { task: 'outline'; file: string; target: string }
  | ({ task: 'salvage' } & SalvageRequest)
  /** Gives a finished database the journal mode that it is to have, and looks at all of it once more. */
  | { task: 'settle'; file: string; journalMode: 'wal' | 'rollback'; seals: SealsOfSymbol[] }
  /** Writes a database into another one that processes have open (SQLite's backup API). */
  | { task: 'through'; file: string; target: string }

/** A table and its indexes, as the schema names them. */
export type Structure = { table: string; rootPage: number; indexes: { name: string; rootPage: number }[] }

/** What SQLite and the seals say of a database. */
export type Look = {
  /** Lines of `integrity_check`; none: ok. */
  problems: string[]
  structures: Structure[]
  /** Candle tables that are there and lack columns, and which. */
  misshapen: string[]
  broken: BrokenSeal[]
  rows: { table: string; rows: number }[]
}

export type MenderAnswer = WorkerAnswer & {
  copy?: SealedCopy
  look?: Look
  broken?: BrokenSeal[]
  differing?: { table: string; rowid: string }[]
  salvage?: Salvage | { nothing: string }
  pages?: number
}

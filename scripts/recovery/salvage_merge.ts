import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import type { SealsOfSymbol } from '../candles/inspect.ts'
import { messageOf } from '../job/errors.ts'
import type { PageFile } from './readable_file.ts'
import type { Value } from './readable_record.ts'
import type { ReadSchema } from './readable_schema.ts'
import type { Compared, TableSalvage } from './salvage.ts'
import { Aside, type Reason, type SalvagedRow } from './salvage_aside.ts'
import { placeOf, provenRows, type SealedTable, sealsOn } from './salvage_candles.ts'
import type { Position } from './salvage_compare.ts'
import { allPositions, rowsAt } from './salvage_positions.ts'
import { keptReferences, type Reference, withdrawalOf } from './salvage_references.ts'
import { raiseSequences } from './salvage_sequence.ts'
import { quoted } from './salvage_shape.ts'
import { bound, statementsOf } from './salvage_statements.ts'
import { isRefusal, TableWriter } from './salvage_writer.ts'

type MergeRequest = {
  file: PageFile
  into: string
  aside: string
  seals: SealsOfSymbol[]
  compared: Compared[]
  schema: ReadSchema | undefined
}

/**
 * Brings over what the comparison found to be missing in `into`, in one transaction, and puts the rest into `aside`.
 * Both are durable when it returns. Throws what SQLite throws for trouble with either.
 */
export function merge(request: MergeRequest): TableSalvage[] {
  const { file, into, compared, schema } = request
  const aside = new Aside(request.aside, file.layout.encoding)
  const database = openInto(into)
  try {
    database.exec('BEGIN IMMEDIATE')
    const triggers = compared.some(isWritten) ? dropTriggers(database) : []
    const references = keptReferences(database)
    const merges = compared.map(one => new TableMerge(request, database, aside, one))
    for (const one of merges) one.run()
    // a row that refers to one that had to go may be in a table that was looked at before
    while (merges.reduce((sum, one) => sum + one.withdraw(references), 0) > 0);
    raiseSequences(database, file, schema)
    for (const { sql } of triggers) database.prepare(sql).run()
    const tables = merges.map(one => one.report())
    // first the rows that are nowhere else
    aside.close()
    database.exec('COMMIT')
    return tables
  } catch (error) {
    aside.abandon()
    throw error
  } finally {
    database.close()
    syncFolder(into)
  }
}

function openInto(into: string): Database.Database {
  const database = new Database(into)
  database.exec(`
    PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF;
    PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL`)
  return database
}

function isWritten({ pair, comparison: { additions, conflicts } }: Compared): boolean {
  return additions.length + conflicts.length > 0 || pair.backup === undefined
}

/** The agent's triggers must not fire for rows that they have fired for already. */
function dropTriggers(database: Database.Database): { name: string; sql: string }[] {
  const triggers = database
    .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid")
    .all() as { name: string; sql: string }[]
  for (const { name } of triggers) database.exec(`DROP TRIGGER ${quoted(name)}`)
  return triggers
}

/** SQLite syncs the folder before it removes its journal, not after. */
function syncFolder(file: string): void {
  const folder = openSync(dirname(file), 'r')
  fsyncSync(folder)
  closeSync(folder)
}

class TableMerge {
  readonly #request: MergeRequest
  readonly #database: Database.Database
  readonly #aside: Aside
  readonly #one: Compared
  #refused = 0
  #salvaged = 0
  #conflicts = 0
  #distrusted: string | null = null

  constructor(request: MergeRequest, database: Database.Database, aside: Aside, one: Compared) {
    this.#request = request
    this.#database = database
    this.#aside = aside
    this.#one = one
  }

  run(): void {
    const { pair, comparison } = this.#one
    const isThere = comparison.additions.length + comparison.conflicts.length > 0
    this.#distrusted = pair.unlike ?? comparison.distrusted
    if (this.#distrusted === null && (isThere || pair.backup === undefined)) this.#distrusted = this.#bring()
    if (this.#distrusted === null) this.#put(comparison.refused, 'refused')
    else this.#putAll()
  }

  /** Takes back what was brought over and refers to a row that is not there; how many that were. */
  withdraw(references: Reference[]): number {
    const { pair, comparison } = this.#one
    const own = references.filter(({ table }) => table === pair.name)
    if (own.length === 0 || this.#salvaged === 0) return 0
    const { damaged } = pair
    const { encoding } = this.#request.file.layout
    const keys = damaged.key?.length ?? 1
    const withdrawal = statementsOf(this.#database, keys, () => withdrawalOf(damaged, own))
    let withdrawn = 0
    for (const row of this.#rows(comparison.additions)) {
      const key: Value[] =
        damaged.key === undefined ? [BigInt(row.rowid)] : ((row.values ?? []).slice(0, keys) as Value[])
      if (withdrawal(key.map(value => bound(value, encoding))) === 0) continue
      this.#salvaged -= 1
      withdrawn += 1
      this.#putRow(row, 'refused')
    }
    return withdrawn
  }

  report(): TableSalvage {
    const { pair, comparison } = this.#one
    const { inBackup, read, returned, holes, knownLost, whole } = comparison
    return {
      table: pair.name,
      inBackup,
      read,
      salvaged: this.#salvaged,
      conflicts: this.#conflicts,
      refused: this.#refused,
      returned,
      holes,
      knownLost,
      whole,
      distrusted: this.#distrusted,
    }
  }

  /** Brings over what can be; why nothing could be, if so. */
  #bring(): string | null {
    const { pair } = this.#one
    this.#database.exec('SAVEPOINT bring')
    let writer: TableWriter
    try {
      for (const change of pair.changes) this.#database.prepare(change).run()
      writer = new TableWriter(this.#database, pair.damaged, this.#request.file.layout.encoding)
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#database.exec('ROLLBACK TO bring; RELEASE bring')
      return `it cannot be written to here: ${messageOf(error)}`
    }
    const sealed = sealsOn(pair.damaged, this.#request.seals)
    if (sealed === undefined) this.#bringRows(writer)
    else this.#bringCandles(writer, sealed)
    this.#database.exec('RELEASE bring')
    return null
  }

  #bringRows(writer: TableWriter): void {
    const { comparison } = this.#one
    for (const row of this.#rows(comparison.additions)) this.#bringRow(writer, row)
    this.#put(comparison.conflicts, 'conflict')
  }

  #bringRow(writer: TableWriter, row: SalvagedRow): void {
    if (writer.insert(row)) this.#salvaged += 1
    else this.#putRow(row, 'refused')
  }

  /** Candles of a month that is sealed come over if the seal proves them, and only then. */
  #bringCandles(writer: TableWriter, sealed: SealedTable): void {
    const { additions, conflicts } = this.#one.comparison
    const months = new Map<
      string,
      { symbol: string; month: string; added: Position[]; changed: Position[] }
    >()
    const sort = (positions: Position[], list: 'added' | 'changed') => {
      for (const [i, row] of this.#numbered(positions)) {
        const place = placeOf(this.#database, sealed, row, this.#request.file.layout.encoding)
        if (place === undefined && list === 'added') this.#bringRow(writer, row)
        else if (place === undefined || place === 'unproven')
          this.#putRow(row, list === 'added' ? 'not sealed' : 'conflict')
        else {
          const key = `${place.month} ${place.symbol}`
          const month = months.get(key) ?? { ...place, added: [], changed: [] }
          month[list].push(i)
          months.set(key, month)
        }
      }
    }
    sort(additions, 'added')
    sort(conflicts, 'changed')
    for (const { symbol, month, added, changed } of months.values()) {
      const rows = [...this.#rows(added)]
      const others = [...this.#rows(changed)]
      // the backup's own candles first, as far as they go
      const proven = new Set(provenRows(this.#database, sealed, { symbol, month }, rows))
      if (proven.size === 0)
        for (const row of provenRows(this.#database, sealed, { symbol, month }, [...rows, ...others]))
          proven.add(row)
      for (const row of others) {
        if (proven.has(row) && writer.replace(row)) this.#salvaged += 1
        else this.#putRow(row, 'conflict')
      }
      for (const row of rows) {
        if (proven.has(row)) this.#bringRow(writer, row)
        else this.#putRow(row, 'not sealed')
      }
    }
  }

  *#numbered(positions: Position[]): Generator<[Position, SalvagedRow]> {
    let i = 0
    for (const row of this.#rows(positions)) yield [positions[i++] as Position, row]
  }

  #rows(positions: Iterable<Position>): Generator<SalvagedRow> {
    return rowsAt(this.#request.file, this.#one.pair.damaged, positions)
  }

  #put(positions: Iterable<Position>, why: Reason): void {
    for (const row of this.#rows(positions)) this.#putRow(row, why)
  }

  #putRow(row: SalvagedRow, why: Reason): void {
    this.#aside.put(this.#one.pair.damaged, why, row)
    if (why === 'conflict') this.#conflicts += 1
    else this.#refused += 1
  }

  /** Of a table that is not trusted, every row that could be read, those that are as in the backup too. */
  #putAll(): void {
    const { comparison, pair } = this.#one
    const roots = comparison.root
    for (const row of this.#rows(allPositions(this.#request.file, { ...pair.damaged, rootPage: roots })))
      this.#aside.put(pair.damaged, 'distrusted', row)
    this.#conflicts = comparison.conflicts.length
    this.#refused = comparison.additions.length + comparison.refused.length
  }
}

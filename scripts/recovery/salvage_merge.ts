import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import type { SealsOfSymbol } from '../candles/inspect.ts'
import { messageOf } from '../job/errors.ts'
import type { PageFile } from './readable_file.ts'
import type { ReadSchema } from './readable_schema.ts'
import type { Compared, TableSalvage } from './salvage.ts'
import { Aside, type Reason, type SalvagedRow } from './salvage_aside.ts'
import { placeOf, provenRows, type SealedTable, sealsOn } from './salvage_candles.ts'
import type { Position } from './salvage_compare.ts'
import { allPositions, rowsAt } from './salvage_positions.ts'
import { raiseSequences } from './salvage_sequence.ts'
import { quoted } from './salvage_shape.ts'
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
    const tables = compared.map(one => new TableMerge(request, database, aside, one).run())
    raiseSequences(database, file, schema)
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

  constructor(request: MergeRequest, database: Database.Database, aside: Aside, one: Compared) {
    this.#request = request
    this.#database = database
    this.#aside = aside
    this.#one = one
  }

  run(): TableSalvage {
    const { pair, comparison } = this.#one
    const { inBackup, read, returned, holes, knownLost, whole } = comparison
    let distrusted = pair.unlike ?? comparison.distrusted
    if (distrusted === null && comparison.additions.length + comparison.conflicts.length > 0)
      distrusted = this.#bring()
    else if (distrusted === null && pair.backup === undefined) distrusted = this.#bring()
    if (distrusted === null) this.#put(comparison.refused, 'refused')
    else this.#putAll()
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
      distrusted,
    }
  }

  /** Brings over what can be; why nothing could be, if so. */
  #bring(): string | null {
    const { pair } = this.#one
    this.#database.exec('SAVEPOINT bring')
    let writer: TableWriter
    const triggers = this.#triggers()
    try {
      for (const change of pair.changes) this.#database.prepare(change).run()
      for (const { name } of triggers) this.#database.exec(`DROP TRIGGER ${quoted(name)}`)
      writer = new TableWriter(this.#database, pair.damaged, this.#request.file.layout.encoding)
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#database.exec('ROLLBACK TO bring; RELEASE bring')
      return `it cannot be written to here: ${messageOf(error)}`
    }
    const sealed = sealsOn(pair.damaged, this.#request.seals)
    if (sealed === undefined) this.#bringRows(writer)
    else this.#bringCandles(writer, sealed)
    for (const { sql } of triggers) this.#database.prepare(sql).run()
    this.#database.exec('RELEASE bring')
    return null
  }

  /** Those of the agent must not fire for rows that they have fired for already. */
  #triggers(): { name: string; sql: string }[] {
    return this.#database
      .prepare(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid",
      )
      .all(this.#one.pair.name) as { name: string; sql: string }[]
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
        const place = placeOf(sealed, row, this.#request.file.layout.encoding)
        if (place === undefined && list === 'added') this.#bringRow(writer, row)
        else if (place === undefined || place === 'later')
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

import type Database from 'better-sqlite3'
import { hasTable } from '../candles/candle_table.ts'
import type { PageFile } from './readable_file.ts'
import { payloadOf } from './readable_payload.ts'
import { readRecord, stringOf, Text } from './readable_record.ts'
import { byRowid, piecesOf } from './readable_rows.ts'
import type { ReadSchema } from './readable_schema.ts'

/**
 * Rowids of AUTOINCREMENT tables are never given twice, not even those of rows that are lost: the next one is what both
 * databases have given last, and one more.
 */
export function raiseSequences(
  database: Database.Database,
  file: PageFile,
  schema: ReadSchema | undefined,
): void {
  const entry = schema?.entries.find(({ name }) => name === 'sqlite_sequence')
  if (entry === undefined || !hasTable(database, 'sqlite_sequence')) return
  const raise = database.prepare('UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?')
  const add = database.prepare(
    `INSERT INTO sqlite_sequence (name, seq) SELECT m.name, ? FROM sqlite_master AS m
     WHERE m.type = 'table' AND m.name = ? AND m.sql LIKE '%AUTOINCREMENT%'`,
  )
  for (const [name, last] of readSequences(file, entry.rootPage)) {
    if (raise.run(last, name).changes === 0) add.run(last, name)
  }
}

function readSequences(file: PageFile, root: number): [name: string, last: bigint][] {
  const sequences: [string, bigint][] = []
  for (const { page, rows, sound } of piecesOf(file, root, byRowid)) {
    if (!sound || page === undefined) continue
    for (const { cell } of rows) {
      const values = readRecord(payloadOf(file, page.bytes, cell)?.bytes ?? Buffer.alloc(0))
      const name = values?.[0] instanceof Text ? stringOf(values[0], file.layout.encoding) : undefined
      const last = values?.[1]
      // a flipped bit must not use up all rowids that there are
      if (values?.length !== 2 || name === undefined || typeof last !== 'bigint' || last >= 2n ** 53n)
        continue
      sequences.push([name, last])
    }
  }
  return sequences
}

import type { PageFile } from './readable_file.ts'
import { payloadOf } from './readable_payload.ts'
import { readRecord, stringOf, Text, type Value } from './readable_record.ts'
import { byRowid, piecesOf } from './readable_rows.ts'

/** What the schema of a database says of a table, an index, a view or a trigger. */
export type SchemaEntry = { type: string; name: string; table: string; rootPage: number; sql: string }

/** The schema as far as it can be read. `whole`: nothing can lack. */
export type ReadSchema = { entries: SchemaEntry[]; whole: boolean }

/** Reads the schema, whose tree begins on page 1. What is on a page that is not in order does not count. */
export function readSchema(file: PageFile): ReadSchema {
  const schema: ReadSchema = { entries: [], whole: true }
  for (const { page, rows, sound } of piecesOf(file, 1, byRowid)) {
    if (!sound || page === undefined) {
      schema.whole = false
      continue
    }
    for (const { cell } of rows) {
      const entry = entryOf(file, payloadOf(file, page.bytes, cell)?.bytes)
      if (entry === undefined) schema.whole = false
      else schema.entries.push(entry)
    }
  }
  return schema
}

function entryOf(file: PageFile, payload: Buffer | undefined): SchemaEntry | undefined {
  const values = payload && readRecord(payload)
  if (values?.length !== 5) return undefined
  const text = (value: Value | undefined) =>
    value instanceof Text ? stringOf(value, file.layout.encoding) : undefined
  const [type, name, table] = values.slice(0, 3).map(text)
  const rootPage = values[3]
  // indexes that come with a constraint have no statement of their own
  const sql = values[4] === null ? '' : text(values[4])
  if (type === undefined || name === undefined || table === undefined || sql === undefined) return undefined
  if (typeof rootPage !== 'bigint' || rootPage < 0n || rootPage >= 2n ** 32n) return undefined
  return { type, name, table, rootPage: Number(rootPage), sql }
}

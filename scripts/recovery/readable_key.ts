import type { PageFile } from './readable_file.ts'
import { pageKinds } from './readable_page.ts'
import { payloadOf } from './readable_payload.ts'
import { readFields, stringOf, Text, type Value } from './readable_record.ts'
import type { Order } from './readable_rows.ts'
import type { KeyColumn } from './salvage_shape.ts'

/** The collations that SQLite brings along; a program's own cannot be computed here. */
const known = ['BINARY', 'NOCASE', 'RTRIM']

/** A collation in the key of a table that is not SQLite's own, if there is one. */
export function unknownCollation(key: KeyColumn[]): string | undefined {
  return key.find(({ collation }) => !known.includes(collation.toUpperCase()))?.collation
}

/** The order of a table WITHOUT ROWID, of which only SQLite's own collations are known. */
export function byKey(file: PageFile, key: KeyColumn[]): Order<Value[]> {
  return {
    leaf: pageKinds.indexLeaf,
    keyOf(page, cell) {
      const { at, size, local } = cell
      // the pages on which a row goes on are needed only where the key does
      const values =
        readFields(page.subarray(at, at + local), size, key.length) ??
        readFields(payloadOf(file, page, cell)?.bytes ?? Buffer.alloc(0), size, key.length)
      return values?.length === key.length ? values : undefined
    },
    compare(a, b) {
      for (const [i, column] of key.entries()) {
        const result = compareValues(a[i] as Value, b[i] as Value, column, file)
        if (result !== 0) return column.descending ? -result : result
      }
      return 0
    },
  }
}

function compareValues(a: Value, b: Value, { collation }: KeyColumn, file: PageFile): number {
  const [rankA, rankB] = [rankOf(a), rankOf(b)]
  if (rankA !== rankB) return rankA - rankB
  if (a instanceof Text && b instanceof Text)
    return Buffer.compare(collated(a, collation, file), collated(b, collation, file))
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b)
  const [x, y] = [a as number | bigint, b as number | bigint]
  return x < y ? -1 : x > y ? 1 : 0
}

/** The order of storage classes: NULL, numbers, text, blobs. */
function rankOf(value: Value): number {
  if (value === null) return 0
  if (value instanceof Text) return 2
  return Buffer.isBuffer(value) ? 3 : 1
}

function collated(text: Text, collation: string, { layout }: PageFile): Buffer {
  const name = collation.toUpperCase()
  if (name === 'BINARY') return text.bytes
  const bytes =
    layout.encoding === 'UTF-8' ? text.bytes : Buffer.from(stringOf(text, layout.encoding) ?? text.bytes)
  if (name === 'RTRIM') {
    let end = bytes.length
    while (bytes[end - 1] === 0x20) end -= 1
    return bytes.subarray(0, end)
  }
  return bytes.map(byte => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)) as Buffer
}

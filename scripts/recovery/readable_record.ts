import { isUtf8 } from 'node:buffer'
import type { Layout } from './readable_file.ts'

/** Text as it is stored, in the encoding of its database; it need not be valid. */
export class Text {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** A stored value. An integer is a bigint, a real number a number. */
export type Value = null | bigint | number | Text | Buffer

export type StorageClass = 'null' | 'integer' | 'real' | 'text' | 'blob'

/** A number of 64 bits: a bigint only where a number would not be exact. */
export type Integer = number | bigint

/** Where the varint that was read last ends. */
export let afterVarint = 0

/** A variable-length integer of one to nine bytes, signed; NaN where the bytes end before it does. */
export function readVarint(bytes: Buffer, at: number): Integer {
  let value = 0
  for (let i = 0; i < 7; i++) {
    const byte = bytes[at + i]
    if (byte === undefined) return Number.NaN
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      afterVarint = at + i + 1
      return value
    }
  }
  const [eighth, ninth] = [bytes[at + 7], bytes[at + 8]]
  if (eighth === undefined || (eighth >= 0x80 && ninth === undefined)) return Number.NaN
  afterVarint = at + (eighth < 0x80 ? 8 : 9)
  const high = (BigInt(value) << 7n) | BigInt(eighth & 0x7f)
  return exact(BigInt.asIntN(64, eighth < 0x80 ? high : (high << 8n) | BigInt(ninth ?? 0)))
}

function exact(value: bigint): Integer {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

const sizes = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0]

/**
 * The serial types of a record's fields; undefined where it is no record: header and fields have to fill `size` bytes
 * exactly. `bytes` may be its beginning only, if the whole header is in it.
 */
export function serialTypes(bytes: Buffer, size: number): number[] | undefined {
  const headerSize = readVarint(bytes, 0)
  if (typeof headerSize !== 'number' || !(headerSize >= 1 && headerSize <= Math.min(size, bytes.length)))
    return undefined
  const types: number[] = []
  let at = afterVarint
  let total = headerSize
  while (at < headerSize) {
    const type = readVarint(bytes, at)
    at = afterVarint
    if (typeof type !== 'number' || !(type >= 0) || type === 10 || type === 11) return undefined
    types.push(type)
    total += sizeOf(type)
  }
  return at === headerSize && total === size ? types : undefined
}

function sizeOf(type: number): number {
  return type < 12 ? (sizes[type] ?? 0) : (type - 12 - (type % 2)) / 2
}

export function classOf(type: number): StorageClass {
  if (type === 0) return 'null'
  if (type === 7) return 'real'
  if (type < 10) return 'integer'
  return type % 2 === 0 ? 'blob' : 'text'
}

/** The values of a record; undefined where it is none. */
export function readRecord(payload: Buffer): Value[] | undefined {
  return readFields(payload, payload.length)
}

/**
 * The first `count` values of a record of `size` bytes, of which `bytes` may be the beginning only; undefined where it is
 * no record, or they are not in there.
 */
export function readFields(
  bytes: Buffer,
  size: number,
  count = Number.POSITIVE_INFINITY,
): Value[] | undefined {
  const types = serialTypes(bytes, size)
  if (types === undefined) return undefined
  let at = Number(readVarint(bytes, 0))
  const values: Value[] = []
  for (const type of types.slice(0, count)) {
    const end = at + sizeOf(type)
    if (end > bytes.length) return undefined
    values.push(readValue(bytes, at, type))
    at = end
  }
  return values
}

function readValue(payload: Buffer, at: number, type: number): Value {
  switch (type) {
    case 0:
      return null
    case 6:
      return payload.readBigInt64BE(at)
    case 7:
      return payload.readDoubleBE(at)
    case 8:
    case 9:
      return BigInt(type - 8)
    default: {
      if (type < 6) return BigInt(payload.readIntBE(at, sizeOf(type)))
      const bytes = payload.subarray(at, at + sizeOf(type))
      return type % 2 === 0 ? bytes : new Text(bytes)
    }
  }
}

/** Whether two values are the same to the last bit. */
export function sameValue(a: Value, b: Value): boolean {
  if (a instanceof Text) return b instanceof Text && a.bytes.equals(b.bytes)
  if (Buffer.isBuffer(a)) return Buffer.isBuffer(b) && a.equals(b)
  return Object.is(a, b)
}

/** Text as a string; undefined where a string could not hold it unaltered. */
export function stringOf(text: Text, encoding: Layout['encoding']): string | undefined {
  if (encoding === 'UTF-8') return isUtf8(text.bytes) ? text.bytes.toString('utf8') : undefined
  if (text.bytes.length % 2 === 1) return undefined
  const little = encoding === 'UTF-16le' ? text.bytes : Buffer.from(text.bytes).swap16()
  const string = little.toString('utf16le')
  return string.isWellFormed() ? string : undefined
}

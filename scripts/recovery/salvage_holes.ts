import type { Integer, Value } from './readable_record.ts'
import { Text } from './readable_record.ts'

export type Hole = { from: string; to: string }

/** A range of a tree that could not be read, as a piece of it: after one key, up to another. */
type Range<K> = { after: K | undefined; upTo: K | undefined }

const mostListed = 50

/** Collects what could not be read of a table; neighbouring ranges become one. */
export class Holes<K> {
  readonly #ranges: Range<K>[] = []
  /** Upper bound of the rows in it that nobody has. */
  lost = 0

  /**
   * `held`: how many rows the backup has in it. `capacity`: how many rows its pages can have had at most; rows that
   * have rowids cannot have been more than there are rowids either.
   */
  add({ after, upTo }: Range<K>, held: number, capacity: number): void {
    this.lost += Math.max(0, Math.min(capacity, spanOf(after, upTo) - held))
    const last = this.#ranges.at(-1)
    if (last !== undefined && last.upTo !== undefined && last.upTo === after) last.upTo = upTo
    else this.#ranges.push({ after, upTo })
  }

  /** A row of which only the key could be read. */
  addKey(key: K, held: number): void {
    const isNumber = typeof key === 'number' || typeof key === 'bigint'
    const after = (isNumber ? BigInt(key) - 1n : key) as K
    this.lost += 1 - held
    this.#ranges.push({ after, upTo: key })
  }

  get none(): boolean {
    return this.#ranges.length === 0
  }

  /** The ranges from the first to the last key that may lie in each; of very many, the last ones as one. */
  list(): Hole[] {
    const listed = this.#ranges.slice(0, mostListed)
    const rest = this.#ranges.slice(mostListed).at(-1)
    if (rest !== undefined) listed.push({ after: this.#ranges[mostListed]?.after, upTo: rest.upTo })
    return listed.map(({ after, upTo }) => ({ from: textOf(after, 'from'), to: textOf(upTo, 'to') }))
  }
}

const [lowest, highest] = [-(2n ** 63n), 2n ** 63n - 1n]

function isRowid(key: unknown): key is Integer {
  return typeof key === 'number' || typeof key === 'bigint'
}

function spanOf(after: unknown, upTo: unknown): number {
  const [from, to] = [after ?? lowest, upTo ?? highest]
  // of keys that are no rowids, nobody knows how many fit in between
  return isRowid(from) && isRowid(to) ? Number(BigInt(to) - BigInt(from)) : Number.POSITIVE_INFINITY
}

function textOf(key: unknown, end: 'from' | 'to'): string {
  if (key === undefined) return String(end === 'from' ? lowest : highest)
  if (isRowid(key)) return (BigInt(key) + (end === 'from' ? 1n : 0n)).toString()
  return (key as Value[])
    .map(value => (value instanceof Text || Buffer.isBuffer(value) ? toText(value) : String(value)))
    .join(', ')
}

function toText(value: Text | Buffer): string {
  return value instanceof Text ? `'${value.bytes.toString('utf8')}'` : `x'${value.toString('hex')}'`
}

import type { KlineRow } from './source.ts'

/** Spoils a page of klines. Giving back the same array means: this page has nothing that can be spoilt so. */
export type RowMutation = (rows: KlineRow[]) => unknown[]

/** Makes one row, of those that have closed wherever the page has one, into something else. */
const oneRow =
  (change: (row: KlineRow) => unknown): RowMutation =>
  rows => {
    const n = victim(rows)
    return n === -1 ? rows : rows.map((row, index) => (index === n ? change(row) : row))
  }

/** As `oneRow`, for one column. */
const cell = (column: number, change: (value: string, row: KlineRow) => unknown): RowMutation =>
  oneRow(row => row.map((value, index) => (index === column ? change(String(value), row) : value)))

const victim = (rows: KlineRow[]) => Math.floor((rows.length - 1) / 2)

const shift = (row: KlineRow, milliseconds: number): unknown[] => [
  row[0] + milliseconds,
  ...row.slice(1, 6),
  row[6] + milliseconds,
  ...row.slice(7),
]

const lengthOf = (row: KlineRow) => row[6] + 1 - row[0]

export const rowMutations = {
  nullRow: oneRow(() => null),
  objectRow: oneRow(row => ({ openTime: row[0], close: row[4] })),
  shortRow: oneRow(row => row.slice(0, 11)),
  misaligned: oneRow(row => shift(row, 60_000)),
  /** An aligned candle from long before the asked range. */
  outsideRange: oneRow(row => shift(row, -10_000 * lengthOf(row))),
  /** An aligned candle that has not begun yet. */
  future: oneRow(row => shift(row, 10_000 * lengthOf(row))),
  nanText: cell(4, () => 'NaN'),
  emptyText: cell(4, () => ''),
  nullCell: cell(4, () => null),
  infinite: cell(2, () => 'Infinity'),
  numberForString: cell(4, Number),
  negativeVolume: cell(5, volume => `-${Number(volume) === 0 ? '1' : volume}`),
  lowAboveHigh: cell(3, (_, row) => String(Number(row[2]) * 2)),
  closeAboveHigh: cell(4, (_, row) => String(Number(row[2]) * 2)),
  wrongOrder: rows => {
    const n = victim(rows)
    return rows.length < 2 ? rows : [...rows.slice(0, n), rows[n + 1], rows[n], ...rows.slice(n + 2)]
  },
  duplicateRow: rows => {
    const n = victim(rows)
    return n === -1 ? rows : [...rows.slice(0, n + 1), ...rows.slice(n)]
  },
  /** Leaves out the middle third, at least one row, and keeps the first and the last: a hole. */
  hole: rows => {
    const third = Math.max(1, Math.floor(rows.length / 3))
    return rows.length < 3 ? rows : [...rows.slice(0, third), ...rows.slice(2 * third)]
  },
} satisfies Record<string, RowMutation>

export type RowMutationName = keyof typeof rowMutations

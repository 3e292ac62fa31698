import { sumDecimals } from './decimals.ts'
import type { KlineRow } from './source.ts'

/** Candles of `step` milliseconds from the ascending finer ones: prices keep their text, sums are exact. */
export function aggregate(rows: KlineRow[], step: number): KlineRow[] {
  const groups = new Map<number, [KlineRow, ...KlineRow[]]>()
  for (const row of rows) {
    const openTime = Math.floor(row[0] / step) * step
    const group = groups.get(openTime)
    if (group) group.push(row)
    else groups.set(openTime, [row])
  }
  return [...groups].map(([openTime, group]) => combine(openTime, step, group))
}

function combine(openTime: number, step: number, rows: [KlineRow, ...KlineRow[]]): KlineRow {
  const sum = (column: 5 | 7 | 9 | 10) => sumDecimals(rows.map(row => row[column]))
  const [first] = rows
  const last = rows.at(-1) ?? first
  return [
    openTime,
    first[1],
    rows.reduce((best, row) => (Number(row[2]) > Number(best[2]) ? row : best))[2],
    rows.reduce((best, row) => (Number(row[3]) < Number(best[3]) ? row : best))[3],
    last[4],
    sum(5),
    openTime + step - 1,
    sum(7),
    rows.reduce((trades, row) => trades + row[8], 0),
    sum(9),
    sum(10),
    '0',
  ]
}

import type { Span } from './spans.ts'

/** A calendar month, UTC; `name`: `2026-03`. */
export type Month = Span & { name: string }

/** The last month that is over at `now`. */
export function monthBefore(now: number): Month {
  const today = new Date(now)
  return monthOf(today.getUTCFullYear(), today.getUTCMonth() - 1)
}

/** The month of a name such as `2026-03`; undefined where it is none. */
export function monthNamed(name: string): Month | undefined {
  const [, year, month] = /^(\d{4})-(0[1-9]|1[0-2])$/.exec(name) ?? []
  return year === undefined ? undefined : monthOf(Number(year), Number(month) - 1)
}

/** `index`: 0 is January; -1 is December of the year before. */
function monthOf(year: number, index: number): Month {
  const from = Date.UTC(year, index)
  return { name: new Date(from).toISOString().slice(0, 7), from, to: Date.UTC(year, index + 1) }
}

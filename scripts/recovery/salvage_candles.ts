import type Database from 'better-sqlite3'
import type { Candle } from '../candles/candle.ts'
import { columns } from '../candles/candle_table.ts'
import { type BrokenSeal, inspectSeals, type SealsOfSymbol } from '../candles/inspect.ts'
import { type CandleTable, intervals } from '../candles/intervals.ts'
import { type KeptSeal, matchingSeal, monthOf, monthRange } from '../candles/seals.ts'
import { readCandles } from '../candles/stored.ts'
import type { Layout } from './readable_file.ts'
import { stringOf, Text } from './readable_record.ts'
import type { SalvagedRow } from './salvage_aside.ts'
import type { TableShape } from './salvage_shape.ts'

/** The seals of one symbol, by month; `last`: up to which open time anything is sealed. */
type SymbolSeals = { months: Map<string, KeptSeal>; last: number }

/** The seals of one candle table, and where its columns are. */
export type SealedTable = {
  table: CandleTable
  symbols: Map<string, SymbolSeals>
  /** Indexes of `columns` (scripts/candles/candle_table.ts) in a row's values. */
  places: number[]
  /** Whether a symbol that is not sealed is unknown to the backup, too. */
  strangers: Map<string, boolean>
}

/** The months of `into` that are not what their seals say. Throws what SQLite throws. */
export function brokenSeals(into: Database.Database, seals: SealsOfSymbol[]): BrokenSeal[] {
  return inspectSeals(into, seals)
}

/** The seals that a table is under; undefined where it is no candle table, or nothing in it is sealed. */
export function sealsOn(shape: TableShape, seals: SealsOfSymbol[]): SealedTable | undefined {
  const own = seals.filter(({ interval }) => intervals[interval].table === shape.name)
  const places = columns.map(name => shape.columns.findIndex(column => column.name === name))
  const [first] = own
  if (first === undefined || places.includes(-1)) return undefined
  const symbols = new Map(
    own.map(({ symbol, months }) => {
      const lasts = months.flatMap(([, { sealed, pending }]) => [sealed?.last ?? 0, pending?.last ?? 0])
      return [symbol, { months: new Map(months), last: Math.max(...lasts) }]
    }),
  )
  return { table: intervals[first.interval], symbols, places, strangers: new Map() }
}

/** Where a candle belongs: in a month that is sealed, or nowhere that can be proven; undefined: it is as any other row. */
export type Place = { symbol: string; month: string } | 'unproven' | undefined

/**
 * Beside sealed candles a flipped bit must not pass for one that nobody has sealed: what is off the grid, and symbols that
 * are unknown to seals and backup alike, can be fetched again. So can what is newer than all that is sealed.
 */
export function placeOf(
  into: Database.Database,
  { table, symbols, places, strangers }: SealedTable,
  { values }: SalvagedRow,
  encoding: Layout['encoding'],
): Place {
  const [time, name] = places.slice(0, 2).map(at => values?.[at])
  const symbol = name instanceof Text ? stringOf(name, encoding) : undefined
  if (symbol === undefined || typeof time !== 'bigint' || time < 0n || time % BigInt(table.step) !== 0n)
    return 'unproven'
  const seals = symbols.get(symbol)
  if (seals === undefined) {
    const isStranger = strangers.get(symbol) ?? !hasSymbol(into, table, symbol)
    strangers.set(symbol, isStranger)
    return isStranger ? 'unproven' : undefined
  }
  if (time > BigInt(seals.last)) return 'unproven'
  const month = monthOf(Number(time))
  return seals.months.has(month) ? { symbol, month } : undefined
}

function hasSymbol(into: Database.Database, { table }: CandleTable, symbol: string): boolean {
  return into.prepare(`SELECT 1 FROM ${table} WHERE symbol = ? LIMIT 1`).get(symbol) !== undefined
}

/**
 * Which of the rows that were read of a sealed month are proven: together with those that `into` has, or in their place,
 * they are what the seal says. None where `into` is that already, or where they are not.
 */
export function provenRows(
  into: Database.Database,
  { table, symbols, places }: SealedTable,
  { symbol, month }: { symbol: string; month: string },
  rows: SalvagedRow[],
): SalvagedRow[] {
  const kept = symbols.get(symbol)?.months.get(month) as KeptSeal
  const stored = readCandles(into, table, symbol, monthRange(month, table.step))
  const already = matchingSeal(kept, stored)
  const merged = new Map(stored.map(candle => [candle.openTime, candle]))
  for (const row of rows) {
    const candle = candleOf(row, places)
    merged.set(candle.openTime, candle)
  }
  const proven = matchingSeal(
    kept,
    [...merged.values()].sort((a, b) => a.openTime - b.openTime),
  )
  if (proven === undefined || proven === already || (already !== undefined && already === kept.pending))
    return []
  return rows.filter(row => candleOf(row, places).openTime <= proven.last)
}

/** What is no number stays what it is: no seal is of such. */
function candleOf({ values }: SalvagedRow, places: number[]): Candle {
  const [openTime, , open, high, low, close, volume, quoteVolume, trades] = places.map(at => {
    const value = values?.[at]
    return typeof value === 'bigint' ? Number(value) : value
  }) as number[]
  return { openTime, open, high, low, close, volume, quoteVolume, trades } as Candle
}

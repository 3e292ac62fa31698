import { isCandleTable } from '../candles/intervals.ts'
import type { Case } from './case_file.ts'

/** What a recovery has lost and won, in rows. */
export type Loss = {
  salvaged: number
  conflicts: number
  refused: number
  returned: number
  /** At most so many rows were there and are neither in the backup nor could be read. */
  knownLost: number
  /** Tables of which nothing could be read. */
  unreadable: number
  /** Nothing could be brought over: what was written since the backup is gone. */
  blind: boolean
  /**
   * So old was what the database was made from, where not all that came after it was brought over; 0: it was, or nothing
   * had to be. In milliseconds.
   */
  rpoMs: number
}

/** What was lost, by how the new database was made. */
export function lossOf({ base, salvage, started_at }: Case): Loss {
  const tables = salvage?.tables ?? []
  const unreadable = new Set(salvage?.unreadable)
  const sum = (of: (table: (typeof tables)[number]) => number) =>
    tables.reduce((total, table) => total + of(table), 0)
  const rows = {
    salvaged: sum(table => table.salvaged),
    conflicts: sum(table => table.conflicts),
    refused: sum(table => table.refused),
    returned: sum(table => table.returned),
    // of a table that could not be read at all a bound would say nothing
    knownLost: sum(({ table, knownLost }) => (unreadable.has(table) ? 0 : knownLost)),
    unreadable: unreadable.size,
    blind: base?.kind === 'backup' && salvage === null,
  }
  if (base?.kind !== 'backup') return { ...rows, rpoMs: 0 }
  // candles are fetched again
  const agents = tables.filter(({ table }) => !isCandleTable(table))
  const everything =
    salvage !== null &&
    salvage.unreadable.every(isCandleTable) &&
    agents.every(
      ({ whole, distrusted, conflicts, refused, returned }) =>
        whole && distrusted === null && conflicts + refused + returned === 0,
    )
  return {
    ...rows,
    rpoMs: everything ? 0 : Math.max(0, Date.parse(started_at) - Date.parse(base.covers_until)),
  }
}

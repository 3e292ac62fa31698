import type { BackupFacts } from '../backup/manifest.ts'

/** What a database has and another one has not. Rows are counted, not compared. */
export type Comparison = {
  /** Rows that the live database has more, by their number in each table: what a recovery would have lost. */
  behindRows: number
  /** Rows that the backup has more: deleted since, or lost. */
  goneRows: number
  /** Tables with another number of rows; null: there is no such table. */
  tables: { name: string; backup: number | null; live: number | null }[]
  /** Candle tables whose newest candle is another one; open times in ISO. */
  candles: { table: string; backup: string | null; live: string | null }[]
  /** By how much the newest candle of the live database is newer, of the table where that is most; milliseconds. */
  behindCandlesMs: number
}

type Content = Pick<BackupFacts['database'], 'tables' | 'candles'>

/** Compares what is in a backup with what is in the live database. */
export function compare(backup: Content, live: Content): Comparison {
  const tables = pairs(
    backup.tables.map(({ name, rows }) => [name, rows]),
    live.tables.map(({ name, rows }) => [name, rows]),
  ).map(({ key, one, other }) => ({ name: key, backup: one, live: other }))
  const candles = pairs(
    backup.candles.map(({ table, newest }) => [table, newest]),
    live.candles.map(({ table, newest }) => [table, newest]),
  ).map(({ key, one, other }) => ({ table: key, backup: one, live: other }))
  const more = (of: (entry: (typeof tables)[number]) => number) =>
    tables.reduce((sum, entry) => sum + Math.max(0, of(entry)), 0)
  return {
    behindRows: more(entry => (entry.live ?? 0) - (entry.backup ?? 0)),
    goneRows: more(entry => (entry.backup ?? 0) - (entry.live ?? 0)),
    tables,
    candles,
    behindCandlesMs: Math.max(
      0,
      ...candles.map(entry =>
        entry.backup === null || entry.live === null ? 0 : Date.parse(entry.live) - Date.parse(entry.backup),
      ),
    ),
  }
}

/** What two lists say of each key where they differ, by key; null: nothing. */
function pairs<T>(
  one: [string, T][],
  other: [string, T][],
): { key: string; one: T | null; other: T | null }[] {
  const [first, second] = [new Map(one), new Map(other)]
  return [...new Set([...first.keys(), ...second.keys()])]
    .toSorted()
    .map(key => ({ key, one: first.get(key) ?? null, other: second.get(key) ?? null }))
    .filter(found => found.one !== found.other || first.has(found.key) !== second.has(found.key))
}

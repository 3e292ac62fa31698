import type { Structure } from './mender_protocol.ts'

/** What the lines of SQLite's check are about. */
export type SortedProblems = {
  tables: string[]
  indexes: string[]
  /** Rows that an index does not have, or otherwise: either of the two can be the damaged one. */
  doubtful: { table: string; rowids: string[] }[]
  /** Where all of them are about nothing else. */
  only: 'indexes' | 'free_pages' | undefined
}

/** Sorts the lines of `integrity_check` by what they are about (SQLite, pragma.c and btree.c). */
export function sortProblems(problems: readonly string[], structures: readonly Structure[]): SortedProblems {
  const sort = sorter(structures)
  const sorted = problems.map(sort)
  const rows = new Map<string, Set<string>>()
  for (const { table, row } of sorted)
    if (table !== undefined && row !== undefined) rows.set(table, (rows.get(table) ?? new Set()).add(row))
  const indexes = [...new Set(sorted.flatMap(({ index }) => index ?? []))]
  const ofFreeList = sorted.some(({ kind }) => kind === 'free')
  const all = (...kinds: Sorted['kind'][]) => sorted.every(({ kind }) => kinds.includes(kind))
  return {
    tables: [...new Set(sorted.flatMap(({ kind, table }) => (kind === 'table' && table) || []))],
    indexes,
    doubtful: [...rows].map(([table, rowids]) => ({ table, rowids: [...rowids] })),
    // a page that is in the list of free ones and in use as well is told of once, in either place
    only:
      indexes.length > 0 && all('index', 'end')
        ? 'indexes'
        : ofFreeList && all('free', 'twice')
          ? 'free_pages'
          : undefined,
  }
}

type Sorted = {
  kind: 'index' | 'table' | 'free' | 'twice' | 'end' | 'other'
  table?: string | undefined
  index?: string
  row?: string | undefined
}

function sorter(structures: readonly Structure[]): (problem: string) => Sorted {
  // SQLite names b-trees by the page of their root
  const roots = new Map<number, Sorted>()
  const tableOf = new Map<string, string>()
  for (const { table, rootPage, indexes } of structures) {
    roots.set(rootPage, { kind: 'table', table })
    for (const { name, rootPage: root } of indexes) {
      roots.set(root, { kind: 'index', index: name })
      tableOf.set(name, table)
    }
  }
  return problem => {
    const missing = /^row (?<row>-?\d+) missing from index (?<index>.+)$/s.exec(problem)?.groups
    const other =
      /^(?:wrong # of entries in|non-unique entry in|row \d+ values differ from) index (?<index>.+)$/s
    const index = missing?.['index'] ?? other.exec(problem)?.groups?.['index']
    if (index !== undefined) return { kind: 'index', index, row: missing?.['row'], table: tableOf.get(index) }
    // what was not looked at any more shows when the rest is mended
    if (problem.startsWith('the check broke off: ')) return { kind: 'end' }
    if (/\b2nd reference to page \d+$/.test(problem)) return { kind: 'twice' }
    if (/^(?:Main )?freelist: |^Page \d+: never used$/i.test(problem)) return { kind: 'free' }
    const root = /\bTree (\d+)\b/.exec(problem)?.[1]
    if (root !== undefined) return roots.get(Number(root)) ?? { kind: 'other' }
    const table = /^(?:NULL value in|non-\w+ value in|CHECK constraint failed in) ([^.]+)/.exec(problem)?.[1]
    return table === undefined ? { kind: 'other' } : { kind: 'table', table }
  }
}

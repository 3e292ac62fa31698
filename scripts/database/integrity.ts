import Database from 'better-sqlite3'

/**
 * What SQLite's own check complains of, a line each; none: nothing. Where damage breaks the check off, what it had found
 * until then, and that. Throws where it does not even begin.
 */
export function integrityProblems(
  database: Database.Database,
  check: 'integrity_check' | 'quick_check',
  most: number,
): string[] {
  const problems: string[] = []
  try {
    for (const line of database.prepare(`PRAGMA ${check}(${most})`).pluck().iterate() as Iterable<string>)
      if (line !== 'ok') problems.push(...linesOf(line))
  } catch (error) {
    if (problems.length === 0 || !(error instanceof Database.SqliteError)) throw error
    problems.push(`the check broke off: ${error.message} (${error.code})`)
  }
  return problems.length === 0 && check === 'integrity_check' ? strayPages(database) : problems
}

/** The page at this byte of a file is never used (SQLite, "The Lock-Byte Page"). */
const lockByte = 0x40000000

/**
 * Where there is a view, SQLite's check (seen in 3.54.1, not in 3.40) takes itself for one of a part of the database and
 * leaves out the list of free pages, from which whatever is written next would take its pages. So they are counted: each
 * page is used once or free.
 */
function strayPages(database: Database.Database): string[] {
  const number = (sql: string) => Number(database.prepare(sql).pluck().get())
  const views = number("SELECT count(*) FROM sqlite_master WHERE type = 'view'")
  // then there are pages that say where others are
  const mapped = Number(database.pragma('auto_vacuum', { simple: true })) !== 0
  if (views === 0 || mapped) return []
  const used = number('SELECT sum(pageno) FROM dbstat WHERE aggregate = TRUE')
  const [pages, free, size] = ['page_count', 'freelist_count', 'page_size'].map(name =>
    Number(database.pragma(name, { simple: true })),
  ) as [number, number, number]
  const unusable = pages * size > lockByte ? 1 : 0
  if (used + free + unusable === pages) return []
  return [`Freelist: ${used} pages are used and ${free} free, of ${pages}`]
}

/** `*** in database main ***` stands above what is found in pages, in one value with several lines. */
function linesOf(value: string): string[] {
  return value.split('\n').filter(line => line !== '' && !line.startsWith('*** in database '))
}

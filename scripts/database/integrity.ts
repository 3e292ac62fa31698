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
  return problems
}

/** `*** in database main ***` stands above what is found in pages, in one value with several lines. */
function linesOf(value: string): string[] {
  return value.split('\n').filter(line => line !== '' && !line.startsWith('*** in database '))
}

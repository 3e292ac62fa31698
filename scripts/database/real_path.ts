import { realpathSync } from 'node:fs'

/**
 * The file that a path leads to: SQLite lays a database's log and journal beside the file itself, not beside a link to
 * it. A path that leads nowhere stays as it is.
 */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

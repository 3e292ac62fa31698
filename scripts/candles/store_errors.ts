import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { command } from '../job/words.ts'
export function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith('SQLITE_BUSY') || codeOf(error).startsWith('SQLITE_LOCKED')
}

/** What each of SQLite's errors means for the person who runs the command, by the beginning of its code. */
const meanings: [code: string, what: string, hint: string][] = [
  [
    'SQLITE_BUSY',
    'is held by another process',
    'See who holds it: `lslocks | grep FILE`. The next run makes up for this one.',
  ],
  ['SQLITE_LOCKED', 'is locked', 'The next run makes up for this one.'],
  [
    'SQLITE_READONLY_ROLLBACK',
    'has a transaction to roll back that was cut off',
    'Looking on may not write. Opening it once for writing does it: the agent, or a run without --dry-run.',
  ],
  [
    'SQLITE_READONLY',
    'cannot be written: it is read-only',
    'Check the owner and mode of the file and of its folder.',
  ],
  ['SQLITE_CANTOPEN', 'cannot be opened', 'Check that its folder exists and that this user may write there.'],
  ['SQLITE_PERM', 'cannot be opened', 'Check the owner and mode of the file and of its folder.'],
  [
    'SQLITE_NOTADB',
    'is not a database',
    'Check paths.database; if the path is right, bring the file back from a backup.',
  ],
  [
    'SQLITE_CORRUPT',
    'is damaged',
    `Bring it back before anything else writes to it: ${command('db_recovery')}`,
  ],
  ['SQLITE_FULL', 'cannot grow: the disk is full', 'Free some space (`df -h`), then run this again.'],
  [
    'SQLITE_IOERR',
    'could not be read or written: the disk reports an error',
    'Look at `dmesg` for the disk.',
  ],
  ['EACCES', 'cannot be made: permission denied', 'Run this as the user that the agent runs as.'],
  ['ENOENT', 'cannot be made: its folder does not exist', 'Check paths.workspace and paths.database.'],
  ['EEXIST', 'cannot be made: its folder is a file', 'Check paths.workspace and paths.database.'],
  ['ENOTDIR', 'cannot be made: its folder is a file', 'Check paths.workspace and paths.database.'],
  ['EROFS', 'cannot be made: the file system is read-only', 'Mount it for writing.'],
]

/** An error of SQLite or the file system as one that says what to do; every other error as it is. */
export function asStoreError(error: unknown, file: string): unknown {
  if (error instanceof UserError) return error
  const code = codeOf(error)
  // better-sqlite3 says this of a missing folder, without a code
  const known = /directory does not exist/.test(messageOf(error)) ? 'ENOENT' : code
  const meaning = meanings.find(([prefix]) => known.startsWith(prefix))
  if (meaning === undefined) return error
  const [, what, hint] = meaning
  return new UserError(`the database ${file} ${what} (${known})`, {
    hint: hint.replace('FILE', file),
    cause: error,
  })
}

import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { codeOf, UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'
import { replaceFile } from './replace_file.ts'
import { formatTime } from './time.ts'

/** Who holds a lock: written beside it for people, never consulted to decide whether it is held. */
export type Holder = { job: string; pid: number; since: number }

export type Lock = { release(): void }

/** Who writes candles, who takes or uses backups. A recovery is both. */
export type LockName = 'candles' | 'backup'

/** Takes all of these locks or none. */
export function takeLocks(state: string, names: readonly LockName[], holder: Holder): Lock {
  const taken: Lock[] = []
  const release = () => taken.forEach(lock => lock.release())
  try {
    for (const name of names) taken.push(takeLock(state, name, holder))
    return { release }
  } catch (error) {
    release()
    throw error
  }
}

/**
 * Takes the lock `name`, or throws a UserError (exit status 75) that names the holder.
 *
 * It is an exclusive transaction on an empty SQLite database of its own: the operating system drops it with the
 * process, however that dies, so a kill -9 leaves nothing behind that would stop the next run.
 */
export function takeLock(state: string, name: string, holder: Holder): Lock {
  const folder = join(state, 'locks')
  mkdirSync(folder, { recursive: true })
  const holderFile = join(folder, `${name}.holder.json`)
  const database = new Database(join(folder, `${name}.lock`), { timeout: 0 })
  try {
    // a journal on disk would be written at once, which a full disk does not allow
    database.pragma('journal_mode = MEMORY')
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (codeOf(error) !== 'SQLITE_BUSY') throw error
    throw new UserError(`another run holds the ${name} lock: ${describeHolder(holderFile)}`, {
      hint: 'Wait for it to end; this run has changed nothing.',
      status: exitStatus.locked,
    })
  }
  nameHolder(holderFile, holder)
  return { release: () => database.close() }
}

/** Says who holds the lock, for the run that will be turned away; a full disk must not stop this one. */
function nameHolder(file: string, holder: Holder): void {
  try {
    // first, so that the name of an earlier holder is not given for this one's
    rmSync(file, { force: true })
    replaceFile(file, JSON.stringify(holder))
  } catch (error) {
    if (codeOf(error) === '') throw error
  }
}

function describeHolder(file: string): string {
  try {
    const { job, pid, since } = JSON.parse(readFileSync(file, 'utf8')) as Holder
    return `${job}, pid ${pid}, since ${formatTime(since)}`
  } catch {
    return 'it has only just started'
  }
}

/**
 * Who holds the lock `name` right now, by the kernel's own list (Linux, /proc/locks: nothing is touched, so nobody is
 * turned away by the look). 'nobody'; or undefined where there is no such list.
 */
export function holderOf(state: string, name: string): Holder | 'nobody' | undefined {
  const folder = join(state, 'locks')
  try {
    const { ino } = statSync(join(folder, `${name}.lock`))
    const lines = readFileSync('/proc/locks', 'utf8').split('\n')
    const line = lines.find(text => text.includes(' WRITE ') && text.includes(`:${ino} `))
    if (line === undefined) return 'nobody'
    const pid = Number(/ WRITE (\d+) /.exec(line)?.[1])
    const named = JSON.parse(readFileSync(join(folder, `${name}.holder.json`), 'utf8')) as Holder
    return named.pid === pid ? named : undefined
  } catch {
    return undefined
  }
}

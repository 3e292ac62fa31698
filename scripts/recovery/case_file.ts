import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { replaceFile, syncFolder } from '../job/replace_file.ts'
import { fileStamp } from '../job/time.ts'
import type { Diagnosis } from './diagnosis.ts'
import type { Salvage } from './salvage.ts'

/** What a new database was made from: a backup, the damaged one itself, or nothing but what could be read of that. */
export type Base =
  | { kind: 'backup'; id: string; tier: string; taken_at: string; covers_until: string }
  | { kind: 'itself'; how: 'indexes rebuilt' | 'written anew' | 'without its log' }
  | { kind: 'remains' }

/** A file of the damaged set, as it is kept. */
export type Evidence = { name: string; bytes: number }

/**
 * A recovery, as far as it has come; the JSON in its folder. preparing: nothing but the folder is there; replacing: the
 * new database lies in it, proven; replaced: it has taken the place of the damaged one; finished.
 */
export type Case = {
  format: 'candlekeep recovery 1'
  id: string
  state: 'preparing' | 'replacing' | 'replaced' | 'finished'
  database: string
  started_at: string
  diagnosis: Diagnosis
  /** What the damaged files looked like from outside when they were read. */
  seen?: string
  base?: Base
  /** Inode of the new database, wherever it is. */
  new_inode?: number
  /** Backups that did not pass their proof. */
  passed_over: { id: string; tier: string; why: string }[]
  salvage: Salvage | null
  /** Why nothing was salvaged, where something might have been. */
  not_salvaged: string | null
  /** Rows of which either the table or an index is damaged, so that nobody can say which value was true. */
  doubtful_rows: number
  method?: 'rename' | 'through'
  evidence: Evidence[]
  /** Since when the new database is in place. */
  serving_at?: string
  warnings: string[]
  finished_at?: string
}

const format = 'candlekeep recovery 1'
const folderPattern = /^recovery_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}$/

/** The folder of a recovery, beside the database, so that files get there by being renamed. */
export class CaseFile {
  readonly folder: string
  #found: Case

  private constructor(folder: string, found: Case) {
    this.folder = folder
    this.#found = found
  }

  /** Begins a recovery of the database at `path`, which is no link. */
  static begin(path: string, diagnosis: Diagnosis, now: number): CaseFile {
    const quarantine = quarantineOf(path)
    if (!existsSync(dirname(path)))
      throw new UserError(`${dirname(path)} does not exist`, {
        hint: 'Is the disk mounted that it is on? What is put there now would be hidden by it.',
      })
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
      throw new UserError(`${path} is no file`, { hint: 'Check paths.database; nothing has been replaced.' })
    writable(() => makeFolder(quarantine))
    let at = now
    while (existsSync(join(quarantine, nameAt(at)))) at += 1000
    const id = nameAt(at)
    const folder = join(quarantine, id)
    writable(() => {
      makeFolder(folder)
      makeFolder(join(folder, 'damaged'))
    })
    const begun = new CaseFile(folder, {
      format,
      id,
      state: 'preparing',
      database: path,
      started_at: new Date(now).toISOString(),
      diagnosis,
      passed_over: [],
      salvage: null,
      not_salvaged: null,
      doubtful_rows: 0,
      evidence: [],
      warnings: [],
    })
    begun.update({})
    syncFolder(quarantine)
    return begun
  }

  /** A recovery of that database that was killed, the newest. One whose JSON cannot be read was never begun. */
  static unfinished(path: string): CaseFile | undefined {
    const quarantine = quarantineOf(path)
    const names = namesIn(quarantine).filter(name => folderPattern.test(name))
    for (const name of names.toSorted().toReversed()) {
      const folder = join(quarantine, name)
      const found = readCase(join(folder, 'recovery.json'))
      if (found !== undefined && found.state !== 'finished') return new CaseFile(folder, found)
    }
    return undefined
  }

  get found(): Readonly<Case> {
    return this.#found
  }

  /** Where the damaged files are kept. */
  get damaged(): string {
    return join(this.folder, 'damaged')
  }

  /** What is only there while the recovery works: the copy that is read, and the new database. */
  get specimen(): string {
    return join(this.folder, 'specimen.db')
  }

  get restored(): string {
    return join(this.folder, 'restored.db')
  }

  /** Rows that were read and not brought over. */
  get aside(): string {
    return join(this.folder, 'not_restored.db')
  }

  /** Throws a UserError where it cannot be written: what is to be done next must be known to the next run. */
  update(change: Partial<Case>): void {
    this.#found = { ...this.#found, ...change }
    const text = `${JSON.stringify(this.#found, null, 2)}\n`
    writable(() => replaceFile(join(this.folder, 'recovery.json'), text, 0o600))
  }

  warn(line: string): void {
    this.update({ warnings: [...this.#found.warnings, line] })
  }

  /** Whether anything of the damaged database has been moved or copied here. */
  get hasEvidence(): boolean {
    return readdirSync(this.damaged).length > 0
  }

  /** Takes away the folder of a recovery that has kept nothing of the damaged database yet. */
  discard(): void {
    if (!this.hasEvidence) rmSync(this.folder, { recursive: true, force: true })
  }

  /** Takes away what is only there while it works. */
  clear(...files: string[]): void {
    for (const file of files)
      for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  }
}

function writable(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (codeOf(error) === '') throw error
    throw new UserError(`the folder of the recovery cannot be written: ${messageOf(error)}`, {
      hint: 'The disk of the database may be full or failing: df -h, dmesg. Recover again when there is room.',
      cause: error,
    })
  }
}

/** The folder of all recoveries of a database. */
function quarantineOf(path: string): string {
  return join(dirname(path), 'quarantine')
}

function nameAt(ms: number): string {
  return `recovery_${fileStamp(ms)}`
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

function readCase(file: string): Case | undefined {
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Case
    return found.format === format ? found : undefined
  } catch {
    return undefined
  }
}

/** Made by root, it belongs to whom the folder above belongs; nobody else may look: it holds all that the database does. */
function makeFolder(folder: string): void {
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) === undefined || process.getuid?.() !== 0) return
  const owner = statSync(dirname(folder))
  chownSync(folder, owner.uid, owner.gid)
}

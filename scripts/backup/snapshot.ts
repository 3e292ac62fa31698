import { chmodSync, existsSync, rmSync, statfsSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { type FileFacts, lookAtFile } from '../database/file_facts.ts'
import { startWorker, type Worker } from '../database/worker.ts'
import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { formatBytes } from '../job/words.ts'
import { dropFromCache, hashFile, syncFile } from './archive.ts'
import type { BackupFacts } from './manifest.ts'
import type { Proof, SnapshotAnswer, SnapshotRequest } from './snapshot_protocol.ts'
import { stateOf } from './source_state.ts'
import type { Context } from './tier.ts'

export type Snapshotter = Worker<SnapshotRequest, SnapshotAnswer>

/**
 * Started when it is first asked: a run that finds nothing to do costs no process. One that died is followed by another,
 * which is asked the same once more: what killed it need have nothing to do with the database.
 */
export function lazySnapshotter(signal: AbortSignal, compileCache: string): Snapshotter {
  const program = join(import.meta.dirname, 'snapshotter.mts')
  let worker: Snapshotter | undefined
  const askOne = async (request: SnapshotRequest) => {
    worker ??= startWorker<SnapshotRequest, SnapshotAnswer>({ program, signal, compileCache })
    const answer = await worker.ask(request)
    if (answer.died) worker = undefined
    return answer
  }
  return {
    async ask(request) {
      const answer = await askOne(request)
      return answer.died && !signal.aborted ? askOne(request) : answer
    },
    end: async () => worker?.end(),
  }
}

/** A proven copy of the database. */
export type Snapshot = {
  facts: BackupFacts
  file: string
  /** For how long writers had to wait; undefined: they never did. */
  heldMs: number | undefined
}

export type SnapshotWishes = { database: string; id: string; target: string; now: () => number }

const rounds = 2

/**
 * Takes a copy of `database` into `target` while others write to it, and proves it. Throws a DamagedSource where the
 * database is damaged, a UserError where no copy can be taken; nothing is left at `target` then.
 */
export async function takeSnapshot(
  snapshotter: Snapshotter,
  wishes: SnapshotWishes,
  context: Context,
): Promise<Snapshot> {
  const { database, target } = wishes
  const source = soundFile(database)
  needRoom(dirname(target), source.bytes + source.wal)
  for (let round = 1; ; round++) {
    try {
      return await takeOnce(snapshotter, wishes, source, context)
    } catch (error) {
      const damaged = error instanceof DamagedSource
      try {
        if (damaged) await needReadable(target, context)
      } finally {
        removeCopy(target)
      }
      // `E…`: what the system says of a file of the copy
      if (damaged ? error.ofDisk && (await isReadable(database, context)) : /^E[A-Z]/.test(codeOf(error)))
        throw new UserError(`no copy could be taken: ${messageOf(error)}`, {
          hint: 'A disk may be full or failing: df -h, dmesg',
          cause: error,
        })
      // a copy can go wrong on its way: it is the database where another one is as bad
      if (!damaged || round === rounds) throw error
    }
  }
}

async function takeOnce(
  snapshotter: Snapshotter,
  { database, id, target, now }: SnapshotWishes,
  source: SoundFile,
  context: Context,
): Promise<Snapshot> {
  const { uid, gid, mode } = statSync(database)
  const state = stateOf(database)
  const takenAt = now()
  const { taken } = await withProgress(target, source.bytes, context, () =>
    ask(snapshotter, {
      task: 'take',
      file: database,
      target,
      rollback: source.journalMode === 'rollback',
    }),
  )
  if (taken === undefined) throw new Error('no copy was taken')
  chmodSync(target, 0o600)
  const proof = await prove(snapshotter, target)
  if (proof.problems.length > 0)
    throw new DamagedSource(`the database is damaged: ${proof.problems.slice(0, 3).join('; ')}`)
  await syncFile(target)
  dropFromCache(target)
  const { size } = statSync(target)
  const facts: BackupFacts = {
    id,
    taken_at: new Date(takenAt).toISOString(),
    proven_at: new Date(now()).toISOString(),
    source: {
      host: hostname(),
      database,
      owner: { uid, gid, mode: (mode & 0o7777).toString(8) },
      journal_mode: source.journalMode,
      method: taken.method,
      state,
    },
    database: {
      bytes: size,
      sha256: await hashFile(target, 'reading the copy', size, context),
      ...proof.database,
    },
    tool: { candlekeep: manifest.version, sqlite: proof.sqlite, node: process.version },
  }
  return { facts, file: target, heldMs: taken.heldMs }
}

/** SQLite takes a disk that cannot be read for damage; then it is that of the copy, and says nothing of the database. */
async function needReadable(copy: string, context: Context): Promise<void> {
  try {
    if (existsSync(copy)) await hashFile(copy, 'reading the copy', statSync(copy).size, context)
  } catch (error) {
    context.signal.throwIfAborted()
    throw new UserError(`what was written to ${copy} cannot be read: ${messageOf(error)}`, {
      hint: 'The disk may be failing: dmesg',
      cause: error,
    })
  }
}

/** Where the database can be read in full, an error of some disk is not its own: it is that of the copy, or of the log. */
async function isReadable(database: string, context: Context): Promise<boolean> {
  try {
    await hashFile(database, 'reading the database', statSync(database).size, context)
    return true
  } catch {
    context.signal.throwIfAborted()
    return false
  }
}

/** A disk that it fills has to be free again at once. Where that fails, the next run takes it away. */
function removeCopy(file: string): void {
  try {
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  } catch (error) {
    if (codeOf(error) === '') throw error
  }
}

/** Proves a copy that nobody writes to: a whole check by SQLite, and what is in it. Throws where it cannot be looked at. */
export async function prove(snapshotter: Snapshotter, file: string): Promise<Proof> {
  const { proof } = await ask(snapshotter, { task: 'prove', file })
  if (proof === undefined) throw new Error('nothing was proven')
  const left = ['-wal', '-shm', '-journal'].filter(suffix => existsSync(file + suffix))
  if (left.length === 0) return proof
  return { ...proof, problems: [...proof.problems, `the copy has ${left.join(', ')} beside it`] }
}

async function ask(snapshotter: Snapshotter, request: SnapshotRequest): Promise<SnapshotAnswer> {
  const { findings, trouble } = await snapshotter.ask(request)
  if (trouble === undefined) return findings
  const { code = '', message = '' } = findings.error ?? {}
  // such as a collation of the agent's own that is not known here: that is no damage
  if (code.startsWith('SQLITE_ERROR'))
    throw new UserError(`the database cannot be proven here: ${message} (${code})`)
  if ('damaged' in trouble)
    throw new DamagedSource(trouble.damaged, { ofDisk: code.startsWith('SQLITE_IOERR') })
  const readOnly = code.startsWith('SQLITE_READONLY')
  throw new UserError(`no copy could be taken: ${trouble.unknown}`, {
    hint: readOnly ? 'In WAL mode this user must be able to write to the folder of the database.' : undefined,
  })
}

/** The database itself is damaged: nothing of it may take the place of what is good. */
export class DamagedSource extends Error {
  override name = 'DamagedSource'
  /** That is how it looks to SQLite, which was told so by some disk: of the database, of its log, of the copy. */
  readonly ofDisk: boolean

  constructor(message: string, { ofDisk = false } = {}) {
    super(message)
    this.ofDisk = ofDisk
  }
}

type SoundFile = Extract<FileFacts, { kind: 'database' }>

function soundFile(database: string): SoundFile {
  const file = lookAtFile(database)
  if (file.kind === 'database') return file
  if (file.kind === 'empty') throw new DamagedSource(`${database} is empty`)
  if (file.kind === 'foreign') throw new DamagedSource(`${database} is no SQLite database`)
  if (file.kind === 'unreadable')
    throw new UserError(`${database} cannot be read: ${file.why}`, { hint: 'Check its owner and mode.' })
  throw new UserError(`${database} does not exist`, {
    hint: 'Check paths.workspace and paths.database in the configuration.',
  })
}

/** The agent writes to the same disk: it must not be us who fill it. */
export function needRoom(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder)
  const [free, needed] = [bavail * bsize, bytes * 1.05]
  if (free >= needed) return
  throw new UserError(
    `no room in ${folder}: ${formatBytes(needed)} are needed, ${formatBytes(free)} are free`,
    {
      hint: `df -h ${dirname(folder)}`,
    },
  )
}

const lookEveryMs = 100

/** Shows how far a copy is by the size of its file. */
async function withProgress<T>(
  target: string,
  total: number,
  { progress }: Context,
  work: () => Promise<T>,
): Promise<T> {
  const moved = progress('copying the database', total)
  let seen = 0
  const timer = setInterval(() => {
    const size = statSync(target, { throwIfNoEntry: false })?.size ?? 0
    if (size > seen) moved(size - seen)
    seen = Math.max(seen, size)
  }, lookEveryMs)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

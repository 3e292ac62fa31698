import {
  accessSync,
  chmodSync,
  constants,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TierName } from '../job/config.ts'
import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { isMounted } from '../job/mount.ts'
import { syncFolder } from '../job/replace_file.ts'
import { quote } from '../job/words.ts'
import { copy, dropFromCache, type HashedFile, hashFile } from './archive.ts'
import {
  type BackupFacts,
  BadCopy,
  idOfManifest,
  type Manifest,
  manifestName,
  readManifest,
  renderManifest,
  timeOf,
} from './manifest.ts'
import type { Policy } from './retention.ts'
import { needRoom } from './snapshot.ts'
import type { Context, Listing, Source, Tier } from './tier.ts'

/** A tier that is a folder. */
export type FolderTier = Tier & {
  /** Where a copy of the database is to be made that `put` will only have to rename. */
  temporary: (id: string) => string
  /** The file of a backup that has its name. */
  named: (id: string) => string
  /** The file of a backup that is stored. */
  fileOf: (manifest: Manifest) => string
}

type FolderTierOptions = {
  name: TierName
  folder: string
  policy: Policy
  /** Databases lie there compressed; else plain, so that sqlite3 opens them. */
  compressed: boolean
  /** What has to be mounted: a disk that is missing must not fill the one below it. */
  mount?: string | null
}

/**
 * Backups in a folder: a file and its manifest each. Both are written under temporary names, forced to the disk and
 * renamed, the manifest last: what has one is whole. A run that was killed leaves temporary names only, or a file
 * whose manifest still has its temporary one; the next run takes them away, or completes it.
 */
export function openFolderTier(options: FolderTierOptions): FolderTier {
  const { name, folder, policy, compressed, mount = null } = options
  const dataName = (id: string) => `${id}.db${compressed ? '.zst' : ''}`
  const inFolder = (file: string) => join(folder, file)
  const temporary = (id: string) => inFolder(temporaryName(dataName(id)))

  return {
    name,
    where: folder,
    policy,
    temporary,
    named: id => inFolder(dataName(id)),
    fileOf: ({ stored }) => inFolder(stored.file),
    async prepare(context) {
      needMount(mount)
      makeFolder(folder)
      for (const id of unfinished(folder))
        await complete(folder, id, context).catch(error => {
          if (!(error instanceof BadCopy)) throw error
        })
      for (const file of readdirSync(folder).filter(isTemporary)) rmSync(inFolder(file), { force: true })
    },
    async list() {
      // without its disk it would look empty, and all that it has as gone
      needMount(mount)
      return listFolder(folder)
    },
    async put(source, context) {
      needMount(mount)
      const { facts } = source
      const temporaryFile = temporary(facts.id)
      for (const taken of [dataName(facts.id), manifestName(facts.id)])
        if (existsSync(inFolder(taken)))
          throw new UserError(`${inFolder(taken)} is there already; it is not overwritten`)
      const stored = compressed
        ? await copyProven(await source.archive(), temporaryFile, name, context)
        : await inPlace(source, temporaryFile, name, context)
      chmodSync(temporaryFile, 0o600)
      const manifest: Manifest = {
        ...facts,
        stored: {
          file: dataName(facts.id),
          bytes: stored.bytes,
          sha256: stored.sha256,
          compression: compressed ? 'zstd' : null,
          encryption: null,
        },
      }
      await writeSynced(inFolder(temporaryName(manifestName(facts.id))), renderManifest(manifest))
      // the disk may have gone meanwhile, and what was written with it
      needMount(mount)
      syncFolder(folder)
      giveNames(folder, manifest)
      return manifest
    },
    async read({ stored }) {
      try {
        const file = inFolder(stored.file)
        return createReadStream(file, { fd: openSync(file, 'r'), highWaterMark: 1 << 20 })
      } catch (error) {
        if (codeOf(error) === 'ENOENT') throw new BadCopy('its database is gone')
        throw error
      }
    },
    async remove({ id, stored }) {
      const last = inFolder(temporaryName(manifestName(id)))
      // killed in between, it is whole again or gone: never a name without what belongs to it
      renameIfThere(inFolder(manifestName(id)), last)
      rmSync(inFolder(stored.file), { force: true })
      rmSync(last, { force: true })
      syncFolder(folder)
    },
    discard() {
      try {
        needMount(mount)
        for (const file of readdirSync(folder).filter(isTemporary))
          if (!isLastStep(folder, file)) rmSync(inFolder(file), { force: true })
      } catch (error) {
        if (codeOf(error) === '' && !(error instanceof UserError)) throw error
      }
    },
    close: () => undefined,
  }
}

function needMount(mount: string | null): void {
  if (mount === null || isMounted(mount)) return
  throw new UserError(`nothing is mounted at ${mount}`, {
    hint: `mount ${mount} (backup.warm.mount; null where it is no mount point)`,
  })
}

/** What the system says of a folder that cannot be used, for people. */
function unusable(folder: string, error: unknown): unknown {
  const reasons: Record<string, string> = {
    EEXIST: 'it is a file, and no folder',
    ENOTDIR: 'a file is where it, or a folder above it, should be',
    EACCES: 'this user may not write there',
    EPERM: 'this user may not write there',
    EROFS: 'it is on a disk that is mounted read-only',
  }
  const why = reasons[codeOf(error)]
  if (why === undefined) return error
  return new UserError(`${folder} cannot be used: ${why}`, { hint: `ls -ld ${quote(folder)}`, cause: error })
}

/** Backups hold everything that the database does: they are for its owner only. */
function makeFolder(folder: string): void {
  try {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined) syncFolder(dirname(folder))
    // what is mounted read-only, or another user's, is told before a copy is made for it
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw unusable(folder, error)
  }
}

/** Beside others of its kind, and none of them: `.agent_backup_….tmp`. */
function temporaryName(name: string): string {
  return `.${name}.tmp`
}

/** Also what SQLite leaves beside a copy that it was making. */
function isTemporary(name: string): boolean {
  const [, base = ''] =
    /^\.(agent_backup_.*?)\.(?:db|db\.zst|manifest\.json)\.tmp(?:-journal|-wal|-shm)?$/.exec(name) ?? []
  return timeOf(base) !== undefined
}

/** Backups whose manifest still has its temporary name. */
function unfinished(folder: string): string[] {
  return readdirSync(folder).flatMap(name => {
    const id = idOfManifest(/^\.(.*)\.tmp$/.exec(name)?.[1] ?? '')
    return id === undefined ? [] : [id]
  })
}

/** Whether a file is the manifest, with its temporary name still, of a database that has its name: it is to be completed. */
function isLastStep(folder: string, file: string): boolean {
  const id = idOfManifest(/^\.(.*)\.tmp$/.exec(file)?.[1] ?? '')
  return id !== undefined && ['.db', '.db.zst'].some(suffix => existsSync(join(folder, id + suffix)))
}

/** A run was killed between giving the database its name and giving the manifest its own. */
async function complete(folder: string, id: string, context: Context): Promise<void> {
  const text = readFileSync(join(folder, temporaryName(manifestName(id))), 'utf8')
  const manifest = readManifest(text, id)
  const { file, bytes, sha256 } = manifest.stored
  const path = join(folder, file)
  if (!existsSync(path) || existsSync(join(folder, manifestName(id)))) return
  if ((await hashFile(path, `completing ${id}`, bytes, context)) === sha256) giveNames(folder, manifest)
}

function giveNames(folder: string, { id, stored }: { id: string; stored: { file: string } }): void {
  for (const name of [stored.file, manifestName(id)]) {
    // where it has its name already a killed run came as far as this
    renameIfThere(join(folder, temporaryName(name)), join(folder, name))
    syncFolder(folder)
  }
}

async function copyProven(
  from: HashedFile,
  target: string,
  name: string,
  context: Context,
): Promise<HashedFile> {
  needRoom(dirname(target), from.bytes)
  const written = await copy(from, target, `writing ${name}`, context)
  dropFromCache(target)
  const read = await hashFile(target, `reading ${name} back`, written.bytes, context)
  if (read !== from.sha256)
    throw new BadCopy(`${target} is not what was written to it: the disk may be failing`)
  return { ...from, file: target }
}

/** A copy that was made here needs a new name only. */
async function inPlace(
  { facts, file }: Source,
  target: string,
  name: string,
  context: Context,
): Promise<HashedFile> {
  const plain: HashedFile = { file, bytes: facts.database.bytes, sha256: facts.database.sha256 }
  return file === target ? plain : copyProven(plain, target, name, context)
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** Whole backups have a manifest that is as it was written, and a file of the size that it says. */
function listFolder(folder: string): Listing {
  const names = namesIn(folder)
  const listing = { backups: [] as Manifest[], broken: [] as Listing['broken'], strange: [] as string[] }
  for (const name of names) {
    const id = idOfManifest(name)
    if (id === undefined) continue
    try {
      const manifest = readManifest(readFileSync(join(folder, name), 'utf8'), id)
      const size = statSync(join(folder, manifest.stored.file), { throwIfNoEntry: false })?.size
      if (size === undefined) throw new BadCopy('its database is gone')
      const { bytes } = manifest.stored
      if (size !== bytes) throw new BadCopy(`its database has ${size} bytes instead of ${bytes}`)
      listing.backups.push(manifest)
    } catch (error) {
      listing.broken.push({ name, why: messageOf(error) })
    }
  }
  const have = new Set(names)
  for (const name of names) {
    const id = name.replace(/\.db(\.zst)?$/, '')
    if (id !== name && timeOf(id) !== undefined && !have.has(manifestName(id))) listing.strange.push(name)
  }
  listing.backups.sort(newestFirst)
  return listing
}

function newestFirst(a: BackupFacts, b: BackupFacts): number {
  return Date.parse(b.taken_at) - Date.parse(a.taken_at) || (a.id < b.id ? 1 : -1)
}

/** A folder that is not there yet has none. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw unusable(folder, error)
  }
}

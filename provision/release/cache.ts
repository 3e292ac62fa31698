import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { messageOf, UserError } from '../../scripts/job/errors.ts'
import { day } from '../../scripts/job/time.ts'
import { digestOf } from './digest.ts'

/** A gzipped tar; made once and kept in the cache. */
export type Packed = { file: string; bytes: number; sha256: string }

/** What nobody has asked for in this time is removed. */
const keptFor = 30 * day
/** What a killed run was writing. */
const unfinishedFor = day

/**
 * The packed file of this name, made by `write` where the cache has none that is sound. The digest is part of the file's
 * name, so it appears together with its content, and two processes that make the same do each other no harm.
 */
export async function cached(
  name: string,
  write: (target: string, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<Packed> {
  const folder = cacheFolder()
  for (const entry of entriesOf(folder)) {
    if (entry.name !== name) continue
    const file = join(folder, entry.file)
    if ((await digestOf(file, signal).catch(unlessStopped(signal))) === entry.sha256) {
      const now = new Date()
      utimesSync(file, now, now)
      return { file, bytes: statSync(file).size, sha256: entry.sha256 }
    }
    rmSync(file, { force: true })
  }
  const packed = await make(folder, name, write, signal)
  prune(folder)
  return packed
}

/** Where packed layers are kept: `$XDG_CACHE_HOME/candlekeep`, else `~/.cache/candlekeep`. */
export function cacheFolder(): string {
  const { XDG_CACHE_HOME: given = '' } = process.env
  // a relative path is to be ignored, says the XDG Base Directory Specification
  return join(isAbsolute(given) ? given : join(homedir(), '.cache'), 'candlekeep')
}

/** A name in the cache for something unfinished; what was left there by a killed run goes after a day. */
export function unfinished(name: string): string {
  return join(cacheFolder(), `.${name}.${randomBytes(6).toString('hex')}`)
}

async function make(
  folder: string,
  name: string,
  write: (target: string, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<Packed> {
  const target = unfinished(name)
  try {
    mkdirSync(folder, { recursive: true })
    await write(target, signal)
    const sha256 = await digestOf(target, signal)
    const file = join(folder, `${name}.${sha256}.tar.gz`)
    renameSync(target, file)
    return { file, bytes: statSync(file).size, sha256 }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof UserError) throw error
    throw new UserError(`cannot pack ${name}: ${messageOf(error)}`, {
      hint: `Packed files are kept in ${folder}; XDG_CACHE_HOME names another place.`,
      cause: error,
    })
  } finally {
    if (existsSync(target)) rmSync(target)
  }
}

type Entry = { file: string; name: string; sha256: string }

function entriesOf(folder: string): Entry[] {
  return namesIn(folder).flatMap(file => {
    const [, name, sha256] = /^([^.].*)\.([0-9a-f]{64})\.tar\.gz$/.exec(file) ?? []
    return name === undefined || sha256 === undefined ? [] : [{ file, name, sha256 }]
  })
}

/** Only what we made is removed, whatever else somebody keeps there. */
function prune(folder: string): void {
  const removeAfter = (name: string, ms: number) => {
    const path = join(folder, name)
    const { mtimeMs = Infinity } = statSync(path, { throwIfNoEntry: false }) ?? {}
    if (Date.now() - mtimeMs > ms) rmSync(path, { recursive: true, force: true })
  }
  for (const { file } of entriesOf(folder)) removeAfter(file, keptFor)
  for (const name of namesIn(folder)) if (/^\..*\.[0-9a-f]{12}$/.test(name)) removeAfter(name, unfinishedFor)
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** What cannot be read is made anew. */
function unlessStopped(signal: AbortSignal): () => undefined {
  return () => {
    signal.throwIfAborted()
    return undefined
  }
}

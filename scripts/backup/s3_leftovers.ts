import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { day } from '../job/time.ts'
import { BadCopy, manifestName, readManifest } from './manifest.ts'
import type { Bucket, Entry } from './s3_bucket.ts'
import { isAnswer } from './s3_errors.ts'
import { idOfData } from './s3_keys.ts'
import { readText } from './s3_read.ts'

/** No run of any host is older (the greatest `backup.timeout_minutes` is a day): what is, is of one that is dead. */
const oldestRun = day

/** The uploads of this host, noted down before they begin, so that what a killed run has left is known to be its own. */
export class OwnUploads {
  readonly #file: string

  constructor(state: string) {
    this.#file = join(state, 'cold_uploads')
  }

  /** A note that cannot be written only makes cleaning up late. */
  note(name: string): void {
    try {
      mkdirSync(join(this.#file, '..'), { recursive: true })
      appendFileSync(this.#file, `${name}\n`)
    } catch {}
  }

  read(): string[] {
    try {
      return readFileSync(this.#file, 'utf8').split('\n')
    } catch {
      return []
    }
  }

  forget(): void {
    rmSync(this.#file, { force: true })
  }
}

/**
 * Removes the parts of uploads that will never be done: all that this host has begun, since its lock is ours now, and
 * those of other hosts that are older than any run can be.
 */
export async function abandonUploads(bucket: Bucket, own: OwnUploads, signal: AbortSignal): Promise<void> {
  const names = new Set(own.read())
  const uploads = await unfinished(bucket, signal)
  const isDead = ({ name, initiated }: { name: string; initiated: number }) =>
    names.has(name) || bucket.now() - initiated > oldestRun
  for (const upload of uploads) {
    if (idOfData(upload.name) !== undefined && isDead(upload)) await bucket.abandon(upload, signal)
  }
  own.forget()
}

/** There are services that cannot list uploads: then there is nothing to be done about them. */
async function unfinished(bucket: Bucket, signal: AbortSignal) {
  try {
    return await bucket.unfinished(signal)
  } catch (error) {
    if (isAnswer(error, 'NotImplemented', 'MethodNotAllowed')) return []
    throw error
  }
}

/**
 * Removes databases that no manifest names, where it is certain that they are ours and that no run will still write one.
 * Age is by the service's own clock. Where a backup's manifest is damaged, its database stays: it may be all there is.
 */
export async function removeOrphans(bucket: Bucket, entries: Entry[], signal: AbortSignal): Promise<void> {
  const isOld = ({ modified }: Entry) => bucket.now() - modified > oldestRun
  const byId = Map.groupBy(
    entries.filter(({ name }) => idOfData(name) !== undefined),
    ({ name }) => idOfData(name) as string,
  )
  for (const [id, databases] of byId) {
    const hasManifest = entries.some(({ name }) => name === manifestName(id))
    // one of each is what a whole backup looks like
    if (!databases.some(isOld) || (hasManifest && databases.length === 1)) continue
    const named = hasManifest ? await databaseOf(bucket, id, signal) : undefined
    if (hasManifest && named === undefined) continue
    for (const { name } of databases.filter(entry => isOld(entry) && entry.name !== named)) {
      const head = await bucket.head(name, signal)
      if (head?.Metadata?.['candlekeep-id'] === id) await bucket.remove(name, signal)
    }
  }
}

/** The name of the database that a manifest names; undefined: it is damaged, or was removed just now. */
async function databaseOf(bucket: Bucket, id: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return readManifest(await readText(bucket, manifestName(id), signal), id).stored.file
  } catch (error) {
    if (error instanceof BadCopy) return undefined
    throw error
  }
}

import { createHash } from 'node:crypto'
import { fileStamp } from '../job/time.ts'

/** What was backed up, and what it was proven to be; the same for its copies on all tiers. Times are ISO, UTC. */
export type BackupFacts = {
  /** `agent_backup_2026-11-24_02-00-00`: names its files, and says when it was taken. */
  id: string
  /** Everything that was committed before is in it. */
  taken_at: string
  /** When the database in it passed its proof. */
  proven_at: string
  source: {
    host: string
    database: string
    /** Owner and permissions of the file, to be given back to a restored one. */
    owner: { uid: number; gid: number; mode: string }
    journal_mode: 'wal' | 'rollback'
    /** How it was taken: SQLite's backup API, a copy under a shared lock, VACUUM INTO. */
    method: 'backup' | 'copy' | 'vacuum'
    /** What the file looked like just before, to tell whether it has changed since; null: it cannot be told. */
    state: string | null
  }
  database: {
    bytes: number
    sha256: string
    page_size: number
    page_count: number
    schema_sha256: string
    user_version: number
    application_id: number
    tables: { name: string; rows: number }[]
    /** Open time of the newest candle of each candle table that there is. */
    candles: { table: string; newest: string | null }[]
  }
  tool: { candlekeep: string; sqlite: string; node: string }
}

/** How a tier keeps the database. */
export type Stored = {
  /** Name of the file or object, beside the manifest. */
  file: string
  bytes: number
  sha256: string
  compression: 'zstd' | null
  encryption: 'age' | null
}

/** A backup on one tier: the JSON that lies beside it. It is written last, so what has one is whole. */
export type Manifest = BackupFacts & { stored: Stored }

const format = 'candlekeep backup 1'
const idPattern = /^agent_backup_(\d{4}-\d{2}-\d{2})_(\d{2})-(\d{2})-(\d{2})$/
const suffix = '.manifest.json'

/** The name of a backup that was taken at `ms`; to the second. */
export function idAt(ms: number): string {
  return `agent_backup_${fileStamp(ms)}`
}

/** When a backup was taken, by its name; undefined: this is no name of ours. */
export function timeOf(id: string): number | undefined {
  const [, date, hours, minutes, seconds] = idPattern.exec(id) ?? []
  const time = Date.parse(`${date}T${hours}:${minutes}:${seconds}Z`)
  // Date.parse lets the 30th of February pass
  return !Number.isNaN(time) && idAt(time) === id ? time : undefined
}

export function manifestName(id: string): string {
  return id + suffix
}

/** The backup that a file of this name is the manifest of; undefined: of none of ours. */
export function idOfManifest(name: string): string | undefined {
  const id = name.endsWith(suffix) ? name.slice(0, -suffix.length) : ''
  return timeOf(id) === undefined ? undefined : id
}

/** The backup that a file with a name of ours belongs to. */
export function idOfName(name: string): string {
  return name.replace(/\..*/s, '')
}

/** The manifest as text. Its last line holds a digest of the others. */
export function renderManifest(manifest: Manifest): string {
  const body = { format, ...manifest }
  return `${JSON.stringify({ ...body, manifest_sha256: digestOf(body) }, null, 2)}\n`
}

/** Reads the manifest of `id`. Throws a BadCopy where a single byte of it is not as it was written. */
export function readManifest(text: string, id: string): Manifest {
  const manifest = parse(text)
  if (typeof manifest === 'string') throw new BadCopy(manifest)
  if (manifest.id !== id) throw new BadCopy(`its manifest is that of ${manifest.id}`)
  // a name that leads elsewhere is none that we give
  if (!manifest.stored.file.startsWith(`${id}.`) || manifest.stored.file.includes('/'))
    throw new BadCopy(`its manifest is about ${manifest.stored.file}`)
  return manifest
}

/** A manifest, or what is wrong with it. */
function parse(text: string): Manifest | string {
  const damaged = 'its manifest is damaged'
  try {
    const { format: found, manifest_sha256: _, ...manifest } = JSON.parse(text) as Record<string, unknown>
    if (typeof found === 'string' && found !== format && /^candlekeep backup \d+$/.test(found))
      return `its manifest is one of another version: ${found}`
    // white space and the order of keys too: what is not byte for byte what we write has been changed
    const same = found === format && renderManifest(manifest as Manifest) === text
    return same ? (manifest as Manifest) : damaged
  } catch {
    return damaged
  }
}

function digestOf(body: object): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex')
}

/** What is stored is not what was stored. */
export class BadCopy extends Error {
  override name = 'BadCopy'
}

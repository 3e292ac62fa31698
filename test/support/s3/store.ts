import { randomBytes } from 'node:crypto'
import type { Algorithm, Checksum, ChecksumType } from './checksums.ts'

export type Lock = { mode: 'GOVERNANCE' | 'COMPLIANCE'; retainUntil: string }

/** What a client may say about an object as it makes it. */
export type About = {
  storageClass: string
  /** `x-amz-meta-` without that. */
  metadata: Record<string, string>
  /** Content-Type and the like. */
  headers: Record<string, string>
  lock: Lock | undefined
}

/** A copy of an archived object that can be read from `readyAt` to `until`, as it was asked for. */
type Restored = { readyAt: number; until: number; days: number; tier: RestoreTier }

/** How an archived object is brought back, the slowest first. */
export const restoreTiers = ['Bulk', 'Standard', 'Expedited'] as const
export type RestoreTier = (typeof restoreTiers)[number]

export type StoredObject = About & {
  key: string
  /** `null` in a bucket without versions. */
  versionId: string
  deleted: false
  body: Buffer
  /** Without the quotes. */
  etag: string
  lastModified: number
  checksum: Checksum | undefined
  restored: Restored | undefined
}

type DeleteMarker = { key: string; versionId: string; deleted: true; lastModified: number }

export type StoredPart = {
  number: number
  body: Buffer
  etag: string
  lastModified: number
  checksum: Checksum | undefined
}

export type StoredUpload = About & {
  key: string
  uploadId: string
  initiated: number
  /** Without one S3 makes a CRC-64 of the whole. */
  checksum: { algorithm: Algorithm; type: ChecksumType } | undefined
  /** By number. */
  parts: Map<number, StoredPart>
}

/** A bucket with Object Lock keeps all versions of an object, as S3 demands; another keeps one. */
export class Bucket {
  readonly name: string
  readonly objectLock: boolean
  readonly uploads = new Map<string, StoredUpload>()
  /** By key, the newest last. */
  readonly #versions = new Map<string, (StoredObject | DeleteMarker)[]>()

  constructor(name: string, objectLock: boolean) {
    this.name = name
    this.objectLock = objectLock
  }

  /** The newest version of each key that is not deleted, in the order of S3's listings. */
  get objects(): StoredObject[] {
    const newest = [...this.#versions.values()].map(versions => versions.at(-1))
    return newest.filter(version => version?.deleted === false).sort((a, b) => compareKeys(a.key, b.key))
  }

  /** All versions, the newest of each key first. */
  get versions(): (StoredObject | DeleteMarker)[] {
    const keys = [...this.#versions.keys()].sort(compareKeys)
    return keys.flatMap(key => (this.#versions.get(key) ?? []).toReversed())
  }

  newest(key: string): StoredObject | DeleteMarker | undefined {
    return this.#versions.get(key)?.at(-1)
  }

  version(key: string, versionId: string): StoredObject | DeleteMarker | undefined {
    return this.#versions.get(key)?.find(version => version.versionId === versionId)
  }

  /** Sees to the version's id. */
  add<T extends StoredObject | DeleteMarker>(version: T): T {
    const stored = { ...version, versionId: this.objectLock ? randomBytes(16).toString('hex') : 'null' }
    const before = this.objectLock ? (this.#versions.get(version.key) ?? []) : []
    this.#versions.set(version.key, [...before, stored])
    return stored
  }

  remove(key: string, versionId: string): void {
    const left = (this.#versions.get(key) ?? []).filter(version => version.versionId !== versionId)
    if (left.length > 0) this.#versions.set(key, left)
    else this.#versions.delete(key)
  }
}

/** What a double has stored; given to another double, it goes on with it. */
export class S3Store {
  readonly buckets = new Map<string, Bucket>()
}

/** As S3 sorts keys: by their bytes in UTF-8. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

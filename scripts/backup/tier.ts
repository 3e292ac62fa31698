import type { Readable } from 'node:stream'
import type { TierName } from '../job/config.ts'
import type { BackupFacts, Manifest } from './manifest.ts'
import type { Policy } from './retention.ts'

/** What work on a tier is given. */
export type Context = {
  signal: AbortSignal
  /** Shows how far `total` bytes of something are; the function says how many more have been done. */
  progress: (what: string, total: number) => (bytes: number) => void
}

/** A proven database that is to be put on a tier. */
export type Source = {
  facts: BackupFacts
  /** The database, plain. Nobody writes to it. */
  file: string
  /** The same compressed with zstd, in a file of its own; made when it is first asked for. */
  archive: () => Promise<{ file: string; bytes: number; sha256: string }>
}

/** What is found on a tier. */
export type Listing = {
  /** Whole backups, newest first. */
  backups: Manifest[]
  /** Backups that are not whole any more, by the name of their manifest, and why. */
  broken: { name: string; why: string }[]
  /** Databases with a name of ours and no manifest: they were never proven, or not by us. They are left alone. */
  strange?: string[]
}

/** A place that keeps backups. What goes wrong there is thrown, and concerns no other tier. */
export type Tier = {
  name: TierName
  /** For people: a folder, or `s3://BUCKET/PREFIX`. */
  where: string
  policy: Policy
  /**
   * Makes it ready to be written to: takes away, or completes, what killed runs have left. Throws a UserError that
   * says why nothing can be written there now. To be called with the lock of backups only.
   */
  prepare: (context: Context) => Promise<void>
  /** Reads every manifest. Changes nothing. */
  list: (context: Context) => Promise<Listing>
  /** Stores a backup that is not there yet, proves that it is stored as it should be, and gives its manifest. */
  put: (source: Source, context: Context) => Promise<Manifest>
  /** What is stored, as it is stored. Throws a BadCopy where it is not there, a NotReadable where it cannot be had now. */
  read: (manifest: Manifest, context: Context) => Promise<Readable>
  /** Removes a backup; one that is not there any more is no error. */
  remove: (manifest: Manifest, context: Context) => Promise<void>
  /** Takes away what a `put` that failed has left, so that a full disk is not kept full. Never throws. */
  discard?: () => void
  /**
   * Asks for an archived copy to be brought back, unless it is on its way already: asking again does no harm.
   * `withinMs`: when it is wanted. Only tiers that archive have it.
   */
  thaw?: (manifest: Manifest, withinMs: number, context: Context) => Promise<Thaw>
  /** Ends connections. */
  close: () => void
}

/** How far an archived copy is on its way back. `ms`: how long the service says such a retrieval takes at most. */
export type Thaw =
  | { state: 'readable' }
  | { state: 'asked' | 'coming'; how: 'Expedited' | 'Standard' | 'Bulk'; ms: number }

/** A copy that may be good and cannot be read now: it is archived, its key is not here. */
export class NotReadable extends Error {
  override name = 'NotReadable'
}

/** A copy in an archive class of S3: it can be read some hours after it was asked for. */
export class Archived extends NotReadable {
  override name = 'Archived'
}

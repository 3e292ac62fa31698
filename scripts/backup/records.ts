import type { TierName } from '../job/config.ts'
import type { History } from '../job/history.ts'
import { idOfName, type Manifest } from './manifest.ts'
import type { Kept } from './retention.ts'
import type { Listing } from './tier.ts'

/** What the history has of a backup on a tier. Times in milliseconds. */
export type BackupRecord = {
  id: string
  provenAt: number
  coversUntil: number
  failedAt: number | null
  failure: string | null
}

/** The backups as the history remembers them: when each was proven, and up to when it has everything. */
export class BackupRecords {
  #history: History
  #now: () => number

  constructor(history: History, now: () => number) {
    this.#history = history
    this.#now = now
  }

  /** Notes what is there, what is there no more, and what is damaged; also where the history knew nothing of it. */
  found(tier: TierName, { backups, broken }: Listing): void {
    const ids = JSON.stringify(backups.map(({ id }) => id))
    this.#history.transact(database => {
      for (const manifest of backups) this.#insert(database, tier, manifest)
      database
        .prepare(
          'UPDATE backups SET removed_at = NULL WHERE tier = ? AND id IN (SELECT value FROM json_each(?))',
        )
        .run(tier, ids)
      database
        .prepare(
          `UPDATE backups SET removed_at = ?
           WHERE tier = ? AND removed_at IS NULL AND id NOT IN (SELECT value FROM json_each(?))`,
        )
        .run(this.#now(), tier, ids)
      for (const { name, why } of broken) this.#fail(database, tier, idOfName(name), why)
    })
  }

  /** A backup that was stored and proven just now. `coversUntil`: later than taken where nothing changed since. */
  stored(tier: TierName, manifest: Manifest, coversUntil = Date.parse(manifest.taken_at)): void {
    this.#history.transact(database => {
      this.#insert(database, tier, manifest, this.#now())
      database
        .prepare('UPDATE backups SET covers_until = max(covers_until, ?) WHERE id = ? AND tier = ?')
        .run(coversUntil, manifest.id, tier)
    })
  }

  /**
   * Nothing was committed since the backup `id` was taken: wherever it is, it has everything up to now. What was noted
   * by a clock that was ahead goes: for as long as it lies in the future nobody would see how old a backup is.
   */
  covers(id: string, until: number): void {
    this.#history.transact(database =>
      database.prepare('UPDATE backups SET covers_until = max(taken_at, ?) WHERE id = ?').run(until, id),
    )
  }

  /** What a proof of a stored backup came to; a `failure` says why it is not good. */
  verified(tier: TierName, id: string, failure?: string): void {
    this.#history.transact(database => {
      if (failure !== undefined) return this.#fail(database, tier, id, failure)
      database
        .prepare(
          'UPDATE backups SET proven_at = ?, failed_at = NULL, failure = NULL WHERE id = ? AND tier = ?',
        )
        .run(this.#now(), id, tier)
    })
  }

  removed(tier: TierName, id: string): void {
    this.#history.transact(database =>
      database
        .prepare('UPDATE backups SET removed_at = ? WHERE id = ? AND tier = ?')
        .run(this.#now(), id, tier),
    )
  }

  of(tier: TierName): Map<string, BackupRecord> {
    const rows = this.#history.transact(database =>
      database
        .prepare(
          `SELECT id, proven_at AS provenAt, covers_until AS coversUntil, failed_at AS failedAt, failure
           FROM backups WHERE tier = ? AND removed_at IS NULL`,
        )
        .all(tier),
    ) as BackupRecord[]
    return new Map(rows.map(row => [row.id, row]))
  }

  /** When the newest good backup of a tier was taken. */
  newestOf(tier: TierName): number | undefined {
    const newest = this.#history.transact(database =>
      database
        .prepare(
          `SELECT max(taken_at) FROM backups
           WHERE tier = ? AND failed_at IS NULL AND removed_at IS NULL AND taken_at <= ?`,
        )
        .pluck()
        .get(tier, this.#now()),
    ) as number | null
    return newest ?? undefined
  }

  /** Name of the newest good backup on any tier. */
  newest(): string | undefined {
    return this.#history.transact(database =>
      database
        .prepare(
          `SELECT id FROM backups WHERE failed_at IS NULL AND removed_at IS NULL AND taken_at <= ?
           ORDER BY taken_at DESC LIMIT 1`,
        )
        .pluck()
        .get(this.#now()),
    ) as string | undefined
  }

  /** What is on a tier, as the retention looks at it. */
  kept(tier: TierName, backups: readonly Manifest[]): Kept[] {
    const records = this.of(tier)
    return backups.map(({ id, taken_at }) => ({
      id,
      takenAt: Date.parse(taken_at),
      proven: (records.get(id)?.failedAt ?? null) === null,
    }))
  }

  #insert(
    database: Database,
    tier: TierName,
    manifest: Manifest,
    provenAt = Date.parse(manifest.proven_at),
  ): void {
    const takenAt = Date.parse(manifest.taken_at)
    database
      .prepare(
        `INSERT INTO backups (id, tier, taken_at, covers_until, proven_at, bytes)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id, tier) DO NOTHING`,
      )
      .run(manifest.id, tier, takenAt, takenAt, provenAt, manifest.stored.bytes)
  }

  #fail(database: Database, tier: TierName, id: string, why: string): void {
    database
      .prepare(
        `UPDATE backups SET failed_at = coalesce(failed_at, ?), failure = ?, removed_at = NULL
         WHERE id = ? AND tier = ?`,
      )
      .run(this.#now(), why, id, tier)
  }
}

type Database = Parameters<Parameters<History['transact']>[0]>[0]

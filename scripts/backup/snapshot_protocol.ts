import type { WorkerAnswer } from '../database/worker.ts'
import type { BackupFacts } from './manifest.ts'

// What the backup and the process that takes and proves copies say to each other.

export type SnapshotRequest =
  /** Copies the database `file` to `target` as of one moment. */
  | { task: 'take'; file: string; target: string; rollback: boolean }
  /** Proves a copy that nobody writes to, and leaves it as one file, in rollback mode. */
  | { task: 'prove'; file: string }

/** How a copy was taken, and for how long writers had to wait where the database does not let them write beside it. */
export type Taken = { method: BackupFacts['source']['method']; heldMs: number | undefined }

export type Proof = {
  /** What SQLite's integrity check says, and what else speaks against the copy; none: it is sound. */
  problems: string[]
  database: Omit<BackupFacts['database'], 'bytes' | 'sha256'>
  sqlite: string
}

export type SnapshotAnswer = WorkerAnswer & { taken?: Taken; proof?: Proof }

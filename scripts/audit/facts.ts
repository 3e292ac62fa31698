import type { TierName } from '../job/config.ts'
import type { RunOutcome } from '../job/history.ts'

// What the history tells of the time that is judged, and of the time before. All times in milliseconds since the epoch.

export type SyncFact = {
  startedAt: number
  /** null: it goes on. */
  finishedAt: number | null
  outcome: RunOutcome | 'running'
  /** It was about everything that is configured, as the daily one is. */
  whole: boolean
  /** Freshness is measured from its end. */
  counts: boolean
  /** When the newest candle closed that some symbol has since; null: none has got any by it. */
  newestClosed: number | null
  summary: string
}

/** What a health check said of the database, or what else showed that it is damaged. */
export type SoundnessFact = { at: number; damaged: boolean; line: string }

export type BackupFact = {
  id: string
  tier: TierName
  takenAt: number
  /** It has everything that was committed up to then. */
  coversUntil: number
  /** Since when it is known to be good. */
  provenAt: number
  /** When it was found to be bad, and when it was removed. */
  failedAt: number | null
  removedAt: number | null
}

export type BackupRunFact = {
  startedAt: number
  outcome: RunOutcome | 'running'
  /** What became of each tier; undefined: the run came to none. */
  tiers: { tier: TierName; failed: boolean }[] | undefined
  summary: string
}

export type RecoveryFact = {
  id: string
  startedAt: number
  servingAt: number | null
  damage: string
  base: string | null
  knownLost: number
  /** So old was what it was made from, where not all that came after could be salvaged. */
  rpoMs: number | null
}

export type DrillFact = {
  run: number
  tier: TierName
  backup: string | null
  startedAt: number
  finishedAt: number
  failure: string | null
}

export type Facts = {
  syncs: SyncFact[]
  /** When the newest candle closed, as a sync or a health check saw it. */
  newestCandles: { at: number; closedAt: number }[]
  soundness: SoundnessFact[]
  backups: BackupFact[]
  backupRuns: BackupRunFact[]
  recoveries: RecoveryFact[]
  drills: DrillFact[]
  /** Runs in the order in which they began. */
  runs: { job: string; startedAt: number; finishedAt: number | null }[]
}

/** The facts that are known at some moment, and when the history begins, with the first run that it has. */
export type Known = Facts & { begunAt: number | undefined }

import type Database from 'better-sqlite3'
import type { Clock } from '../job/clock.ts'
import { isBusy } from './store_errors.ts'

export type Patience = {
  /** How long to wait for other writers, in milliseconds. */
  busyMs: number
  clock: Clock
  signal: AbortSignal
}

/** Wait of SQLite's own busy handler: short, because the process stands still meanwhile. */
export const busyStepMs = 200

/**
 * Runs `action` in a write transaction. While another process is in the way it waits with the event loop running, so
 * that a waiting run can be stopped and its requests go on.
 */
export async function inTransaction<T>(
  database: Database.Database,
  patience: Patience,
  action: () => T,
): Promise<T> {
  const until = performance.now() + patience.busyMs
  await whileBusy(until, patience, () => database.exec('BEGIN IMMEDIATE'))
  try {
    const result = action()
    // in rollback-journal mode readers can hold up the commit itself
    await whileBusy(until, patience, () => database.exec('COMMIT'))
    return result
  } catch (error) {
    // some errors (a full disk) have rolled back already
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Runs `action`; while another process is in the way, again and again until `until` (`performance.now()`). */
async function whileBusy<T>(until: number, { clock, signal }: Patience, action: () => T): Promise<T> {
  for (;;) {
    try {
      return action()
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error
      await clock.sleep(busyStepMs / 4, signal)
    }
  }
}

/** Runs `action`, which only reads, and again while another process is in the way. */
export function whenFree<T>(patience: Patience, action: () => T): Promise<T> {
  return whileBusy(performance.now() + patience.busyMs, patience, action)
}

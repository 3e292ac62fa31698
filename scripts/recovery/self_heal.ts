import { spawn } from 'node:child_process'
import type { History } from '../job/history.ts'
import { hour } from '../job/time.ts'
import { lastRecovery } from './records.ts'

/** A recovery that has just ended is not followed by another: what it did not mend the first time needs a person. */
const restMs = hour

/**
 * Whether the health check before the run `run` found the database damaged as well, not long ago, and no recovery has
 * been made since. Once can be a disk that hiccuped, or a file that was looked at while it was being replaced.
 */
export function isDamagedAgain(
  history: History,
  { run, now, everyMs }: { run: number; now: number; everyMs: number },
): boolean {
  const before = history.transact(database =>
    database
      .prepare(
        `SELECT status, checked_at AS at FROM checks
         WHERE name = 'database_integrity' AND run < ? ORDER BY run DESC LIMIT 1`,
      )
      .get(run),
  ) as { status: string; at: number } | undefined
  const last = lastRecovery(history, now)
  const rested = last === undefined || now - last.at >= restMs
  return rested && before?.status === 'critical' && now - before.at <= 2 * everyMs
}

/** Starts a recovery in a process of its own, which goes on when this one has ended. */
export function startRecovery(script: string, config: string): void {
  spawn(process.execPath, [script, '--yes', '--config', config], { detached: true, stdio: 'ignore' }).unref()
}

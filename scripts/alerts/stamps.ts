import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Condition } from '../job/alerting.ts'
import type { Config } from '../job/config.ts'
import type { History } from '../job/history.ts'
import { hour } from '../job/time.ts'

/** What a run was told of where nothing can be remembered. */
type Told = { key: string; level: Condition['severity'] }

/**
 * The conditions that nobody was told of lately, as far as stamps say. A run whose history is lost takes everything for
 * news; without stamps it would tell the same as the run before, every five minutes.
 */
export function withoutStamp(conditions: Condition[], config: Config): Condition[] {
  return conditions.filter(
    ({ key, severity }) => !isStamped(stampFile({ key, level: severity }, config), config),
  )
}

/** Leaves a stamp for each alert that has arrived somewhere. One that has not is told by the next run. */
export function stampSent(history: History, config: Config): void {
  const told = history.transact(database =>
    database
      .prepare(
        `SELECT DISTINCT key, level FROM alert_events JOIN alert_deliveries ON id = event
         WHERE outcome = 'sent' AND level <> 'ok'`,
      )
      .all(),
  ) as Told[]
  for (const one of told) attempt(() => mkdirSync(stampFile(one, config), { mode: 0o700 }))
}

/** A folder, since making one follows no link that somebody else has put there: anybody may write to /tmp. */
function stampFile({ key, level }: Told, { paths }: Config): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([paths.workspace, key, level]))
    .digest('hex')
  return join(tmpdir(), `candlekeep-alert-${digest.slice(0, 32)}`)
}

/** By the machine's own clock, which also dates files. What cannot be looked at is no stamp. */
function isStamped(file: string, { alerts }: Config): boolean {
  const status = attempt(() => lstatSync(file, { throwIfNoEntry: false }))
  if (status === undefined) return false
  const age = Date.now() - status.mtimeMs
  const isOurs = status.isDirectory() && status.uid === process.getuid?.()
  if (isOurs && age >= 0 && age < alerts.repeat_hours * hour) return true
  attempt(() => rmdirSync(file))
  return false
}

/** Without stamps people are told too often, which is better than not at all. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

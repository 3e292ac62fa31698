import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { History } from './history.ts'
import type { Log } from './log.ts'

/** How bad something is: whom it concerns, and when. */
export type Severity = 'info' | 'warning' | 'critical'

/** Something that is well or not, as it was just seen. */
export type Condition = {
  /** Names it for good, `job:daily_sync`, `health:database_integrity`: an alert is about one of these. */
  key: string
  severity: 'ok' | Severity
  /** One line: what is wrong, or that it is well. */
  title: string
  /** More lines, and the command that helps. */
  details: string[]
  /** It could not be looked at: that is worth a word, but it says nothing of what was seen before. */
  unsure?: boolean
}

/** What telling people needs. */
export type AlertingContext = { config: Config; history: History; clock: Clock; log: Log }

/** How conditions reach people; the frame of the jobs knows no channel itself. */
export type Alerting = {
  /** Remembers what was seen and what has to be said of it. Writes to the history only, and never throws. */
  observe(conditions: Condition[], context: AlertingContext): void
  /** Says what has to be said, now or, where a channel is down, at a later run. Bounded in time, and never throws. */
  deliver(context: AlertingContext): Promise<void>
  /** The same by a process of its own, for one that has to end at once. */
  deliverDetached(context: AlertingContext): void
}

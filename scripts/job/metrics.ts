import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { codeOf, messageOf } from './errors.ts'
import type { History } from './history.ts'
import type { Log } from './log.ts'
import { readFamilies } from './metric_families.ts'
import { renderFamilies } from './prometheus_text.ts'
import { replaceFile } from './replace_file.ts'

/**
 * Writes `METRICS/candlekeep.prom` anew from the history. It is for others to read; one that cannot be written is a
 * warning and never in the way of a job. A history that lasts for this run only would make all counters begin
 * again: then the file stays as it is.
 */
export function writeMetrics(given: { config: Config; history: History; clock: Clock; log: Log }): void {
  const { config, history, clock, log } = given
  const file = join(config.paths.metrics, 'candlekeep.prom')
  try {
    // written inside the transaction: two jobs that end together put their files in place in the order of their reads
    history.transact(database => {
      if (database.memory) return
      mkdirSync(config.paths.metrics, { recursive: true })
      replaceFile(file, renderFamilies(readFamilies(database, config, clock.now())), 0o644)
    })
  } catch (error) {
    log.warn(`the metrics cannot be written: ${file}: ${codeOf(error) || messageOf(error)}`)
  }
}

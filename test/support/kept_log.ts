import type { Log } from '../../scripts/job/log.ts'

/** A log in memory: what it was told, and the warnings of it. */
export function keptLog() {
  const infos: string[] = []
  const warnings: string[] = []
  const log: Log = {
    info: text => void infos.push(text),
    warn: text => void warnings.push(text),
    error: text => void warnings.push(text),
    file: undefined,
    close: () => undefined,
  }
  return { log, infos, warnings }
}

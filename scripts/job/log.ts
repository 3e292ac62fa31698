import { closeSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from './clock.ts'
import { codeOf, messageOf } from './errors.ts'
import { fileStamp } from './time.ts'

type Level = 'info' | 'warn' | 'error'
type Fields = Record<string, unknown>

/** The log of a run: JSON lines in a file of its own. `warn` and `error` are shown on the console as well. */
export type Log = {
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
  /** Path of the log file, or undefined where none could be written. */
  file: string | undefined
  close(): void
}

/**
 * Opens `FOLDER/JOB_YYYY-MM-DD_HH-MM-SS.log`; without a folder only the console is used. A log that cannot be opened, or a disk that fills up, is said once on
 * the console and never stops the run: what a run is for matters more than its log.
 */
export function openLog(
  folder: string | undefined,
  job: string,
  clock: Clock,
  show: (level: Level, text: string) => void,
): Log {
  let file = join(folder ?? '', `${job}_${fileStamp(clock.now())}.log`)
  let descriptor = folder === undefined ? undefined : attempt(() => open(folder))
  const opened = descriptor !== undefined

  function open(parent: string): number {
    mkdirSync(parent, { recursive: true })
    // two runs in one second each have a log of their own
    if (statSync(file, { throwIfNoEntry: false })?.isFile())
      file = file.replace(/\.log$/, `_${process.pid}.log`)
    return openSync(file, 'a', 0o640)
  }

  function attempt<T>(action: () => T): T | undefined {
    try {
      return action()
    } catch (error) {
      show('warn', `no log is kept of this run: ${file}: ${codeOf(error) || messageOf(error)}`)
      return undefined
    }
  }

  function write(level: Level, message: string, fields: Fields = {}): void {
    if (level !== 'info') show(level, message)
    const to = descriptor
    if (to === undefined) return
    const line = JSON.stringify({ time: new Date(clock.now()).toISOString(), level, job, message, ...fields })
    if (attempt(() => writeSync(to, `${line}\n`)) === undefined) descriptor = undefined
  }

  return {
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    file: opened ? file : undefined,
    close() {
      if (descriptor !== undefined) closeSync(descriptor)
      descriptor = undefined
    },
  }
}

import { appendFileSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { fileStamp } from '../scripts/job/time.ts'
import type { Tell } from './events.ts'

/**
 * A log of everything that was asked of the hosts and what they answered, lines of JSON, in `$XDG_STATE_HOME/candlekeep`
 * or ~/.local/state/candlekeep, for its owner only. A log that cannot be written stops nothing.
 */
export function openProvisionLog(name: string): { file: string; tell: Tell } {
  const { XDG_STATE_HOME: given = '' } = process.env
  const folder = join(isAbsolute(given) ? given : join(homedir(), '.local/state'), 'candlekeep')
  const file = join(folder, `${name}_${fileStamp(Date.now())}.log`)
  return {
    file,
    tell(event) {
      if (event.event === 'progress') return
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 })
        appendFileSync(file, `${JSON.stringify({ at: new Date().toISOString(), ...event })}\n`, {
          mode: 0o600,
        })
      } catch {
        // the run matters more
      }
    },
  }
}

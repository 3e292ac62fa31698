import { readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Whether something is mounted at `path`. */
export function isMounted(path: string): boolean {
  let real: string
  try {
    real = realpathSync(path)
  } catch {
    return false
  }
  try {
    // the fifth word of a line is where it is mounted; blanks in it are written in octal (proc(5))
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    const points = mounts.map(line => (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, octal))
    return points.includes(real)
  } catch {
    // no Linux
    return statSync(real).dev !== statSync(dirname(real)).dev
  }
}

function octal(_: string, digits: string): string {
  return String.fromCharCode(Number.parseInt(digits, 8))
}

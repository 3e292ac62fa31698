import { codeOf } from './errors.ts'

/** Whether a process of that number is there; it may be another user's, or by now another program. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

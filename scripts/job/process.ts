import { getPriority, setPriority } from 'node:os'
import { codeOf } from './errors.ts'

/** Whether a process of that number is there; it may be another user's, or by now another program. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

/** From here on this process works only when no other wants to: the trading agent comes first. */
export function giveWay(): void {
  try {
    // who has been started with less keeps that: to have more takes a privilege
    if (getPriority() < 10) setPriority(10)
  } catch (error) {
    if (codeOf(error) === '') throw error
  }
}

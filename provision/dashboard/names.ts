import { exitStatus } from '../../scripts/job/exit_status.ts'
import type { Name } from './panel.ts'

// What the numbers in our metrics stand for.

export const checkNames: Name[] = [
  { value: 0, text: 'ok', colour: 'green' },
  { value: 1, text: 'warning', colour: 'yellow' },
  { value: 2, text: 'critical', colour: 'red' },
  { value: 3, text: 'unknown', colour: 'orange' },
]

export const exitNames: Name[] = [
  { value: exitStatus.done, text: 'done', colour: 'green' },
  { value: exitStatus.failed, text: 'failed', colour: 'red' },
  { value: exitStatus.partly, text: 'partly done', colour: 'yellow' },
  { value: exitStatus.deadline, text: 'out of time', colour: 'red' },
  { value: exitStatus.interrupted, text: 'interrupted', colour: 'red' },
  { value: 137, text: 'killed', colour: 'red' },
]

export const drillNames: Name[] = [
  { value: 0, text: 'failed', colour: 'red' },
  { value: 1, text: 'all well', colour: 'green' },
]

export const upNames: Name[] = [
  { value: 0, text: 'down', colour: 'red' },
  { value: 1, text: 'up', colour: 'green' },
]

export const severityNames: Name[] = [
  { value: 'critical', text: 'critical', colour: 'red' },
  { value: 'warning', text: 'warning', colour: 'orange' },
  { value: 'info', text: 'info', colour: 'blue' },
]

/** What is queried for a tier that should have something and has none: no age is below zero. */
export const nothing = -1
export const nothingNames: Name[] = [{ value: nothing, text: 'none', colour: 'red' }]

import { exitStatus } from './exit_status.ts'

/**
 * Something that the person at the terminal can act on: printed as `what` and, below it, what to do next,
 * without a stack. Everything else that is thrown is a defect and is printed with its stack.
 */
export class UserError extends Error {
  override name = 'UserError'
  readonly hint: string | undefined
  readonly status: number

  constructor(message: string, { hint, status = exitStatus.failed, cause }: UserErrorOptions = {}) {
    super(message, { cause })
    this.hint = hint
    this.status = status
  }
}

type UserErrorOptions = { hint?: string | undefined; status?: number; cause?: unknown }

/** The run was told to stop; `reason` of the run's AbortSignal. */
export class Stopped extends Error {
  override name = 'Stopped'
  readonly outcome: 'deadline' | 'interrupted'

  constructor(outcome: 'deadline' | 'interrupted', message: string) {
    super(message)
    this.outcome = outcome
  }

  get status(): number {
    return exitStatus[this.outcome]
  }
}

/** Error code of a Node or SQLite error (`ENOSPC`, `SQLITE_BUSY`), or ''. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

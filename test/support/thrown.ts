import { UserError } from '../../scripts/job/errors.ts'

/** The error for the user that `action` ends with. */
export function thrownBy(action: () => unknown): UserError {
  try {
    action()
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

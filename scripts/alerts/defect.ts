import { codeOf } from '../job/errors.ts'

/** A defect, by its name and place. Not by its message: that could have a secret in it. */
export function describeDefect(error: unknown): string {
  if (!(error instanceof Error)) return 'a defect'
  const place = /at .*\/(\w+\.m?ts:\d+)/.exec(error.stack ?? '')?.[1] ?? ''
  return [codeOf(error) || error.name, place].filter(part => part !== '').join(' at ')
}

import { createTwoFilesPatch } from 'diff'
import type { Change } from './change.ts'

/** A unified diff of what would change in a file; a secret's shows that it changes, not what. */
export function diffOf(
  { to, content }: Extract<Change, { kind: 'file' }>,
  before: string | undefined,
): string | undefined {
  if (!content) return undefined
  if (to.secret === true) return `--- ${to.path}\n+++ ${to.path}\n@@ its content is secret @@\n`
  const options = { context: 3 } as const
  return createTwoFilesPatch(
    to.path,
    to.path,
    before ?? '',
    to.content,
    before === undefined ? 'not there' : 'now',
    'then',
    options,
  )
    .split('\n')
    .slice(1)
    .join('\n')
}

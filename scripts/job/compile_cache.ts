import { join } from 'node:path'

/** Where code that Node has compiled (and freed of types) is kept: a third of a process's start is saved. */
export function compileCacheOf(state: string): string {
  return join(state, 'compile_cache')
}

import type { Layer } from './release/modules.ts'
import type { Release } from './release/release.ts'

/** What should be true of a path. `mode` is four octal digits. */
type Owned = { path: string; mode: string; owner: string; group: string }

export type Directory = Owned & {
  kind: 'directory'
  /** What is in it is the user's: only `--purge` removes it. */
  data?: true
  /** One that is there already stays as it is. */
  keep?: true
}

export type File = Owned & {
  kind: 'file'
  content: string
  /** Its content is never shown. */
  secret?: true
  /** A sh command that ends with 0 where the file whose path is `$1` may be put in place. */
  validate?: string
  /** What is there already stays; only owner and mode are seen to. */
  keep?: true
}

/** What should be true of a host: data only. `plan.ts` finds what differs, `steps.ts` says how it is made so. */
export type Resource =
  | { kind: 'package'; name: string }
  | { kind: 'user'; name: string; home: string }
  | Directory
  | File
  | { kind: 'layer'; layer: Layer }
  | { kind: 'release'; release: Release; keep: number }
  | DaemonResource
  | { kind: 'first_run'; commands: FirstCommand[] }

/** A service that runs with what these files say. */
type DaemonResource = { kind: 'service'; name: string; listen: string; files: File[] }

/** A command that is run once, on a host that has not run it yet. */
export type FirstCommand = { title: string; program: string; args: string[]; seconds: number; well: number[] }

export type Task = { name: string; resources: Resource[] }

/** Every folder above a path, the topmost first; without `/`. */
export function ancestorsOf(path: string): string[] {
  const names = path.split('/').slice(1, -1)
  return names.map((_, i) => `/${names.slice(0, i + 1).join('/')}`)
}

import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { join } from 'node:path'

/** By path: type, mode, owner, group, and the checksum of a file or the target of a link. */
export type Snapshot = Map<string, string>

/**
 * What the upper layer of an overlay on `/` changes: what is there as in the lower layer, because something near it was
 * written once, is left out. Below the folders of `opaque` nothing of the lower layer shows.
 */
export function takeSnapshot(upper: string, opaque: ReadonlySet<string>): Snapshot {
  const found: Snapshot = new Map()
  const visit = (path: string, covered: boolean) => {
    for (const name of readdirSync(upper + path).sort()) {
      const here = join(path, name)
      const said = describe(upper + here)
      const hidden = covered || opaque.has(here)
      if (hidden || said !== describe(here)) found.set(here, said)
      if (said.startsWith('folder')) visit(here, hidden)
    }
  }
  visit('/', false)
  return found
}

/** The lines of two snapshots that differ, as in a diff. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort()
  return paths.flatMap(path => {
    const [old, now] = [before.get(path), after.get(path)]
    if (old === now) return []
    return [
      ...(old === undefined ? [] : [`- ${path} ${old}`]),
      ...(now === undefined ? [] : [`+ ${path} ${now}`]),
    ]
  })
}

function describe(path: string): string {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || isWhiteout(stats)) return 'nothing'
  const rights = `${(stats.mode & 0o7777).toString(8)} ${stats.uid} ${stats.gid}`
  if (stats.isDirectory()) return `folder ${rights}`
  if (stats.isSymbolicLink()) return `link ${rights} ${readlinkSync(path)}`
  if (stats.isFile()) {
    return `file ${rights} ${createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16)}`
  }
  return `other ${rights}`
}

function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0
}

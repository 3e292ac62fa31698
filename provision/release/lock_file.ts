import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A package as package-lock.json has it. */
export type LockedPackage = {
  version: string
  integrity?: string
  dependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

/** Packages by the folder that they are installed in: `node_modules/a/node_modules/b`. */
export type LockFile = ReadonlyMap<string, LockedPackage>

export function readLockFile(projectRoot: string): LockFile {
  const text = readFileSync(join(projectRoot, 'package-lock.json'), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, LockedPackage> }
  return new Map(Object.entries(packages))
}

/**
 * The folders of some packages and of all that they need, sorted. What a package can do without (its optional
 * dependencies) is left out.
 */
export function closure(lock: LockFile, names: string[]): string[] {
  const found = new Set<string>()
  const add = (from: string, name: string) => {
    const folder = resolveFrom(lock, from, name)
    if (folder === undefined || found.has(folder)) return
    found.add(folder)
    for (const needed of needsOf(lock.get(folder) as LockedPackage)) add(folder, needed)
  }
  for (const name of names) add('', name)
  return [...found].sort()
}

function needsOf({
  dependencies = {},
  peerDependencies = {},
  peerDependenciesMeta = {},
}: LockedPackage): string[] {
  const peers = Object.keys(peerDependencies).filter(name => peerDependenciesMeta[name]?.optional !== true)
  return [...Object.keys(dependencies), ...peers]
}

/** As Node finds a package: in the nearest node_modules upwards. */
function resolveFrom(lock: LockFile, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const folder = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`
    if (lock.has(folder)) return folder
    if (at === '') return undefined
  }
}

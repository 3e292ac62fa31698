import { createHash } from 'node:crypto'
import type { Facts } from './facts.ts'
import { ancestorsOf, type Resource } from './resource.ts'

/** What stood at a path before we came; null: nothing. */
type Before = { type: string; mode: string; owner: string; group: string } | null

export type Entry = { path: string; kind: 'file' | 'directory'; data?: true; before: Before }

/** What was put on a host, kept there: what is no longer wanted, and how to leave the host as it was. */
export type HostManifest = {
  version: 1
  /** By path. */
  entries: Entry[]
  /** Packages that were not there before. */
  packages: string[]
  /** The user that was made, if one was. */
  user: string | null
  /** Services that were configured and started. */
  services: string[]
}

const nothingPut: HostManifest = { version: 1, entries: [], packages: [], user: null, services: [] }

/** Reads the record of a host; what cannot be read counts as none, and is said by the caller. */
export function readHostManifest(text: string): HostManifest | undefined {
  if (text.trim() === '') return nothingPut
  try {
    const manifest = JSON.parse(text) as HostManifest
    // earlier ones knew of no services
    return manifest.version === 1 ? { ...nothingPut, ...manifest } : undefined
  } catch {
    return undefined
  }
}

export function renderHostManifest(manifest: HostManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`
}

/**
 * The record once `resources` are there too. It is written before anything is changed: what was there before can be seen
 * only then, and a run that is killed must not leave things that nobody knows of.
 */
export function manifestWith(old: HostManifest, resources: Resource[], facts: Facts): HostManifest {
  const entries = new Map(old.entries.map(entry => [entry.path, entry]))
  for (const resource of resources) {
    if (resource.kind !== 'file' && resource.kind !== 'directory') continue
    const { kind, path } = resource
    const known = entries.get(path)
    const data = resource.kind === 'directory' && resource.data === true ? { data: true as const } : {}
    entries.set(path, {
      path,
      kind,
      ...data,
      before: known === undefined ? beforeOf(path, facts) : known.before,
    })
    for (const above of ancestorsOf(path))
      if (!facts.paths.has(above) && !entries.has(above))
        entries.set(above, { path: above, kind: 'directory', before: null })
  }
  const absent = resources.flatMap(resource =>
    resource.kind === 'package' && !facts.packages.has(resource.name) ? [resource.name] : [],
  )
  const made = resources.find(resource => resource.kind === 'user')
  return {
    version: 1,
    entries: [...entries.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    packages: [...new Set([...old.packages, ...absent])].toSorted(),
    user: old.user ?? (made !== undefined && !facts.userExists ? made.name : null),
    services: [...new Set([...old.services, ...namesOfServices(resources)])].toSorted(),
  }
}

/** What we put there and is no longer wanted; deepest first. Folders with data stay. */
export function orphansOf(manifest: HostManifest, resources: Resource[]): Entry[] {
  const paths = resources.flatMap(resource => ('path' in resource ? [resource.path] : []))
  const wanted = new Set(paths.flatMap(path => [path, ...ancestorsOf(path)]))
  return manifest.entries.filter(({ path, data }) => data !== true && !wanted.has(path)).toReversed()
}

/** Services that we started and are no longer wanted. */
export function strayServicesOf({ services }: HostManifest, resources: Resource[]): string[] {
  const wanted = new Set(namesOfServices(resources))
  return services.filter(name => !wanted.has(name))
}

function namesOfServices(resources: Resource[]): string[] {
  return resources.flatMap(resource => (resource.kind === 'service' ? [resource.name] : []))
}

/** Name of the copy of a file that stood where ours is now, in INSTALL/originals. */
export function originalOf(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 16)
}

function beforeOf(path: string, { paths }: Facts): Before {
  const fact = paths.get(path)
  if (fact === undefined) return null
  const { type, mode, owner, group } = fact
  return { type, mode, owner, group }
}

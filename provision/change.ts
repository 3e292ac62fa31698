import { createHash } from 'node:crypto'
import type { Facts, PathFact } from './facts.ts'
import { type Entry, type HostManifest, orphansOf, strayServicesOf } from './manifest.ts'
import type { Directory, File, FirstCommand, Resource, Task } from './resource.ts'

/** Something about a host that is not as it should be; `steps.ts` says how it is made so. */
export type Change =
  | { kind: 'packages'; names: string[] }
  | { kind: 'user'; name: string; home: string }
  | { kind: 'directory'; to: Directory; from: PathFact | undefined }
  | { kind: 'file'; to: File; from: PathFact | undefined; content: boolean }
  | { kind: 'layer'; layer: Extract<Resource, { kind: 'layer' }>['layer'] }
  | { kind: 'release'; release: Extract<Resource, { kind: 'release' }>['release'] }
  | { kind: 'activate'; id: string; from: string | undefined; keep: number }
  | { kind: 'service'; name: string; listen: string; startWith: string; wasRunning: boolean }
  | { kind: 'stop'; name: string }
  | { kind: 'remove'; entry: Entry }
  | { kind: 'first_run'; commands: FirstCommand[] }

/** A task on a host: how much is as it should be, and what is not. */
export type PlannedTask = { name: string; ok: number; changes: Change[] }

/** Compares what should be with what is. Pure: the same plan is shown by `--check` and carried out without it. */
export function planTasks(tasks: Task[], facts: Facts, manifest: HostManifest): PlannedTask[] {
  const planned = tasks.map(({ name, resources }) => {
    const changes = resources.flatMap(resource => changesOf(resource, facts))
    const ok = resources.filter(resource => changesOf(resource, facts).length === 0).length
    return { name, ok, changes: withOneInstallation(changes) }
  })
  const all = tasks.flatMap(({ resources }) => resources)
  const orphans = orphansOf(manifest, all).filter(({ path }) => facts.paths.has(path))
  const removals = [
    ...strayServicesOf(manifest, all).map(name => ({ kind: 'stop' as const, name })),
    ...orphans.map(entry => ({ kind: 'remove' as const, entry })),
  ]
  if (removals.length === 0) return planned
  return [...planned, { name: 'what is no longer wanted', ok: 0, changes: removals }]
}

function changesOf(resource: Resource, facts: Facts): Change[] {
  switch (resource.kind) {
    case 'package':
      return facts.packages.has(resource.name) ? [] : [{ kind: 'packages', names: [resource.name] }]
    case 'user':
      return facts.userExists ? [] : [{ kind: 'user', name: resource.name, home: resource.home }]
    case 'directory': {
      const from = facts.paths.get(resource.path)
      return from?.type === 'directory' && (resource.keep === true || sameOwner(resource, from))
        ? []
        : [{ kind: 'directory', to: resource, from }]
    }
    case 'file': {
      const from = facts.paths.get(resource.path)
      const isThere = from?.type === 'file'
      const content = !isThere || (resource.keep !== true && from.digest !== digestOf(resource.content))
      return !content && sameOwner(resource, from) ? [] : [{ kind: 'file', to: resource, from, content }]
    }
    case 'layer':
      return facts.layers.has(resource.layer.name) ? [] : [{ kind: 'layer', layer: resource.layer }]
    case 'release': {
      const { release, keep } = resource
      const sent: Change[] = facts.releases.has(release.id) ? [] : [{ kind: 'release', release }]
      const from = facts.current
      const activated: Change[] =
        from === release.id ? [] : [{ kind: 'activate', id: release.id, from, keep }]
      return [...sent, ...activated]
    }
    case 'service': {
      const { name, listen, files } = resource
      const startWith = digestOf(files.map(file => contentDigest(file, facts)).join('\n'))
      const { isRunning = false, startedWith } = facts.services.get(name) ?? {}
      return isRunning && startedWith === startWith
        ? []
        : [{ kind: 'service', name, listen, startWith, wasRunning: isRunning }]
    }
    case 'first_run':
  }
  return facts.hasRun ? [] : [{ kind: 'first_run', commands: resource.commands }]
}

/** One run of apt for all that is missing. */
function withOneInstallation(changes: Change[]): Change[] {
  const names = changes.flatMap(change => (change.kind === 'packages' ? change.names : []))
  const others = changes.filter(({ kind }) => kind !== 'packages')
  return names.length === 0 ? others : [{ kind: 'packages', names }, ...others]
}

function sameOwner(to: Directory | File, from: PathFact): boolean {
  return to.mode === from.mode && to.owner === from.owner && to.group === from.group
}

function contentDigest(file: File, { paths }: Facts): string {
  return file.keep === true ? (paths.get(file.path)?.digest ?? '') : digestOf(file.content)
}

function digestOf(content: string): string {
  return createHash('sha256').update(content).digest('hex')
}

/** One line of what a change is: `/opt/jobs/backup.sh (content, mode 0644 → 0755)`. */
export function describeChange(change: Change): string {
  switch (change.kind) {
    case 'packages':
      return `packages ${change.names.join(' ')}`
    case 'user':
      return `user ${change.name}`
    case 'directory':
    case 'file':
      return `${change.to.path} (${differences(change).join(', ')})`
    case 'layer':
      return change.layer.name
    case 'release':
      return `release ${change.release.id}`
    case 'activate':
      return `current → ${change.id}${change.from === undefined ? '' : `, was ${change.from}`}`
    case 'service':
      return `service ${change.name} (${change.wasRunning ? 'to be started anew' : 'not running'})`
    case 'stop':
      return `service ${change.name} (no longer wanted)`
    case 'remove':
      return `${change.entry.path} (no longer wanted)`
    case 'first_run':
  }
  return change.commands.map(({ title }) => title).join(', ')
}

function differences(change: Extract<Change, { kind: 'directory' | 'file' }>): string[] {
  const { to, from } = change
  if (from === undefined) return [`new, ${to.mode} ${to.owner}:${to.group}`]
  const wanted = change.kind
  return [
    ...(from.type === wanted ? [] : [`a ${from.type} is in its place`]),
    ...(change.kind === 'file' && change.content ? ['content'] : []),
    ...(from.mode === to.mode ? [] : [`mode ${from.mode} → ${to.mode}`]),
    ...(from.owner === to.owner && from.group === to.group
      ? []
      : [`owner ${from.owner}:${from.group} → ${to.owner}:${to.group}`]),
  ]
}

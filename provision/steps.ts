import { dirname, join } from 'node:path'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { installPackages } from './apt.ts'
import type { Change } from './change.ts'
import { type HostManifest, originalOf, renderHostManifest } from './manifest.ts'
import { daemons } from './monitoring.ts'
import { quote } from './quote.ts'
import type { File, FirstCommand } from './resource.ts'
import { startService, stopService } from './service.ts'
import { giveName, lines, temporaryOf, writeBeside } from './sh_files.ts'
import type { Site } from './site.ts'

/** Something for a host to do: text for sh, and what it reads from standard input. */
export type Step = { script: string; input?: string; seconds?: number }

/**
 * Writes the record of what is put on a host, and keeps a copy of the files that ours take the place of. The first of all
 * changes. `copies` are paths of such files.
 */
export function recordStep({ install }: Site, manifest: HostManifest, copies: string[]): Step {
  const originals = join(install, 'originals')
  const file = join(install, 'manifest.json')
  const keep = copies.map(path => {
    const copy = join(originals, originalOf(path))
    // sh does not stop at what fails on the left of an `&&`
    return lines(
      `if [ ! -e ${quote(copy)} ] && [ ! -L ${quote(copy)} ]; then`,
      `  cp -a -- ${quote(path)} ${quote(`${copy}.new`)}`,
      `  mv -T -- ${quote(`${copy}.new`)} ${quote(copy)}`,
      'fi',
    )
  })
  return {
    script: lines(
      'set -e',
      `mkdir -p -m 0755 -- ${quote(install)}`,
      ...(copies.length === 0 ? [] : [`mkdir -p -m 0700 -- ${quote(originals)}`, ...keep]),
      ...writeBeside(file, '0644'),
      giveName(file),
    ),
    input: renderHostManifest(manifest),
  }
}

/** Those changes that are a step by themselves; layers and releases are `release/install_steps.ts`. */
export function stepOf(
  change: Exclude<Change, { kind: 'layer' | 'release' | 'activate' | 'first_run' }>,
  site: Site,
  asRoot: boolean,
): Step {
  switch (change.kind) {
    case 'packages':
      return installPackages(change.names, site.sheet.provision.apt_wait_seconds, daemons)
    case 'service':
      return startService(site, change)
    case 'stop':
      return stopService(site, change.name)
    case 'user':
      return {
        script: `useradd --system --user-group --no-create-home --home-dir ${quote(change.home)} --shell /usr/sbin/nologin -- ${quote(change.name)}`,
      }
    case 'directory': {
      const { path, mode } = change.to
      const there = change.from !== undefined && change.from.type !== 'directory'
      const refuse = there
        ? [`echo ${quote(`${path} is a ${change.from?.type}, not a folder`)}`, 'exit 1']
        : []
      return {
        script: lines(
          'set -e',
          ...refuse,
          `mkdir -p -- ${quote(path)}`,
          ...ownerLines(change.to, asRoot),
          `chmod ${mode} -- ${quote(path)}`,
        ),
      }
    }
    case 'file':
      return change.content ? prepareFile(change.to, asRoot) : ownFile(change.to, asRoot)
    case 'remove':
  }
  return { script: lines('set -e', removeScript(site, change.entry)) }
}

/**
 * Takes away what was put at a path, or brings back what stood there before. A folder that is not empty stays. For a
 * script with `set -e`.
 */
export function removeScript(
  { install }: Site,
  { path, kind, before }: HostManifest['entries'][number],
): string {
  const original = join(install, 'originals', originalOf(path))
  const target = quote(path)
  if (kind === 'directory') {
    if (before === null) return `[ -L ${target} ] || rmdir -- ${target} 2>/dev/null || true`
    return `if [ -d ${target} ]; then chown ${quote(`${before.owner}:${before.group}`)} -- ${target}; chmod ${before.mode} -- ${target}; fi`
  }
  const temporary = quote(temporaryOf(path))
  if (before === null) return `rm -f -- ${target} ${temporary}`
  return lines(
    `rm -f -- ${temporary}`,
    `if [ -e ${quote(original)} ] || [ -L ${quote(original)} ]; then`,
    `  cp -a -- ${quote(original)} ${temporary}`,
    `  ${giveName(path)}`,
    'else',
    `  rm -f -- ${target}`,
    'fi',
  )
}

function ownFile(to: File, asRoot: boolean): Step {
  return { script: lines('set -e', ...ownerLines(to, asRoot), `chmod ${to.mode} -- ${quote(to.path)}`) }
}

/** The file as it is to be lies beside its place, checked and on the disk; `switchStep` puts it there. */
function prepareFile(to: File, asRoot: boolean): Step {
  const { path, mode, validate } = to
  const checks = validate === undefined ? [] : [`sh -c ${quote(validate)} sh ${quote(temporaryOf(path))}`]
  return {
    script: lines(
      'set -e',
      `mkdir -p -- ${quote(dirname(path))}`,
      ...writeBeside(path, mode, ownerLines({ ...to, path: temporaryOf(path) }, asRoot), checks),
    ),
    input: to.content,
  }
}

/**
 * Puts prepared files in their places and makes a release the one that runs, one rename after the other, with nothing in
 * between that takes time or needs room. What is removed after that may take a while.
 */
export function switchStep(files: File[], activation: string[]): Step {
  return { script: lines('set -e', ...files.map(({ path }) => giveName(path)), ...activation), seconds: 300 }
}

/** Takes away what a run that failed had prepared. */
export function forgetPrepared(paths: string[]): Step {
  return { script: `rm -f -- ${paths.map(path => quote(temporaryOf(path))).join(' ')}` }
}

function ownerLines(
  { path, owner, group }: { path: string; owner: string; group: string },
  asRoot: boolean,
): string[] {
  return asRoot ? [`chown ${quote(`${owner}:${group}`)} -- ${quote(path)}`] : []
}

/** A command of the first run. Where cron was quicker with the same job, that is waited for. */
export function firstStep({ program, args, seconds }: FirstCommand): Step {
  const command = [program, ...args].map(word => quote(word)).join(' ')
  const script = lines(
    'tries=0',
    `until ${command}; do`,
    '  status=$?',
    `  if [ "$status" != ${exitStatus.locked} ] || [ "$tries" -ge 60 ]; then exit "$status"; fi`,
    '  tries=$((tries + 1))',
    '  sleep 5',
    'done',
  )
  return { script, seconds: seconds + 300 }
}

/** That the first run has been, so that it is not run again. */
export function firstRunDone({ install }: Site): Step {
  const file = join(install, 'first_run')
  return { script: lines('set -e', ...writeBeside(file, '0644'), giveName(file)), input: 'done\n' }
}

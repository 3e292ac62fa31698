import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { checkConfig, withAbsolutePaths } from '../scripts/job/config.ts'
import type { CheatSheet } from '../scripts/job/config_types.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { parseListen } from './listen.ts'
import { targetOf } from './monitoring.ts'
import type { Site } from './site.ts'

/** A part of a cheat sheet, and where it stands, for errors. */
export type Layered = { from: string; vars: object }

/** Where everything goes, in place of the file system's root, and whether that is done without root. */
export type Under = { root: string } | undefined

/**
 * The cheat sheet of a host: `sheet` with the variables over it, each over the ones before (objects are merged, anything
 * else is replaced). Throws a UserError, exit status 78, that names every problem.
 */
export function siteOf(
  sheet: object,
  vars: Layered[],
  { name, under, secrets }: { name: string; under: Under; secrets: Record<string, string> },
): Site {
  const merged = vars.reduce<object>((below, layer) => merge(below, layer.vars), structuredClone(sheet))
  const sources = vars.filter(layer => Object.keys(layer.vars).length > 0).map(({ from }) => from)
  const title = `the cheat sheet of ${name}${sources.length === 0 ? '' : ` (with ${sources.join(', ')})`}`
  const checked = checkConfig(merged, title)
  const { workspace } = checked.paths
  if (!isAbsolute(workspace)) throw refused(title, 'paths.workspace', workspace, 'must be absolute on a host')
  const rooted = placeUnder(withAbsolutePaths(checked, '/'), under)
  const { paths, provision } = rooted
  refuseStrangePaths(rooted, title)
  refusePublicAddresses(rooted, title)
  const at = (path: string) => (under === undefined ? path : join(under.root, path))
  const user = under === undefined ? provision.user : userInfo().username
  return {
    name,
    sheet: rooted,
    install: paths.install,
    jobs: paths.jobs,
    etc: at('/etc/crypto-futures-agent'),
    cron: at('/etc/cron.d/crypto-futures-agent'),
    logrotate: at('/etc/logrotate.d/crypto-futures-agent'),
    user,
    group: user,
    secrets,
    targets: targetOf(name, rooted),
  }
}

/** Objects are merged key by key; what is no object is replaced, a list too. Neither is changed. */
export function merge(below: object, above: object): object {
  const merged: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const old = Object.hasOwn(merged, key) ? merged[key] : undefined
    const both = isObject(old) && isObject(value)
    Object.defineProperty(merged, key, {
      value: both ? merge(old, value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return merged
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function placeUnder(sheet: CheatSheet, under: Under): CheatSheet {
  if (under === undefined) return sheet
  const at = (path: string) => join(under.root, path)
  const { paths, backup } = sheet
  const { hot, warm } = backup
  return {
    ...sheet,
    paths: Object.fromEntries(
      Object.entries(paths).map(([name, path]) => [name, at(path)]),
    ) as CheatSheet['paths'],
    backup: {
      ...backup,
      hot: { ...hot, path: at(hot.path) },
      // nothing is mounted below such a folder
      warm: { ...warm, path: warm.path === null ? null : at(warm.path), mount: null },
    },
  }
}

/**
 * Paths go into sh, crontabs and logrotate's files, and are compared with what `stat` prints: what needs more than plain
 * quoting somewhere is refused rather than trusted to all of them.
 */
function refuseStrangePaths({ paths, backup }: CheatSheet, title: string): void {
  const all = {
    ...Object.fromEntries(Object.entries(paths).map(([name, path]) => [`paths.${name}`, path])),
    'backup.hot.path': backup.hot.path,
    'backup.warm.path': backup.warm.path,
  }
  for (const [name, path] of Object.entries(all)) {
    if (path === null) continue
    if (/[\p{C}\\"'|%*?{}$`]/u.test(path)) {
      throw refused(title, name, path, 'has characters that no crontab or logrotate file can carry')
    }
    if (path.split('/').filter(Boolean).length < 2)
      throw refused(title, name, path, 'is a folder of the system: name one of its own below it')
  }
}

/** None of these daemons asks for a password. */
function refusePublicAddresses({ monitoring }: CheatSheet, title: string): void {
  for (const name of ['exporter_listen', 'prometheus_listen', 'alertmanager_listen'] as const) {
    const listen = parseListen(monitoring[name])
    if (listen === undefined)
      throw refused(title, `monitoring.${name}`, monitoring[name], 'is no address and port')
    if (!listen.isPrivate)
      throw refused(
        title,
        `monitoring.${name}`,
        monitoring[name],
        'can be reached by anybody: give a loopback or private address of the host',
      )
  }
}

function refused(title: string, path: string, given: string, what: string): UserError {
  return new UserError(`${title} is not valid:\n  ${path}: ${JSON.stringify(given)} ${what}`, {
    status: exitStatus.configuration,
  })
}

import { alertmanagerFile } from './monitoring.ts'
import { quote } from './quote.ts'
import { ancestorsOf } from './resource.ts'
import { serviceFacts } from './service.ts'
import type { Site } from './site.ts'

/** What a path of a host is. */
export type PathFact = {
  type: 'file' | 'directory' | 'link' | 'other'
  /** Four octal digits. */
  mode: string
  owner: string
  group: string
  /** SHA-256 of a file that was asked for. */
  digest: string | undefined
}

/** What was seen of a host, all of it in one look. */
export type Facts = {
  system: { id: string; like: string; name: string }
  /** As `uname -m` has it. */
  machine: string
  isRoot: boolean
  /** Milliseconds since the epoch, by its own clock. */
  clock: number
  freeBytes: number
  paths: Map<string, PathFact>
  /** Of those that were asked for. */
  packages: Set<string>
  userExists: boolean
  /** Text of the record of what was put there; '' where there is none. */
  manifest: string
  releases: Set<string>
  layers: Set<string>
  current: string | undefined
  hasRun: boolean
  /** Of the places that were asked for, those where something is mounted. */
  mounted: Set<string>
  /** Names of the secrets that it has. */
  secrets: string[]
  /** What Alertmanager's configuration says of itself (`alertmanagerShape`); '' where there is none. */
  alertmanagerMadeFrom: string
  /** Of the services that were asked for: whether each runs, and with what it was started last (`service.ts`). */
  services: Map<string, { isRunning: boolean; startedWith: string }>
  /** Of the files that were asked for, those that a run which failed has prepared and left. */
  prepared: string[]
}

export type Question = {
  site: Site
  paths: string[]
  /** Those of them whose content counts. */
  files: string[]
  packages: string[]
  /** Places where something may be mounted. */
  mounts: string[]
  services: string[]
}

function list(values: string[]): string {
  return values.map(value => quote(value)).join(' ')
}

/** Paths of what was put on a host, line by line: none of them has a quote in it (`site_of.ts`). */
function recorded(install: string): string {
  return `sed -n 's/^ *"path": "\\(.*\\)",$/\\1/p' ${install}/manifest.json 2>/dev/null |`
}

/** sh text that prints what `readFacts` reads. It changes nothing, and ends with 0 whatever there is. */
export function factsScript({ site, paths, files, packages, mounts, services }: Question): string {
  const install = quote(site.install)
  const quiet = '2>/dev/null'
  return [
    'echo "=== system"',
    `cat /etc/os-release ${quiet}`,
    'echo "=== machine"',
    'uname -m; id -u; date +%s',
    `d=${install}; while [ ! -d "$d" ]; do d=\${d%/*}; [ -n "$d" ] || d=/; done; df -Pk "$d" | tail -n 1`,
    'echo "=== packages"',
    packages.length === 0
      ? ':'
      : `dpkg-query -W -f='\${Package} \${db:Status-Status}\\n' ${list(packages)} ${quiet}`,
    'echo "=== user"',
    `getent passwd ${quote(site.user)} ${quiet}`,
    'echo "=== paths"',
    `stat -c "%F|%a|%U|%G|%n" -- ${list([...new Set(paths.flatMap(path => [...ancestorsOf(path), path]))])} ${quiet}`,
    // what was put there and may be wanted no longer
    `${recorded(install)} while IFS= read -r path; do stat -c "%F|%a|%U|%G|%n" -- "$path" ${quiet}; done`,
    'echo "=== digests"',
    `sha256sum -- ${list(files)} ${quiet}`,
    'echo "=== releases"',
    `ls -1 ${install}/releases ${quiet}`,
    'echo "=== layers"',
    `ls -1 ${install}/store ${quiet}`,
    'echo "=== current"',
    `readlink ${install}/current ${quiet}`,
    'echo "=== mounted"',
    ...mounts.map(
      path => `[ "$(stat -c %m -- ${quote(path)} ${quiet})" = ${quote(path)} ] && echo ${quote(path)}`,
    ),
    'echo "=== first_run"',
    `cat ${install}/first_run ${quiet}`,
    'echo "=== secrets"',
    `sed -n "s/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p" ${quote(`${site.etc}/environment`)} ${quiet}`,
    `sed -n 's/^# secrets: //p' ${quote(alertmanagerFile(site))} ${quiet} | tr ' ' '\n'`,
    'echo "=== made_from"',
    `sed -n 's/^# made from: //p' ${quote(alertmanagerFile(site))} ${quiet}`,
    'echo "=== services"',
    ...services.map(name => serviceFacts(site, name)),
    'echo "=== prepared"',
    `for path in ${list(files)}; do [ ! -e "$path.dpkg-new" ] || echo "$path"; done`,
    `${recorded(install)} while IFS= read -r path; do [ ! -e "$path.dpkg-new" ] || echo "$path"; done`,
    'echo "=== manifest"',
    `cat ${install}/manifest.json ${quiet}`,
    'exit 0',
  ].join('\n')
}

export function readFacts(text: string): Facts {
  const sections = new Map<string, string[]>()
  let lines: string[] = []
  for (const line of text.split('\n')) {
    const name = /^=== (\w+)$/.exec(line)?.[1]
    if (name !== undefined) sections.set(name, (lines = []))
    else lines.push(line)
  }
  const of = (name: string) => (sections.get(name) ?? []).filter(line => line !== '')
  const [machine = '', uid = '', seconds = '', free = ''] = of('machine')
  const system = Object.fromEntries(
    of('system').map(line => [line.split('=')[0], line.slice(line.indexOf('=') + 1).replaceAll('"', '')]),
  )
  const digests = new Map(of('digests').map(line => [line.slice(66), line.slice(0, 64)] as const))
  return {
    system: {
      id: system['ID'] ?? '',
      like: system['ID_LIKE'] ?? '',
      name: system['PRETTY_NAME'] ?? 'unknown',
    },
    machine,
    isRoot: uid === '0',
    clock: Number(seconds) * 1000,
    freeBytes: Number(free.trim().split(/\s+/)[3]) * 1024,
    paths: new Map(of('paths').map(line => pathFact(line, digests))),
    packages: new Set(
      of('packages').flatMap(line => (line.endsWith(' installed') ? [line.split(' ')[0] as string] : [])),
    ),
    userExists: of('user').length > 0,
    manifest: (sections.get('manifest') ?? []).join('\n'),
    releases: new Set(of('releases')),
    layers: new Set(of('layers')),
    current: of('current')[0]?.replace(/^releases\//, ''),
    hasRun: of('first_run').length > 0,
    mounted: new Set(of('mounted')),
    secrets: [...new Set(of('secrets'))],
    alertmanagerMadeFrom: of('made_from')[0] ?? '',
    services: new Map(
      of('services').map(line => {
        const [name = '', isRunning = '', startedWith = ''] = line.split(' ')
        return [name, { isRunning: isRunning === 'yes', startedWith }]
      }),
    ),
    prepared: [...new Set(of('prepared'))],
  }
}

function pathFact(line: string, digests: Map<string, string>): [string, PathFact] {
  const [kind = '', mode = '', owner = '', group = '', ...rest] = line.split('|')
  const path = rest.join('|')
  const type = kind.startsWith('regular')
    ? 'file'
    : kind === 'directory'
      ? 'directory'
      : kind === 'symbolic link'
        ? 'link'
        : 'other'
  return [path, { type, mode: mode.padStart(4, '0'), owner, group, digest: digests.get(path) }]
}

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const system = new Set(['bin', 'etc', 'lib', 'lib32', 'lib64', 'libx32', 'sbin', 'usr', 'var'])

/** Folders that every Debian has, without what is in them here. */
export const hiddenFolders: ReadonlySet<string> = new Set([
  ...['boot', 'dev', 'home', 'media', 'mnt', 'opt', 'proc', 'root', 'run', 'srv', 'sys', 'tmp'].map(
    at => `/${at}`,
  ),
  '/usr/local',
  '/var/tmp',
])

/** What of this machine a host made for a test does not have: all that no package of Debian's put there, and Node. */
export function hiddenPaths(): string[] {
  const own = readdirSync('/')
    .filter(name => !system.has(name))
    .map(name => `/${name}`)
  const node = ['node', 'nodejs', 'npm', 'npx', 'corepack'].map(name => join('/usr/bin', name))
  const paths = [...own, ...node, '/usr/sbin/policy-rc.d', '/usr/lib/node_modules']
  if (system.has(project.split('/')[1] ?? '')) paths.push(project)
  return paths.filter(path => ![...hiddenFolders].some(folder => `${path}/`.startsWith(`${folder}/`)))
}

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { planRelease } from '../../../provision/release/release.ts'
import { ancestorsOf, type Directory, type File } from '../../../provision/resource.ts'
import type { Site } from '../../../provision/site.ts'
import { layoutOf, packagesOf } from '../../../provision/tasks.ts'

/** A host as both tools know it; `address` is a name for ssh. */
export type PeerHost = { name: string; address: string; user: string }

/** What playbook.yml needs to know, and how it is run. */
export type Peer = {
  args: string[]
  env: Record<string, string>
  /** Ends the connections that ControlPersist keeps. */
  disconnect(): void
}

/**
 * Writes an inventory, variables and templates for the playbook into `folder`: the release's archives are those that
 * candlekeep has in its cache, and templates are its files with variables for the paths in them.
 */
export async function preparePeer(
  folder: string,
  { site, hosts, sshConfig }: { site: Site; hosts: PeerHost[]; sshConfig: string },
): Promise<Peer> {
  mkdirSync(join(folder, 'templates'), { recursive: true })
  const inventory = join(folder, 'inventory.json')
  const variables = join(folder, 'variables.json')
  writeFileSync(inventory, JSON.stringify(inventoryOf(hosts, sshConfig)))
  writeFileSync(variables, JSON.stringify(await variablesOf(site, join(folder, 'templates'))))
  const connections = join(folder, 'cp')
  return {
    args: ['-i', inventory, '-e', `@${variables}`, join(import.meta.dirname, 'playbook.yml')],
    env: {
      ANSIBLE_CONFIG: join(import.meta.dirname, 'ansible.cfg'),
      // its connections and temporary files are not those of whoever runs this
      ANSIBLE_HOME: join(folder, 'home'),
      ANSIBLE_SSH_CONTROL_PATH_DIR: connections,
      LC_ALL: 'C.UTF-8',
    },
    disconnect() {
      for (const socket of socketsIn(connections))
        spawnSync('ssh', ['-F', sshConfig, '-o', `ControlPath=${socket}`, '-O', 'exit', 'any'])
    },
  }
}

function socketsIn(folder: string): string[] {
  try {
    return readdirSync(folder).map(name => join(folder, name))
  } catch {
    return []
  }
}

function inventoryOf(hosts: PeerHost[], sshConfig: string) {
  const entries = hosts.map(({ name, address, user }) => [
    name,
    { ansible_host: address, ansible_user: user, ansible_ssh_common_args: `-F ${sshConfig}` },
  ])
  return { all: { hosts: Object.fromEntries(entries) } }
}

async function variablesOf(site: Site, templates: string) {
  const { install, jobs, etc, user, group, cron, logrotate, sheet } = site
  const { state, logs } = sheet.paths
  const paths = { install, jobs, etc, state, logs }
  const layout = layoutOf(site, false)
  const { folders, files } = layout
  const entry = (file: File) => {
    const template = join(templates, `${file.path.replaceAll('/', '_')}.j2`)
    writeFileSync(template, withVariables(file.content, paths))
    const { path, mode, owner, group: of } = file
    return { path, mode, owner, group: of, template }
  }
  const at = (path: string) => entry(files.find(file => file.path === path) as File)
  return {
    architecture: execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim(),
    packages: packagesOf(site, layout),
    user,
    group,
    ...paths,
    folders: withParents(folders),
    ...(await releaseOf(install)),
    files: {
      configuration: at(join(etc, 'cheat_sheet.json')),
      environment: at(join(etc, 'environment')),
      programs: files.filter(({ path }) => path.startsWith(`${jobs}/`)).map(entry),
      logrotate: at(logrotate),
      crontab: at(cron),
    },
  }
}

/** Ansible gives folders on the way to a folder the owner of that, unless it is told of them. */
function withParents(folders: Directory[]) {
  const known = new Set(folders.map(({ path }) => path))
  // hosts are copies of this machine
  const isMade = (path: string) => !known.has(path) && !existsSync(path)
  const parents = new Set(folders.flatMap(({ path }) => ancestorsOf(path)).filter(isMade))
  return [
    ...[...parents].map(path => ({ path, mode: '0755', owner: 'root', group: 'root' })),
    ...folders.map(({ path, mode, owner, group }) => ({ path, mode, owner, group })),
  ]
}

/** Text as a template for Jinja. */
function withVariables(content: string, paths: Record<string, string>): string {
  if (/\{[{%#]/.test(content)) throw new Error(`Jinja would take this for its own: ${content}`)
  const longestFirst = Object.entries(paths).toSorted(([, a], [, b]) => b.length - a.length)
  return longestFirst.reduce((text, [name, path]) => text.replaceAll(path, `{{ ${name} }}`), content)
}

async function releaseOf(install: string) {
  const { id, node, modules, app } = await planRelease(process.arch === 'arm64' ? 'arm64' : 'x64')
  const { signal } = new AbortController()
  const release = join(install, 'releases', id)
  const store = join(install, 'store')
  const layers = [
    { path: join(store, node.name), archive: (await node.pack(signal)).file, creates: 'bin/node' },
    {
      path: join(store, modules.name),
      archive: (await modules.pack(signal)).file,
      creates: 'node_modules',
    },
    { path: release, archive: (await app.pack(signal)).file, creates: 'package.json' },
  ]
  const links = [
    { path: join(release, 'node'), target: `../../store/${node.name}` },
    { path: join(release, 'node_modules'), target: `../../store/${modules.name}/node_modules` },
    { path: join(install, 'current'), target: `releases/${id}` },
  ]
  return { layers, links }
}

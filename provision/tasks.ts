import { dirname, join } from 'node:path'
import { filesOf } from './files.ts'
import type { Release } from './release/release.ts'
import type { Directory, File, FirstCommand, Task } from './resource.ts'
import type { Site } from './site.ts'

/** What is to be at paths of a host. */
export type Layout = { folders: Directory[]; files: File[] }

export function layoutOf(site: Site, underRoot: boolean): Layout {
  const files = filesOf(site).map(file => ownedFile(site, file, underRoot))
  return { folders: foldersOf(site, underRoot), files }
}

export type TaskContext = { release: Release; underRoot: boolean; mounted: ReadonlySet<string> }

/** What a host that runs candlekeep is: the tasks in the order in which they are carried out. */
export function tasksFor(site: Site, { folders, files }: Layout, context: TaskContext): Task[] {
  const { release, underRoot, mounted } = context
  const { sheet, user } = site
  const { path: warm, mount } = sheet.backup.warm
  // on a disk that is not there it would be made on this one
  const there = folders.filter(({ path }) => path !== warm || mount === null || mounted.has(mount))
  const within = (folder: string) => files.filter(({ path }) => dirname(path) === folder)
  const system: Task[] = underRoot
    ? []
    : [
        { name: 'packages', resources: packages.map(name => ({ kind: 'package', name })) },
        { name: 'user', resources: [{ kind: 'user', name: user, home: sheet.paths.state }] },
      ]
  return [
    ...system,
    { name: 'folders', resources: there },
    {
      name: 'release',
      resources: [
        { kind: 'layer', layer: release.node },
        { kind: 'layer', layer: release.modules },
        { kind: 'release', release, keep: sheet.provision.keep_releases },
      ],
    },
    { name: 'configuration', resources: within(site.etc) },
    { name: 'jobs', resources: within(site.jobs) },
    { name: 'log rotation', resources: files.filter(({ path }) => path === site.logrotate) },
    { name: 'crontab', resources: files.filter(({ path }) => path === site.cron) },
  ]
}

/** What is run once on a host that is new: candles, a first backup, and a look at all of it. */
export function firstRunOf({ jobs, sheet }: Site): Task {
  const program = join(jobs, 'candlekeep.sh')
  const command = (title: string, args: string[], minutes: number, well: number[]): FirstCommand => ({
    title,
    program,
    args,
    seconds: minutes * 60 + 120,
    well,
  })
  return {
    name: 'first run',
    resources: [
      {
        kind: 'first_run',
        commands: [
          command('sync', ['daily_candle_sync'], sheet.sync.timeout_minutes, [0, 2]),
          // a tier that is not there yet is no reason to begin with no backup at all
          command('backup', ['backup'], sheet.backup.timeout_minutes, [0, 2]),
          // the status is that of monitoring plugins: a new host has things to warn of
          command('health check', ['health_check'], sheet.health.timeout_minutes, [0, 1, 2]),
        ],
      },
    ],
  }
}

/** Node needs the last one, which no package of a bare system does. */
export const packages = ['cron', 'logrotate', 'sqlite3', 'libatomic1']

type Wanted = Pick<Directory, 'path' | 'mode' | 'data' | 'keep'> & { by: 'root' | 'user' }

function foldersOf(site: Site, underRoot: boolean): Directory[] {
  const { sheet, install, jobs, etc, cron, logrotate } = site
  const { paths, backup } = sheet
  const data = { mode: '0750', by: 'user', data: true } as const
  const program = { mode: '0755', by: 'root' } as const
  const warm = backup.warm.path === null ? [] : [{ path: backup.warm.path, ...data }]
  const wanted: Wanted[] = [
    { path: install, ...program },
    { path: jobs, ...program },
    { path: etc, ...program },
    ...(underRoot ? [cron, logrotate].map(path => ({ path: dirname(path), ...program })) : []),
    // the agent's, where it is there already
    { path: paths.workspace, ...data, keep: true },
    { path: dirname(paths.database), ...data, keep: true },
    // node_exporter, another user, passes through it to the metrics
    { path: paths.state, ...data, mode: '0751' },
    { path: paths.logs, ...data },
    { path: paths.metrics, ...data, mode: '0755' },
    { path: backup.hot.path, ...data },
    ...warm,
  ]
  const first = new Map<string, Wanted>()
  for (const folder of wanted) if (!first.has(folder.path)) first.set(folder.path, folder)
  return [...first.values()].map(({ by, ...folder }) => ({
    kind: 'directory',
    ...folder,
    ...ownerOf(site, by, underRoot),
  }))
}

function ownedFile(
  site: Site,
  { owner, ...file }: ReturnType<typeof filesOf>[number],
  underRoot: boolean,
): File {
  return { kind: 'file', ...file, ...ownerOf(site, owner, underRoot) }
}

/** Without root everything belongs to the user who lays it out. */
function ownerOf(
  { user, group }: Site,
  by: 'root' | 'user',
  underRoot: boolean,
): { owner: string; group: string } {
  return by === 'root' && !underRoot ? { owner: 'root', group: 'root' } : { owner: user, group }
}

import { dirname, join } from 'node:path'
import { filesOf, managed } from './files.ts'
import { monitoringFolder, servicesOf } from './monitoring.ts'
import type { Release } from './release/release.ts'
import type { Directory, File, FirstCommand, Resource, Task } from './resource.ts'
import type { HostFile, Site } from './site.ts'

/** What is to be at paths of a host, and the services that run with some of it. */
export type Layout = {
  folders: Directory[]
  /** Of the jobs. */
  files: File[]
  services: Extract<Resource, { kind: 'service' }>[]
}

export function layoutOf(site: Site, underRoot: boolean): Layout {
  const owned = (files: HostFile[]) => files.map(file => ownedFile(site, file, underRoot))
  // services are those of a whole machine
  const services = underRoot ? [] : servicesOf(site, managed)
  return {
    folders: foldersOf(site, underRoot),
    files: hasJobs(site) ? owned(filesOf(site)) : [],
    services: services.map(({ files, ...service }) => ({
      kind: 'service',
      ...service,
      files: owned(files),
    })),
  }
}

/** All files, whatever reads them. */
export function allFiles({ files, services }: Layout): File[] {
  return [...files, ...services.flatMap(service => service.files)]
}

export function hasJobs({ sheet }: Site): boolean {
  return sheet.provision.roles.includes('jobs')
}

/** Those that a host is to have. */
export function packagesOf(site: Site, { services }: Pick<Layout, 'services'>): string[] {
  return [...(hasJobs(site) ? packages : []), ...services.map(({ name }) => name)]
}

export type TaskContext = { release: Release; underRoot: boolean; mounted: ReadonlySet<string> }

/** What a host that runs candlekeep is: the tasks in the order in which they are carried out. */
export function tasksFor(site: Site, layout: Layout, context: TaskContext): Task[] {
  const { folders, services } = layout
  const { underRoot, mounted } = context
  const { sheet, user } = site
  const { path: warm, mount } = sheet.backup.warm
  // on a disk that is not there it would be made on this one
  const there = folders.filter(({ path }) => path !== warm || mount === null || mounted.has(mount))
  const names = packagesOf(site, layout)
  const tasks: Task[] = [
    { name: 'packages', resources: underRoot ? [] : names.map(name => ({ kind: 'package', name })) },
    {
      name: 'user',
      resources: underRoot || !hasJobs(site) ? [] : [{ kind: 'user', name: user, home: sheet.paths.state }],
    },
    { name: 'folders', resources: there },
    ...(hasJobs(site) ? jobTasks(site, layout, context) : []),
    { name: 'monitoring', resources: services.flatMap(({ files }) => files) },
    { name: 'services', resources: services },
  ]
  return tasks.filter(({ resources }) => resources.length > 0)
}

function jobTasks(site: Site, { files }: Layout, { release }: TaskContext): Task[] {
  const { sheet } = site
  const within = (folder: string) => files.filter(({ path }) => dirname(path) === folder)
  return [
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
const packages = ['cron', 'logrotate', 'sqlite3', 'libatomic1']

type Wanted = Pick<Directory, 'path' | 'mode' | 'data' | 'keep'> & { by: HostFile['owner'] }

const program = { mode: '0755', by: 'root' } as const

function foldersOf(site: Site, underRoot: boolean): Directory[] {
  const wanted = [
    { path: site.install, ...program },
    { path: site.etc, ...program },
    ...(hasJobs(site) ? jobFolders(site, underRoot) : []),
    ...(site.sheet.provision.roles.includes('monitoring') && !underRoot ? monitoringFolders(site) : []),
  ]
  const first = new Map<string, Wanted>()
  for (const folder of wanted) if (!first.has(folder.path)) first.set(folder.path, folder)
  return [...first.values()].map(({ by, ...folder }) => ({
    kind: 'directory',
    ...folder,
    ...ownerOf(site, by, underRoot),
  }))
}

function monitoringFolders(site: Site): Wanted[] {
  const folder = monitoringFolder(site)
  return [
    { path: folder, ...program },
    { path: join(folder, 'rules'), ...program },
    { path: join(folder, 'secrets'), mode: '0750', by: 'prometheus' },
  ]
}

function jobFolders(site: Site, underRoot: boolean): Wanted[] {
  const { sheet, jobs, cron, logrotate } = site
  const { paths, backup } = sheet
  const data = { mode: '0750', by: 'user', data: true } as const
  const warm = backup.warm.path === null ? [] : [{ path: backup.warm.path, ...data }]
  return [
    { path: jobs, ...program },
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
}

export function ownedFile(
  site: Site,
  { owner, ...file }: ReturnType<typeof filesOf>[number],
  underRoot: boolean,
): File {
  return { kind: 'file', ...file, ...ownerOf(site, owner, underRoot) }
}

/** Without root everything belongs to the user who lays it out. */
function ownerOf(
  { user, group }: Site,
  by: HostFile['owner'],
  underRoot: boolean,
): { owner: string; group: string } {
  if (underRoot || by === 'user') return { owner: user, group }
  return { owner: 'root', group: by }
}

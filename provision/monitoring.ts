import { join } from 'node:path'
import type { CheatSheet } from '../scripts/job/config_types.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { alertingRules } from './alerting_rules.ts'
import { alertmanagerConfig, alertmanagerShape, secretFiles } from './alertmanager.ts'
import { parseListen } from './listen.ts'
import { render } from './render.ts'
import type { HostFile, Service, Site } from './site.ts'

/** Debian's packages, and their services. */
export const daemons = ['prometheus', 'prometheus-alertmanager', 'prometheus-node-exporter'] as const

/** The folder of what Prometheus and Alertmanager read on their host. */
export function monitoringFolder({ etc }: Pick<Site, 'etc'>): string {
  return join(etc, 'monitoring')
}

export function alertmanagerFile(site: Pick<Site, 'etc'>): string {
  return join(monitoringFolder(site), 'alertmanager.yml')
}

/** Where secrets of Alertmanager may be. */
export function alertmanagerSecrets(site: Pick<Site, 'etc'>): HostFile[] {
  return secretFiles.map(name => ({
    path: join(monitoringFolder(site), 'secrets', name),
    content: '',
    ...confidential,
  }))
}

const readable = { mode: '0644', owner: 'root' } as const
/** Debian's packages run both daemons as this group. */
const confidential = { mode: '0640', owner: 'prometheus', secret: true } as const

/** The daemons of a host and the files that each of them reads, by the host's roles. */
export function servicesOf(site: Site, managed: string): Service[] {
  const { sheet } = site
  const { roles } = sheet.provision
  return [
    ...(roles.includes('metrics') ? [exporter(site, managed)] : []),
    ...(roles.includes('monitoring') ? [prometheus(site, managed), alertmanager(site, managed)] : []),
  ]
}

function exporter({ sheet }: Site, managed: string): Service {
  const { exporter_listen } = sheet.monitoring
  const name = 'prometheus-node-exporter'
  return {
    name,
    listen: exporter_listen,
    files: [
      defaultsOf(name, managed, [
        `--web.listen-address=${exporter_listen}`,
        ...(sheet.provision.roles.includes('jobs')
          ? [`--collector.textfile.directory=${sheet.paths.metrics}`]
          : []),
      ]),
    ],
  }
}

function prometheus(site: Site, managed: string): Service {
  const { sheet } = site
  const { prometheus_listen, retention_days } = sheet.monitoring
  const folder = monitoringFolder(site)
  const name = 'prometheus'
  const config = join(folder, 'prometheus.yml')
  return {
    name,
    listen: prometheus_listen,
    files: [
      {
        path: join(folder, 'rules/candlekeep.yml'),
        content: alertingRules(sheet, managed),
        ...readable,
        validate: 'promtool check rules "$1"',
      },
      {
        path: config,
        content: prometheusConfig(site, managed),
        ...readable,
        validate: 'promtool check config "$1"',
      },
      defaultsOf(name, managed, [
        `--config.file=${config}`,
        `--storage.tsdb.retention.time=${retention_days}d`,
        `--web.listen-address=${prometheus_listen}`,
      ]),
    ],
  }
}

function alertmanager(site: Site, managed: string): Service {
  const { alertmanager_listen } = site.sheet.monitoring
  const name = 'prometheus-alertmanager'
  const config = alertmanagerFile(site)
  const { text, secrets } = alertmanagerConfig(site.sheet, site.secrets, placeOf(site, managed))
  return {
    name,
    listen: alertmanager_listen,
    files: [
      ...secrets.map(({ path, value }) => ({ path, content: value, ...confidential })),
      // a heartbeat's address is a secret, and Alertmanager 0.25 reads that from no file
      { path: config, content: text, ...confidential, validate: 'amtool check-config "$1"' },
      defaultsOf(name, managed, [
        `--config.file=${config}`,
        `--web.listen-address=${alertmanager_listen}`,
        // one Alertmanager has no others to listen for
        '--cluster.listen-address=',
      ]),
    ],
  }
}

/** Whether Alertmanager's configuration on a host is what it should be, where secrets of these names are there. */
export function isAsItShouldBe(site: Site, managed: string, names: string[], madeFrom: string): boolean {
  return madeFrom === alertmanagerShape(site.sheet, names, placeOf(site, managed))
}

function placeOf(site: Site, managed: string) {
  return {
    managed,
    folder: join(monitoringFolder(site), 'secrets'),
    // a host that is named by its address is called USER@HOST
    hello: site.name.replace(/^.*@/, ''),
  }
}

/** Prometheus' configuration for a host that asks all others. */
function prometheusConfig({ sheet, targets }: Site, managed: string): string {
  const { scrape_seconds, prometheus_listen, alertmanager_listen } = sheet.monitoring
  const jobs = [
    { name: 'candlekeep', targets: targets.filter(({ hasJobs }) => hasJobs) },
    // hosts without jobs: what is asked of metrics of jobs is not asked of them
    { name: 'candlekeep_node', targets: targets.filter(({ hasJobs }) => !hasJobs) },
    { name: 'prometheus', targets: [{ instance: prometheus_listen, address: prometheus_listen }] },
    { name: 'alertmanager', targets: [{ instance: alertmanager_listen, address: alertmanager_listen }] },
  ]
  return render('monitoring/prometheus', {
    managed,
    scrape_seconds,
    alertmanager: alertmanager_listen,
    jobs: jobs.filter(job => job.targets.length > 0),
  })
}

/** What Debian's units and init scripts give a daemon as arguments; words of sh and of systemd alike. */
function defaultsOf(name: string, managed: string, words: string[]): HostFile {
  return {
    path: `/etc/default/${name}`,
    content: render('monitoring/defaults', { managed, arguments: words.join(' ') }),
    ...readable,
    validate: 'sh -n "$1"',
  }
}

/** Where a host's node_exporter is found by Prometheus. */
export type Target = { instance: string; address: string; hasJobs: boolean }

export function targetOf(name: string, { provision, monitoring }: CheatSheet): Target[] {
  const { roles } = provision
  if (!roles.includes('metrics')) return []
  return [{ instance: name, address: monitoring.exporter_listen, hasJobs: roles.includes('jobs') }]
}

/** Throws a UserError where Prometheus on that host could not reach one of the others. */
export function requireReachable(host: string, targets: Target[]): void {
  for (const { instance, address } of targets) {
    if (instance === host || parseListen(address)?.isLoopback !== true) continue
    throw new UserError(`${host} cannot ask the node_exporter of ${instance}: it listens on ${address}`, {
      hint: `Give monitoring.exporter_listen of ${instance} a private address that ${host} reaches.`,
      status: exitStatus.configuration,
    })
  }
}

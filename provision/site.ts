import type { CheatSheet } from '../scripts/job/config_types.ts'
import type { Target } from './monitoring.ts'

/** A host as it is to be: its merged cheat sheet, and where things go. All paths are absolute. */
export type Site = {
  /** What the inventory calls it, and Prometheus its `instance`. */
  name: string
  sheet: CheatSheet
  /** Releases, the files that they share, and the record of what was put on the host. */
  install: string
  /** The programs that cron calls. */
  jobs: string
  /** The cheat sheet and the environment of the jobs. */
  etc: string
  /** The crontab file. */
  cron: string
  /** The rules for log files. */
  logrotate: string
  /** Who runs the jobs. */
  user: string
  group: string
  /** Environment of the jobs, by name. */
  secrets: Record<string, string>
  /** What Prometheus asks, where it runs here. */
  targets: Target[]
}

/** A file as it is to be on a host. */
export type HostFile = {
  path: string
  content: string
  /** `0644` */
  mode: string
  /** `prometheus`: root's, and its group may read it. */
  owner: 'root' | 'user' | 'prometheus'
  /** Its content is never shown. */
  secret?: true
  /** A sh command that ends with 0 where the file whose path is `$1` may be put in place. */
  validate?: string
}

/** A daemon of one of Debian's packages, which is started anew when what it reads has changed. */
export type Service = {
  /** Of the package and of the service. */
  name: string
  /** `127.0.0.1:9090` */
  listen: string
  files: HostFile[]
}

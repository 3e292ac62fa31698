import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { failed, run } from './apply.ts'
import { purgePackages } from './apt.ts'
import type { Channel } from './channel.ts'
import type { HostResult, Tell } from './events.ts'
import { factsOf, type Host, withHost } from './host_run.ts'
import { type Entry, type HostManifest, readHostManifest } from './manifest.ts'
import { quote } from './quote.ts'
import { stopService } from './service.ts'
import { lines } from './sh_files.ts'
import type { Site } from './site.ts'
import { recordStep, removeScript, type Step } from './steps.ts'
import { layoutOf } from './tasks.ts'

export type UninstallWishes = {
  check: boolean
  purge: boolean
  acceptNew: boolean
  sshConfig: string | undefined
}

/** A part of the way back: what it takes away, and how. */
type Removal = { task: string; what: string[]; step: Step }

/** For how long a job that runs is waited for. */
const jobSeconds = 120

/** Leaves a host as it was before candlekeep came; what is in the folders of data stays without `purge`. */
export function uninstallHost(
  host: Host,
  wishes: UninstallWishes,
  signal: AbortSignal,
  tell: Tell,
): Promise<HostResult> {
  return withHost(host, { ...wishes, lock: !wishes.check }, signal, tell, async (channel, result) => {
    const { manifest, isInstalled } = await recordOf(host, channel, signal)
    const removals = isInstalled ? removalsFor(host.site, manifest, wishes.purge) : []
    for (const { task, what, step } of removals) {
      const started = Date.now()
      if (!wishes.check) {
        const reply = await run(step, { channel, signal })
        if (reply.status !== 0) throw failed(task, reply)
      }
      result.changed++
      const seconds = (Date.now() - started) / 1000
      tell({ event: 'task', host: host.name, task, status: 'changed', ok: 0, changes: what, seconds })
    }
    if (removals.length === 0) {
      result.ok++
      tell({
        event: 'task',
        host: host.name,
        task: 'nothing is there',
        status: 'ok',
        ok: 1,
        changes: [],
        seconds: 0,
      })
    }
    if (wishes.check && removals.length > 0) result.status = 'pending'
  })
}

async function recordOf(
  host: Host,
  channel: Channel,
  signal: AbortSignal,
): Promise<{ manifest: HostManifest; isInstalled: boolean }> {
  const { site, under } = host
  const facts = await factsOf(site, layoutOf(site, under !== undefined), channel, signal)
  const manifest = readHostManifest(facts.manifest)
  const file = `${site.install}/manifest.json`
  if (manifest === undefined)
    throw new UserError(`${file} cannot be read as what candlekeep writes`, {
      hint: 'Without it nobody knows what was there before.',
    })
  if (facts.manifest.trim() === '' && facts.current !== undefined)
    throw new UserError(`there is a release, but no ${file}`, {
      hint: 'Install it again first: that writes the record.',
      status: exitStatus.failed,
    })
  return { manifest, isInstalled: facts.manifest.trim() !== '' }
}

/**
 * What is done to leave a host, in this order: no job starts any more, those that run have ended, then what was put there
 * goes. The record goes last, so that a run that is killed can be run again. Pure.
 */
function removalsFor(site: Site, manifest: HostManifest, purge: boolean): Removal[] {
  const { install, cron } = site
  const deepestFirst = manifest.entries.toReversed()
  const isOurs = ({ path, data }: Entry) => data !== true && path !== install
  const files = deepestFirst.filter(entry => isOurs(entry) && entry.kind === 'file')
  const data = deepestFirst.filter(entry => entry.data === true)
  const folders = deepestFirst.filter(entry => isOurs(entry) && entry.kind === 'directory')
  // a folder that was there before keeps what is in it
  const emptied = data.filter(({ before }) => before === null)
  const removals: Removal[] = []
  const first = files.filter(({ path }) => path === cron)
  if (first.length > 0) removals.push(remove('crontab', first, site))
  const hasMore = files.length > first.length
  for (const name of manifest.services)
    removals.push({ task: 'services', what: [name], step: stopService(site, name) })
  if (hasMore) removals.push({ task: 'jobs that run', what: ['waited for'], step: waitForJobs(site) })
  if (hasMore)
    removals.push(
      remove(
        'files',
        files.filter(entry => !first.includes(entry)),
        site,
      ),
    )
  if (purge && data.length > 0) {
    removals.push({
      task: 'data',
      what: emptied.map(({ path }) => path),
      step: { script: lines('set -e', ...data.map(entry => purgeScript(site, entry))), seconds: 600 },
    })
  }
  if (purge && manifest.user !== null) {
    const name = quote(manifest.user)
    const step = { script: `! getent passwd ${name} >/dev/null || userdel -- ${name}` }
    removals.push({ task: 'user', what: [manifest.user], step })
  }
  if (purge && manifest.packages.length > 0)
    removals.push({
      task: 'packages',
      what: manifest.packages,
      step: purgePackages(manifest.packages, site.sheet.provision.apt_wait_seconds),
    })
  const left: HostManifest = purge
    ? { ...manifest, entries: [], packages: [], user: null, services: [] }
    : {
        ...manifest,
        services: [],
        entries: manifest.entries.filter(
          ({ path, data: isData, kind }) =>
            isData === true || (kind === 'directory' && leadsTo(path, data)) || path === install,
        ),
      }
  const remembered = data.length > 0 || manifest.user !== null || manifest.packages.length > 0
  const stays = !purge && remembered
  removals.push({
    task: 'releases',
    what: [install],
    step: {
      script: leaveScript(
        site,
        folders,
        manifest.entries.find(({ path }) => path === install),
        stays,
      ),
      seconds: 300,
    },
  })
  if (stays)
    removals.push({
      task: 'what stays',
      what: [...data.map(({ path }) => path), `--purge removes it; ${install}/manifest.json remembers`],
      step: recordStep(site, left, []),
    })
  return removals
}

function leadsTo(path: string, entries: Entry[]): boolean {
  return entries.some(entry => entry.path.startsWith(`${path}/`))
}

function remove(task: string, entries: Entry[], site: Site): Removal {
  const script = lines('set -e', ...entries.map(entry => removeScript(site, entry)))
  return { task, what: entries.map(({ path }) => path), step: { script } }
}

/** The wrappers hold these locks for as long as a job runs. */
function waitForJobs({ sheet }: Site): Step {
  const folder = quote(`${sheet.paths.state}/locks`)
  return {
    script: lines(
      `for lock in ${folder}/*.cron; do`,
      '  [ -e "$lock" ] || continue',
      `  flock -w ${jobSeconds} "$lock" true || { echo "a job still runs: $lock is held"; exit 1; }`,
      'done',
    ),
    seconds: jobSeconds * 8,
  }
}

function purgeScript(site: Site, entry: Entry): string {
  return entry.before === null
    ? `rm -rf --one-file-system -- ${quote(entry.path)}`
    : removeScript(site, entry)
}

/** Releases, then the folders that are empty, and INSTALL itself, unless its record is still needed. */
function leaveScript(site: Site, folders: Entry[], install: Entry | undefined, stays: boolean): string {
  const own = [
    'current',
    'releases',
    'store',
    'activations',
    'first_run',
    'services',
    ...(stays ? [] : ['originals']),
  ]
  const last = stays
    ? []
    : [
        `rm -f -- ${quote(`${site.install}/manifest.json`)}`,
        removeScript(site, install ?? { path: site.install, kind: 'directory', before: null }),
      ]
  const above = stays ? folders.filter(({ path }) => !site.install.startsWith(`${path}/`)) : folders
  return lines(
    'set -e',
    `rm -rf -- ${own.map(name => quote(`${site.install}/${name}`)).join(' ')}`,
    ...last,
    ...above.map(entry => removeScript(site, entry)),
  )
}

import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import type { Address } from './address.ts'
import { carryOut, failed, type Hands, run, switchOver, waits } from './apply.ts'
import { type Change, describeChange, type PlannedTask, planTasks } from './change.ts'
import { type Channel, openChannel } from './channel.ts'
import { diffOf } from './diff.ts'
import type { HostResult, Tell } from './events.ts'
import { type Facts, factsScript, readFacts } from './facts.ts'
import { withSecretsKept } from './kept_secrets.ts'
import { type HostManifest, manifestWith, readHostManifest, renderHostManifest } from './manifest.ts'
import { alertmanagerSecrets } from './monitoring.ts'
import { doubtsAbout, preflight, requireOwner, requireOwnServices, requireRoom } from './preflight.ts'
import { quote } from './quote.ts'
import { currentRelease, type Release } from './release/release.ts'
import type { Resource, Task } from './resource.ts'
import type { Site } from './site.ts'
import type { Under } from './site_of.ts'
import { Unreachable } from './ssh_errors.ts'
import { forgetPrepared, recordStep } from './steps.ts'
import { allFiles, firstRunOf, hasJobs, type Layout, layoutOf, packagesOf, tasksFor } from './tasks.ts'

/** A host to work on. */
export type Host = { name: string; address: Address | undefined; site: Site; under: Under }

export type Wishes = {
  /** Nothing is changed, and no lock is taken. */
  check: boolean
  diff: boolean
  firstRun: boolean
  acceptNew: boolean
  sshConfig: string | undefined
  /** Secrets that are on the host and are not given now are dropped. */
  forgetSecrets: boolean
}

/** What was seen of a host, and what is to be done there. */
export type Plan = {
  facts: Facts
  manifest: HostManifest
  release: Release
  tasks: Task[]
  planned: PlannedTask[]
  /** What has to change and cannot without secrets that are not given. */
  left: string | undefined
}

/** Sets one host up, or looks at it. Never throws: what went wrong is told, and stands in the result. */
export async function installHost(
  host: Host,
  wishes: Wishes,
  signal: AbortSignal,
  tell: Tell,
): Promise<HostResult> {
  return withHost(host, { ...wishes, lock: !wishes.check }, signal, tell, async (channel, result) => {
    const plan = await lookAt(host, channel, wishes, signal, tell)
    if (hasJobs(host.site)) result.release = plan.release.id
    const changes = plan.planned.flatMap(task => task.changes)
    if (wishes.diff) await showDiffs(host, changes, channel, signal, tell)
    const hands = {
      host: host.name,
      channel,
      site: host.site,
      asRoot: host.under === undefined,
      signal,
      tell,
      release: plan.release,
    }
    if (!wishes.check && changes.length > 0) await record(plan, hands)
    const [before, after] = aroundTheSwitch(plan.planned)
    for (const task of before) await doTask(task, wishes.check, hands, result)
    if (!wishes.check) {
      result.changed += await switchOver(changes, hands)
      await forgetLeftovers(plan.facts, hands)
    }
    for (const task of after) await doTask(task, wishes.check, hands, result)
    if (!wishes.check) await forgetRemoved(plan, hands)
    if (!wishes.check && plan.left !== undefined)
      throw new UserError(`all is done but for this: ${plan.left}`, {
        hint: 'Give the secrets again: the inventory\'s "secrets", or the environment.',
      })
    if (wishes.check && result.changed > 0) result.status = 'pending'
    if (!wishes.firstRun && hasJobs(host.site) && !plan.facts.hasRun) result.skipped++
  })
}

/** What runs on a host in the frame of a connection: its lock, its errors, its result. */
export async function withHost(
  host: Host,
  wishes: { lock: boolean; acceptNew: boolean; sshConfig: string | undefined },
  signal: AbortSignal,
  tell: Tell,
  work: (channel: Channel, result: HostResult) => Promise<void>,
): Promise<HostResult> {
  const started = Date.now()
  const result: HostResult = {
    host: host.name,
    status: 'done',
    ok: 0,
    changed: 0,
    unreachable: 0,
    failed: 0,
    skipped: 0,
    seconds: 0,
    release: undefined,
  }
  let channel: Channel | undefined
  try {
    channel = await openChannel({
      ...wishes,
      address: host.address,
      lock: wishes.lock ? lockOf(host) : undefined,
      signal,
    })
    await work(told(channel, host.name, tell), result)
  } catch (error) {
    if (signal.aborted) result.status = 'interrupted'
    else if (error instanceof Unreachable) result.status = 'unreachable'
    else if (error instanceof UserError && error.status === exitStatus.locked) result.status = 'locked'
    else result.status = 'failed'
    if (result.status === 'unreachable') result.unreachable++
    else result.failed++
    const message = signal.aborted
      ? 'interrupted'
      : error instanceof UserError
        ? error.message
        : String(error instanceof Error ? error.stack : error)
    const hint = signal.aborted
      ? 'What was done stays; run it again to complete it.'
      : error instanceof UserError
        ? error.hint
        : 'This is a defect of candlekeep.'
    tell({ event: 'failure', host: host.name, task: '', message, hint })
  } finally {
    await channel?.close()
  }
  result.seconds = (Date.now() - started) / 1000
  return result
}

/** Everything that is asked of the host goes into the log; inputs, which may be secrets, do not. */
function told(channel: Channel, host: string, tell: Tell): Channel {
  return {
    ...channel,
    async ask(request) {
      const started = Date.now()
      const reply = await channel.ask(request)
      tell({
        event: 'request',
        host,
        script: request.script,
        ...reply,
        seconds: (Date.now() - started) / 1000,
      })
      return reply
    },
  }
}

/** One look at a host, and what differs from how it should be. */
export async function lookAt(
  { name, site, under }: Host,
  channel: Channel,
  wishes: Pick<Wishes, 'firstRun' | 'forgetSecrets'>,
  signal: AbortSignal,
  tell: Tell,
): Promise<Plan> {
  const underRoot = under !== undefined
  const layout = layoutOf(site, underRoot)
  // while the host answers; most are of this machine's kind
  const [facts] = await Promise.all([
    factsOf(site, layout, channel, signal),
    process.arch === 'x64' || process.arch === 'arm64' ? currentRelease(process.arch) : undefined,
  ])
  const arch = preflight(facts, under)
  if (hasJobs(site)) requireOwner(facts, site)
  if (!underRoot)
    for (const text of doubtsAbout(facts, Date.now())) tell({ event: 'doubt', host: name, text })
  const release = await currentRelease(arch)
  if (hasJobs(site) && !facts.releases.has(release.id)) requireRoom(facts, site.install)
  const manifest = readHostManifest(facts.manifest)
  if (manifest === undefined)
    throw new UserError(`${site.install}/manifest.json cannot be read as what candlekeep writes`, {
      hint: 'It says what was there before candlekeep came. Bring it back from a copy, or move it away to begin anew.',
    })
  requireOwnServices(facts, manifest, layout)
  const { layout: wanted, left } = withSecretsKept(layout, facts, site, wishes.forgetSecrets)
  if (left !== undefined) tell({ event: 'doubt', host: name, text: left })
  const tasks = [
    ...tasksFor(site, wanted, { release, underRoot, mounted: facts.mounted }),
    ...(wishes.firstRun && hasJobs(site) ? [firstRunOf(site)] : []),
  ]
  return { facts, manifest, release, tasks, planned: planTasks(tasks, facts, manifest), left }
}

export async function factsOf(
  site: Site,
  layout: Layout,
  channel: Channel,
  signal: AbortSignal,
): Promise<Facts> {
  const { mount } = site.sheet.backup.warm
  const files = [...allFiles(layout), ...(layout.services.length > 0 ? alertmanagerSecrets(site) : [])]
  const script = factsScript({
    site,
    paths: [...layout.folders, ...files].map(({ path }) => path),
    files: files.map(({ path }) => path),
    packages: packagesOf(site, layout),
    mounts: mount === null ? [] : [mount],
    services: layout.services.map(({ name }) => name),
  })
  const reply = await channel.ask({ script, signal })
  if (reply.status !== 0) throw failed('it could not be looked at', reply)
  return readFacts(reply.output)
}

async function showDiffs(
  { name }: Host,
  changes: Change[],
  channel: Channel,
  signal: AbortSignal,
  tell: Tell,
): Promise<void> {
  const files = changes.filter(change => change.kind === 'file')
  for (const change of files) {
    const { path, secret } = change.to
    const isThere = change.from?.type === 'file' && secret !== true
    const before = isThere
      ? (await channel.ask({ script: `cat -- ${quote(path)}`, signal })).output
      : undefined
    const diff = diffOf(change, before)
    if (diff !== undefined) tell({ event: 'diff', host: name, path, diff })
  }
}

/** Before anything is changed: what is put there, and what stood there before. */
async function record({ tasks, facts, manifest }: Plan, hands: Hands): Promise<void> {
  const resources: Resource[] = tasks.flatMap(task => task.resources)
  const next = manifestWith(manifest, resources, facts)
  if (renderHostManifest(next) === facts.manifest) return
  const known = new Set(manifest.entries.map(({ path }) => path))
  const copies = next.entries.filter(
    ({ path, kind, before }) =>
      kind === 'file' && (before?.type === 'file' || before?.type === 'link') && !known.has(path),
  )
  const reply = await run(
    recordStep(
      hands.site,
      next,
      copies.map(({ path }) => path),
    ),
    hands,
  )
  if (reply.status !== 0) throw failed('the record of what is put there could not be written', reply)
}

/** What an earlier run had prepared, and nobody wants any more: it may be a secret. */
async function forgetLeftovers({ prepared }: Facts, hands: Hands): Promise<void> {
  if (prepared.length === 0) return
  const reply = await run(forgetPrepared(prepared), hands)
  if (reply.status !== 0) throw failed('what an earlier run had prepared could not be removed', reply)
}

/** After everything: what was taken away is forgotten. */
async function forgetRemoved({ tasks, facts, manifest, planned }: Plan, hands: Hands): Promise<void> {
  const changes = planned.flatMap(task => task.changes)
  const removed = new Set(changes.flatMap(change => (change.kind === 'remove' ? [change.entry.path] : [])))
  const stopped = new Set(changes.flatMap(change => (change.kind === 'stop' ? [change.name] : [])))
  if (removed.size + stopped.size === 0) return
  const all = manifestWith(
    manifest,
    tasks.flatMap(task => task.resources),
    facts,
  )
  const left = {
    ...all,
    entries: all.entries.filter(({ path }) => !removed.has(path)),
    services: all.services.filter(name => !stopped.has(name)),
  }
  const reply = await run(recordStep(hands.site, left, []), hands)
  if (reply.status !== 0) throw failed('the record of what is put there could not be written', reply)
}

/** Services and the first run take what is new; and what is no longer wanted is in use until then. */
function aroundTheSwitch(planned: PlannedTask[]): [before: PlannedTask[], after: PlannedTask[]] {
  return [planned.filter(task => !isAfterTheSwitch(task)), planned.filter(isAfterTheSwitch)]
}

function isAfterTheSwitch({ changes }: PlannedTask): boolean {
  return changes.some(({ kind }) => ['service', 'first_run', 'remove', 'stop'].includes(kind))
}

async function doTask(
  { name, ok, changes }: PlannedTask,
  check: boolean,
  hands: Hands,
  result: HostResult,
): Promise<void> {
  const started = Date.now()
  const tell = (status: 'ok' | 'changed' | 'failed', made: Change[]) =>
    hands.tell({
      event: 'task',
      host: hands.host,
      task: name,
      status,
      ok,
      changes: made.map(describeChange),
      seconds: (Date.now() - started) / 1000,
    })
  result.ok += ok
  const made: Change[] = []
  for (const change of changes) {
    hands.signal.throwIfAborted()
    try {
      if (!check) await carryOut(change, hands)
    } catch (error) {
      tell('failed', made)
      throw error
    }
    made.push(change)
    // what is only prepared counts when it is in its place
    if (check || !waits(change)) result.changed++
  }
  tell(changes.length === 0 ? 'ok' : 'changed', made)
}

/** On a file system that is empty after a boot; where there is no root, outside of what is laid out. */
function lockOf({ under }: Host): string {
  if (under === undefined) return '/run/candlekeep-provision.lock'
  const digest = createHash('sha256').update(under.root).digest('hex').slice(0, 12)
  return join(tmpdir(), `candlekeep-provision-${digest}.lock`)
}

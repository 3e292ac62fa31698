import type { Terminal } from '../scripts/job/terminal.ts'
import { formatDuration } from '../scripts/job/time.ts'
import { describeChange } from './change.ts'
import type { Channel } from './channel.ts'
import type { HostResult, Tell } from './events.ts'
import { type Host, lookAt, withHost } from './host_run.ts'
import { quote } from './quote.ts'
import type { Site } from './site.ts'
import { hasJobs } from './tasks.ts'

/** What runs on a host. */
export type Status = {
  release: string | undefined
  /** The release that this project is; undefined: the host has no jobs. */
  wanted: string | undefined
  /** What an install would change. */
  drift: string[]
  /** The last run of each job; undefined: there is no history that can be read. */
  jobs: { job: string; outcome: string; at: number }[] | undefined
  /** The checks that were not well when the health check looked last. */
  health: { name: string; status: string }[] | undefined
}

/** Looks at a host. Never throws. */
export function statusOfHost(
  host: Host,
  connection: { acceptNew: boolean; sshConfig: string | undefined },
  found: Map<string, Status>,
  signal: AbortSignal,
  tell: Tell,
): Promise<HostResult> {
  return withHost(host, { lock: false, ...connection }, signal, tell, async (channel, result) => {
    const { facts, planned, release } = await lookAt(
      host,
      channel,
      { firstRun: false, forgetSecrets: false },
      signal,
      tell,
    )
    const changes = planned.flatMap(task => task.changes)
    result.ok = planned.reduce((sum, { ok }) => sum + ok, 0)
    result.changed = changes.length
    result.release = facts.current
    const history = await historyOf(host.site, channel, signal)
    found.set(host.name, {
      release: facts.current,
      wanted: hasJobs(host.site) ? release.id : undefined,
      drift: changes.map(describeChange),
      ...history,
    })
  })
}

const runsQuery = `SELECT 'run', job, outcome, max(coalesce(finished_at, started_at)) FROM runs GROUP BY job`
const checksQuery = `SELECT 'check', name, status, checked_at FROM checks WHERE run = (SELECT max(run) FROM checks)`

/** By the sqlite3 of the host, as the user of the jobs, so that no file of root's is left beside the history. */
async function historyOf(
  site: Site,
  channel: Channel,
  signal: AbortSignal,
): Promise<Pick<Status, 'jobs' | 'health'>> {
  const file = quote(`${site.sheet.paths.state}/ops.db`)
  const query = `sqlite3 -readonly ${file} ${quote(`${runsQuery}; ${checksQuery};`)}`
  const script = `[ -e ${file} ] || exit 3
if [ "$(id -u)" = 0 ]; then exec runuser -u ${quote(site.user)} -- ${query}; fi
exec ${query}`
  const reply = await channel.ask({ script, signal })
  if (reply.status !== 0) return { jobs: undefined, health: undefined }
  const rows = reply.output.split('\n').map(line => line.split('|'))
  const of = (kind: string) => rows.filter(row => row[0] === kind) as [string, string, string, string][]
  return {
    jobs: of('run').map(([, job, outcome, at]) => ({ job, outcome, at: Number(at) })),
    health: of('check').map(([, name, status]) => ({ name, status })),
  }
}

const jobsShown = ['daily_sync', 'backup', 'health_check', 'restore_drill']
const signs: Record<string, string> = { done: '✅', partly: '⚠️ ' }

/** All hosts in one table; below it, what an install would change. */
export function showTable(
  results: HostResult[],
  found: ReadonlyMap<string, Status>,
  terminal: Terminal,
): void {
  const now = Date.now()
  const lines = results.map(({ host, status }) => {
    const seen = found.get(host)
    if (seen === undefined) return [host, status]
    const { release = 'none', wanted, drift, jobs, health } = seen
    const running = wanted === undefined ? '–' : release === wanted ? release : `${release} (here: ${wanted})`
    const job = (name: string) => {
      const run = jobs?.find(entry => entry.job === name)
      return run === undefined
        ? '–'
        : `${signs[run.outcome] ?? '❌'} ${run.outcome} ${formatDuration(Math.max(0, now - run.at))} ago`
    }
    return [
      host,
      running,
      drift.length === 0 ? 'none' : `${drift.length} differ`,
      ...jobsShown.map(job),
      wanted === undefined ? '–' : wordFor(health),
    ]
  })
  const header = ['HOST', 'RELEASE', 'DRIFT', ...jobsShown.map(name => name.toUpperCase()), 'HEALTH']
  const table = [header, ...lines]
  const widths = header.map((_, column) => Math.max(...table.map(line => (line[column] ?? '').length)))
  for (const line of table)
    terminal.report(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  for (const [host, { drift }] of found)
    for (const change of drift) terminal.report(terminal.colour.yellow(`[${host}] ${change}`))
}

function wordFor(health: Status['health']): string {
  if (health === undefined || health.length === 0) return 'not checked yet'
  const bad = health.filter(({ status }) => status !== 'ok')
  return bad.length === 0
    ? `✅ ${health.length}/${health.length}`
    : `❌ ${bad.map(({ name, status }) => `${name} ${status}`).join(', ')}`
}

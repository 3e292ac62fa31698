import { join } from 'node:path'
import { render } from './render.ts'
import { jobsOf, minutesFor, type ScheduledJob } from './schedule.ts'
import type { HostFile, Site } from './site.ts'

/** What files say of themselves. */
export const managed = 'Put here by candlekeep: changes are undone by its next installation.'

/** A job's own limit comes first, and it has a minute to say that it was reached. */
const margin = 60

/** For so long the logs of single runs are kept. */
const logDays = 90

/** Every file that is to be on a host, beside the release. */
export function filesOf(site: Site): HostFile[] {
  const { sheet, jobs, etc, cron, logrotate } = site
  const values = valuesOf(site)
  const scheduled = jobsOf(sheet)
  const program = { mode: '0755', owner: 'root', validate: 'sh -n "$1"' } as const
  const secrets = Object.entries(site.secrets).map(([name, value]) => ({ name, value }))
  return [
    {
      path: join(etc, 'cheat_sheet.json'),
      content: `${JSON.stringify(sheet, null, 2)}\n`,
      mode: '0644',
      owner: 'root',
    },
    {
      path: join(etc, 'environment'),
      content: render('environment', { ...values, secrets }),
      mode: '0600',
      owner: 'user',
      secret: true,
      validate: 'sh -n "$1"',
    },
    ...scheduled.map(job => ({
      path: join(jobs, `${job.name}.sh`),
      content: wrapperOf(job, values),
      ...program,
    })),
    { path: join(jobs, 'at_utc.sh'), content: render('at_utc.sh', values), ...program },
    { path: join(jobs, 'candlekeep.sh'), content: render('candlekeep.sh', values), ...program },
    {
      path: logrotate,
      content: render('logrotate', { ...values, names: [...scheduled.map(({ name }) => name), 'cron'] }),
      mode: '0644',
      owner: 'root',
      // it reads no file that is not root's, which one below a folder of the user's need not be
      ...(values.switches ? { validate: 'logrotate -d "$1" 2>&1' } : {}),
    },
    { path: cron, content: crontabOf(scheduled, values), mode: '0644', owner: 'root' },
  ]
}

function valuesOf({ sheet, install, jobs, etc, user, group, cron }: Site) {
  const { state, logs } = sheet.paths
  // elsewhere everything belongs to whoever lays it out
  const switches = cron.startsWith('/etc/')
  const values = { managed, log_days: logDays, install, jobs, etc, user, group, state, logs, switches }
  return { ...values, environment: render('environment.sh', values).trimEnd() }
}

function wrapperOf(job: ScheduledJob, values: ReturnType<typeof valuesOf>): string {
  const { name, title, command } = job
  return render('job.sh', {
    ...values,
    name,
    title,
    command,
    arguments: job.arguments,
    limit: Math.ceil(job.timeoutMinutes * 60) + margin,
    grace: margin,
  })
}

function crontabOf(scheduled: ScheduledJob[], values: ReturnType<typeof valuesOf>): string {
  const lines = scheduled.map(job => ({ ...job, minutes: minutesFor(job).join(',') }))
  return render('crontab', { ...values, scheduled: lines })
}

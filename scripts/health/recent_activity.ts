import type { Holder } from '../job/lock.ts'
import { formatDuration, formatTime, hour, minute } from '../job/time.ts'
import { command, quote } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** A run as the history has it. */
export type RunFacts = {
  job: string
  pid: number
  startedAt: number
  finishedAt: number | null
  outcome: string
  summary: string | null
  logFile: string | null
  /** Whether it still goes on: it has its lock; where that cannot be told, its process is there. */
  alive: boolean
}

export type ActivityFacts = {
  now: number
  /** The newest run of each job, and its newest one that has ended: the health check's own left out. */
  newest: RunFacts[]
  ended: RunFacts[]
  /** Who holds the lock of the jobs that write candles. */
  holder: Holder | undefined
}

export type Schedule = {
  /** When the daily sync was last due, and how long it may take. */
  syncDueAt: number
  syncMinutes: number
  maxAgeHours: number
}

/** [6/6] Whether the jobs run when they are due, how they ended, and whether one has been at it for too long. */
export function judgeActivity(
  { now, newest, ended, holder }: ActivityFacts,
  schedule: Schedule,
): CheckResult {
  const sync = newest.find(({ job }) => job === 'daily_sync')
  const findings = [
    ...judgeSchedule(sync, now, schedule),
    ...judgeLock(holder, now, schedule),
    ...newest.filter(({ outcome, alive }) => outcome === 'running' && !alive).map(judgeDead),
    ...ended.flatMap(judgeEnded),
  ]
  const line = sync === undefined ? 'no run' : `daily_sync ran ${formatDuration(now - sync.startedAt)} ago`
  return conclusion('recent_activity', findings, line, {
    jobs: newest.map(run => ({
      job: run.job,
      started_at: new Date(run.startedAt).toISOString(),
      outcome: run.outcome,
      last_ended: ended.find(({ job }) => job === run.job)?.outcome ?? null,
    })),
  })
}

function judgeSchedule(
  sync: RunFacts | undefined,
  now: number,
  { syncDueAt, syncMinutes, maxAgeHours }: Schedule,
): Finding[] {
  const advice = command('daily_candle_sync')
  if (sync === undefined) return [{ status: 'warning', line: 'daily_sync has never run', advice }]
  const age = now - sync.startedAt
  if (age > maxAgeHours * hour)
    return [{ status: 'critical', line: `daily_sync has not run for ${formatDuration(age)}`, advice }]
  if (sync.startedAt < syncDueAt && now > syncDueAt + syncMinutes * minute) {
    const line = `daily_sync did not run when it was due, ${formatTime(syncDueAt)}`
    return [{ status: 'warning', line, advice }]
  }
  return []
}

function judgeLock(holder: Holder | undefined, now: number, { syncMinutes }: Schedule): Finding[] {
  if (holder === undefined) return []
  const { job, pid, since } = holder
  const age = now - since
  if (age <= (syncMinutes + 5) * minute) return []
  const line = `${job} (pid ${pid}) has held its lock for ${formatDuration(age)}, no other can run`
  return [{ status: 'critical', line, advice: `ps -o pid,etime,stat,args -p ${pid}` }]
}

function judgeDead({ job, pid, startedAt }: RunFacts): Finding {
  const line = `the ${job} of ${formatTime(startedAt)} (pid ${pid}) died without a word`
  return { status: 'warning', line, advice: 'dmesg | tail -n 50' }
}

function judgeEnded({ job, outcome, summary, logFile, startedAt }: RunFacts): Finding[] {
  if (outcome === 'done') return []
  const status = outcome === 'partly' || outcome === 'interrupted' ? 'warning' : 'critical'
  const line = `the last ${job} (${formatTime(startedAt)}) ended ${outcome}: ${summary ?? 'no word'}`
  return [{ status, line, ...(logFile === null ? {} : { advice: `tail -n 50 ${quote(logFile)}` }) }]
}

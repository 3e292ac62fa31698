import type { Condition, Severity } from './alerting.ts'
import { Stopped, UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'
import type { RunOutcome } from './history.ts'
import type { Terminal } from './terminal.ts'

/** How the work ended: the lines for people, the one that sums them up, and the figures for the JSON object. */
export type Outcome = {
  outcome: 'done' | 'partly' | 'failed'
  report: string[]
  summary: string
  figures: object
  /** What the history keeps of them, where most stands there otherwise. */
  remembered?: object
  /** Where it says more than the outcome does. */
  exitStatus?: number
  /** What the work saw that people may have to be told, beside how the run itself went. */
  conditions?: Condition[]
  /** Those say all that there is to say of how it went. */
  toldByConditions?: boolean
}

/** How a run ended, also where its work did not come to an outcome. */
export type Ending = {
  outcome: RunOutcome
  status: number
  report: string[]
  summary: string
  figures: object
  remembered?: object
  conditions: Condition[]
  toldByConditions?: boolean
}

/** What was returned or thrown, as the end of the run. `failureStatus`: in place of 1 and 124. */
export function endingOf(result: unknown, failureStatus?: number): Ending {
  const own = (status: number) => {
    const failure = status === exitStatus.failed || status === exitStatus.deadline
    return failure ? (failureStatus ?? status) : status
  }
  if (result instanceof Stopped) {
    const summary = `stopped: ${result.message}; what was committed before stays`
    return {
      outcome: result.outcome,
      status: own(result.status),
      report: [`❌ ${summary}`],
      summary,
      figures: { error: result.message },
      conditions: [],
    }
  }
  if (result instanceof UserError) {
    const { message, hint, status } = result
    return {
      outcome: 'failed',
      status: own(status),
      report: [`❌ ${message}`, ...(hint === undefined ? [] : [`   ${hint}`])],
      summary: message,
      figures: { error: message, ...(hint === undefined ? {} : { hint }) },
      conditions: [],
    }
  }
  if (result instanceof Error) {
    return {
      outcome: 'failed',
      status: own(exitStatus.failed),
      report: [`❌ ${result.message}`, `   This is a defect of candlekeep. ${result.stack ?? ''}`],
      summary: result.message,
      figures: { error: result.message, defect: true },
      conditions: [],
    }
  }
  const { conditions = [], ...outcome } = result as Outcome
  return { ...outcome, conditions, status: outcome.exitStatus ?? exitStatus[outcome.outcome] }
}

/** How the run itself went, as something that people may have to be told. An interrupted one was somebody's will. */
export function conditionOf(
  job: string,
  { outcome, summary, report }: Ending,
  severity: Severity,
): Condition | undefined {
  if (outcome === 'interrupted') return undefined
  const severities = { done: 'ok', partly: 'warning', failed: severity, deadline: severity, killed: severity }
  return {
    key: `job:${job}`,
    severity: severities[outcome] as Condition['severity'],
    title: `${job} ${titles[outcome]}`,
    details: outcome === 'done' ? [summary] : report,
  }
}

const titles = {
  done: 'is done again',
  partly: 'is only partly done',
  failed: 'has failed',
  deadline: 'did not end in time',
  killed: 'was killed',
}

/** Says how the run ended, to people or as one JSON object, and sets the exit status of the process. */
export function conclude(
  name: string,
  { outcome, status, report, figures }: Ending,
  json: boolean,
  terminal: Terminal,
): void {
  for (const line of report) terminal.report(line)
  if (json)
    process.stdout.write(`${JSON.stringify({ job: name, outcome, exit_status: status, ...figures })}\n`)
  process.exitCode = status
}

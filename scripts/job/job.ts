import './node_version.ts'
import { existsSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Alerting, AlertingContext, Condition } from './alerting.ts'
import { type Clock, clockFor } from './clock.ts'
import { type Config, loadConfig } from './config.ts'
import type { ConfigProblem } from './config_problems.ts'
import { conclude, conditionOf, type Ending, endingOf, type Outcome } from './ending.ts'
import { codeOf, messageOf, UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'
import { commonFlags, type Flags, type FlagValues, helpText, parseFlags, scriptArguments } from './flags.ts'
import { type Heartbeat, openHeartbeat } from './heartbeat.ts'
import { type Begun, History } from './history.ts'
import { tidyHistory } from './history_retention.ts'
import { type Lock, type LockName, takeLocks } from './lock.ts'
import { type Log, openLog } from './log.ts'
import { writeMetrics } from './metrics.ts'
import { type Progress, showBytes, showProgress } from './progress.ts'
import { whenToStop } from './stopping.ts'
import { openTerminal, type Terminal } from './terminal.ts'
import { formatTime, minute } from './time.ts'

/** What a command is, beside its work. */
export type JobDefinition<F extends Flags, W> = {
  /** Names the run in the history, its log file and its JSON. */
  name: string
  script: string
  summary: string
  flags: F
  /** What is asked for, read from the flags. A usage error here leaves no trace: no lock, no run in the history. */
  wishes: (flags: FlagValues<F>, config: Config, now: number) => W
  /** Commands that have a lock in common exclude each other; none for one that is in nobody's way. */
  locks: readonly LockName[]
  /** Whether this run goes into the history; a look at things does not. */
  recorded: (wishes: W) => boolean
  /** Whether this run stands for the job: one about a part of it neither alarms nor sounds the all-clear. */
  standsForAll?: (wishes: W) => boolean
  /** What alerts about how the run went are about, where that is not the job as a whole: each has its own all-clear. */
  subject?: (wishes: W) => string | undefined
  deadlineMs?: (config: Config) => number
  /** The environment variable with the address of its dead man's switch. */
  heartbeat?: (config: Config) => string
  /** How people get to know of its failures. */
  alerting?: Alerting
  /** What its exit statuses say, for its help, where that is not the usual. */
  statusHelp?: string
  /** Exit status of a run that failed or was stopped at its deadline, where it is not the usual one. */
  failureStatus?: number
  /** Faults of the configuration that this command is there to mend. */
  tolerate?: (problem: ConfigProblem) => boolean
}

/** What the work of a command is given. */
export type Run<W> = {
  /** The run's number in the history; 0 where it is not recorded. */
  id: number
  config: Config
  wishes: W
  log: Log
  history: History
  clock: Clock
  /** Aborted at the deadline and when the run is interrupted: every wait has to heed it. */
  signal: AbortSignal
  terminal: Terminal
  progress: (total: number, things: string, units: string) => Progress
  /** Shows how far `total` bytes of something are; the function says how many more have been done. */
  bytes: (what: string, total: number) => (bytes: number) => void
  /** Says where the figures are to be had of a run that is stopped or fails before it comes to an outcome. */
  keepFigures: (figures: () => object) => void
}

/**
 * The frame that every command runs in: flags, configuration, lock, deadline, log, history, metrics, heartbeat,
 * exit status. It never throws; the process ends with the status of `exit_status.ts`.
 */
export async function job<F extends Flags, W>(
  definition: JobDefinition<F, W>,
  work: (run: Run<W>) => Promise<Outcome>,
): Promise<void> {
  const args = scriptArguments()
  const terminal = openTerminal(args.includes('--json'))
  try {
    const flags = parseFlags({ ...definition.flags, ...commonFlags }, args)
    if (flags.help === true) {
      process.stdout.write(
        helpText(definition.script, definition.summary, definition.flags, definition.statusHelp),
      )
      return
    }
    await runInFrame(definition, flags as FlagValues<F> & FlagValues<typeof commonFlags>, terminal, work)
  } catch (error) {
    conclude(definition.name, endingOf(error, definition.failureStatus), args.includes('--json'), terminal)
  }
}

async function runInFrame<F extends Flags, W>(
  definition: JobDefinition<F, W>,
  flags: FlagValues<F> & FlagValues<typeof commonFlags>,
  terminal: Terminal,
  work: (run: Run<W>) => Promise<Outcome>,
): Promise<void> {
  const config = loadConfig(flags.config, definition.tolerate)
  const clock = clockFor(config.sync.base_url)
  const wishes = definition.wishes(flags, config, clock.now())
  const recorded = definition.recorded(wishes)
  const lock = recorded ? holdLocks(definition, config, clock) : undefined
  const log = openLog(recorded ? config.paths.logs : undefined, definition.name, clock, (level, text) => {
    terminal.aside(level === 'error' ? terminal.asideColour.red(text) : terminal.asideColour.yellow(text))
  })
  const history = History.open(config.paths.state, log, clock, { readOnly: !recorded })
  const standsForAll = definition.standsForAll?.(wishes) ?? true
  const subject = definition.subject?.(wishes)
  const heartbeat =
    recorded && standsForAll && definition.heartbeat !== undefined
      ? openHeartbeat(definition.heartbeat(config), log)
      : undefined
  const alerting = recorded ? definition.alerting : undefined
  const context = { config, history, clock, log }
  const exclusive = lock !== undefined
  const begun = recorded
    ? history.begin(definition.name, log.file, {
        exclusive,
        atDeadline: wasKilledAtDeadline(definition.script, config.paths.state),
      })
    : nothingBegun
  const started = clock.now()
  alerting?.observe(conditionsOfKilled(definition.name, begun), context)

  const record = (ending: Ending) => {
    const { outcome, status, summary, conditions } = ending
    const figures = { ...(ending.remembered ?? ending.figures), ...timesOf(started, clock) }
    log.info(summary, { outcome, ...figures })
    if (!recorded) return
    history.finish(begun.id, { outcome, exitStatus: status, summary, figures })
    // that it came to its end is well, where what it came to is told by conditions of their own
    const itself: Ending = ending.toldByConditions ? { ...ending, outcome: 'done' } : ending
    const own =
      subject !== undefined || standsForAll
        ? conditionOf(subject ?? definition.name, itself, 'critical')
        : undefined
    alerting?.observe([...(own === undefined ? [] : [own]), ...conditions], context)
    tidyHistory(context)
    writeMetrics(context)
  }
  let figuresSoFar = noFigures
  const stopping = whenToStop(definition.deadlineMs?.(config) ?? 24 * 60 * minute, reason => {
    const ending = endingOf(reason, definition.failureStatus)
    ending.figures = { ...figuresSoFar(), ...ending.figures }
    record(ending)
    conclude(definition.name, ending, flags.json, terminal)
    alerting?.deliverDetached(context)
    process.exit(ending.status)
  })

  log.info(`${definition.name} starts`, {
    pid: process.pid,
    config: config.file,
    arguments: scriptArguments(),
  })
  heartbeat?.started()
  let ending: Ending
  try {
    const outcome = await work({
      id: begun.id,
      config,
      wishes,
      log,
      history,
      clock,
      signal: stopping.signal,
      terminal,
      progress: (total, things, units) => showProgress({ total, things, units, terminal }),
      bytes: (what, total) => showBytes({ what, total, terminal }),
      keepFigures: figures => (figuresSoFar = figures),
    })
    ending = endingOf(outcome)
  } catch (error) {
    const reason = stopping.signal.aborted ? stopping.signal.reason : error
    ending = endingOf(reason, definition.failureStatus)
    log.info('the run failed', {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    })
  }
  stopping.end()
  ending.figures = { ...figuresSoFar(), ...ending.figures, ...timesOf(started, clock) }
  record(ending)
  conclude(definition.name, ending, flags.json, terminal)
  await leave(ending, { heartbeat, alerting, context, lock })
}

const noFigures: () => object = () => ({})

function timesOf(started: number, clock: Clock): object {
  return {
    started_at: new Date(started).toISOString(),
    duration_seconds: (clock.now() - started) / 1000,
  }
}

const nothingBegun: Begun = { id: 0, killed: [] }

/** Whether the wrapper that cron runs had to kill the last run of this script: it leaves a file that says so, once. */
function wasKilledAtDeadline(script: string, state: string): boolean {
  const note = join(state, 'killed_at_deadline', basename(script, '.mts'))
  const isThere = existsSync(note)
  if (isThere) rmSync(note, { force: true })
  return isThere
}

/** What people have to be told of runs that died without a word. */
function conditionsOfKilled(name: string, { killed }: Begun): Condition[] {
  const last = killed.at(-1)
  if (last === undefined) return []
  const { startedAt, pid } = last
  return [
    {
      key: `job:${name}`,
      severity: 'critical',
      title: `${name} was killed`,
      details: [
        `the run of ${formatTime(startedAt)} (pid ${pid}) died without a word; see dmesg for the OOM killer`,
      ],
    },
  ]
}

/** The lock is given back first: a slow channel or dead man's switch must not keep the next run out. */
async function leave(
  ending: Ending,
  given: {
    heartbeat: Heartbeat | undefined
    alerting: Alerting | undefined
    context: AlertingContext
    lock: Lock | undefined
  },
): Promise<void> {
  const { heartbeat, alerting, context, lock } = given
  lock?.release()
  await Promise.all([heartbeat?.ended(ending.status, ending.report.join('\n')), alerting?.deliver(context)])
  context.history.close()
  context.log.close()
}

function holdLocks(
  { locks, name }: { locks: readonly LockName[]; name: string },
  config: Config,
  clock: Clock,
): Lock | undefined {
  if (locks.length === 0) return undefined
  try {
    return takeLocks(config.paths.state, locks, { job: name, pid: process.pid, since: clock.now() })
  } catch (error) {
    if (error instanceof UserError || codeOf(error) === '') throw error
    throw new UserError(`${config.paths.state} cannot be used: ${messageOf(error)}`, {
      hint: 'paths.state in the configuration must be a folder that this user can write to.',
      status: exitStatus.configuration,
      cause: error,
    })
  }
}

import './node_version.ts'
import { type Clock, clockFor } from './clock.ts'
import { type Config, loadConfig } from './config.ts'
import type { ConfigProblem } from './config_problems.ts'
import { codeOf, messageOf, Stopped, UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'
import { commonFlags, type Flags, type FlagValues, helpText, parseFlags, scriptArguments } from './flags.ts'
import { type Heartbeat, openHeartbeat } from './heartbeat.ts'
import { History, type RunOutcome } from './history.ts'
import { type Lock, takeLock } from './lock.ts'
import { type Log, openLog } from './log.ts'
import { type Progress, showProgress } from './progress.ts'
import { whenToStop } from './stopping.ts'
import { openTerminal, type Terminal } from './terminal.ts'
import { minute } from './time.ts'

/** What a command is, beside its work. */
export type JobDefinition<F extends Flags, W> = {
  /** Names the run in the history, its log file and its JSON. */
  name: string
  script: string
  summary: string
  flags: F
  /** What is asked for, read from the flags. A usage error here leaves no trace: no lock, no run in the history. */
  wishes: (flags: FlagValues<F>, config: Config, now: number) => W
  /** Commands with the same lock exclude each other; null for one that changes nothing. */
  lock: 'candles' | null
  /** Whether this run goes into the history; a look at things does not. */
  recorded: (wishes: W) => boolean
  deadlineMs?: (config: Config) => number
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
}

/** How the work ended: the lines for people, the one that sums them up, and the figures for the JSON object. */
export type Outcome = {
  outcome: 'done' | 'partly' | 'failed'
  report: string[]
  summary: string
  figures: object
}

type Ending = Omit<Outcome, 'outcome'> & { outcome: RunOutcome; status: number }

/**
 * The frame that every command runs in: flags, configuration, lock, deadline, log, history, heartbeat, exit status.
 * It never throws; the process ends with the status of `exit_status.ts`.
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
      process.stdout.write(helpText(definition.script, definition.summary, definition.flags))
      return
    }
    await runInFrame(definition, flags as FlagValues<F> & FlagValues<typeof commonFlags>, terminal, work)
  } catch (error) {
    conclude(definition.name, endingOf(error), args.includes('--json'), terminal)
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
  const lock = recorded ? holdLock(definition, config, clock) : undefined
  const log = openLog(recorded ? config.paths.logs : undefined, definition.name, clock, (level, text) => {
    terminal.aside(level === 'error' ? terminal.asideColour.red(text) : terminal.asideColour.yellow(text))
  })
  const history = History.open(config.paths.state, log, clock, { readOnly: !recorded })
  const heartbeat = recorded ? openHeartbeat(config.alerts.heartbeat.url_env, log) : undefined
  const id = recorded ? history.begin(definition.name, log.file) : 0
  const started = clock.now()

  const record = (ending: Ending) => {
    const { outcome, status, summary, figures } = ending
    log.info(summary, { outcome, ...figures })
    if (recorded) {
      history.finish(id, { outcome, exitStatus: status, summary, figures })
    }
  }
  const stopping = whenToStop(definition.deadlineMs?.(config) ?? 24 * 60 * minute, reason => {
    const ending = endingOf(reason)
    record(ending)
    conclude(definition.name, ending, flags.json, terminal)
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
    ending = endingOf(
      await work({
        id,
        config,
        wishes,
        log,
        history,
        clock,
        signal: stopping.signal,
        terminal,
        progress: (total, things, units) => showProgress({ total, things, units, terminal }),
      }),
    )
  } catch (error) {
    ending = endingOf(stopping.signal.aborted ? stopping.signal.reason : error)
    log.info('the run failed', {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    })
  }
  stopping.end()
  ending.figures = {
    ...ending.figures,
    started_at: new Date(started).toISOString(),
    duration_seconds: (clock.now() - started) / 1000,
  }
  record(ending)
  conclude(definition.name, ending, flags.json, terminal)
  await leave(heartbeat, ending, { history, log, lock })
}

/** The lock is given back before the last ping: a slow dead man's switch must not keep the next run out. */
async function leave(
  heartbeat: Heartbeat | undefined,
  ending: Ending,
  { history, log, lock }: { history: History; log: Log; lock: Lock | undefined },
): Promise<void> {
  history.close()
  lock?.release()
  await heartbeat?.ended(ending.status, ending.report.join('\n'))
  log.close()
}

function holdLock(
  { lock, name }: { lock: string | null; name: string },
  config: Config,
  clock: Clock,
): Lock | undefined {
  if (lock === null) return undefined
  try {
    return takeLock(config.paths.state, lock, { job: name, pid: process.pid, since: clock.now() })
  } catch (error) {
    if (error instanceof UserError || codeOf(error) === '') throw error
    throw new UserError(`${config.paths.state} cannot be used: ${messageOf(error)}`, {
      hint: 'paths.state in the configuration must be a folder that this user can write to.',
      status: exitStatus.configuration,
      cause: error,
    })
  }
}

/** What was returned or thrown, as the end of the run. */
function endingOf(result: unknown): Ending {
  if (result instanceof Stopped) {
    const summary = `stopped: ${result.message}; what was committed before stays`
    const figures = { error: result.message }
    return { outcome: result.outcome, status: result.status, report: [`❌ ${summary}`], summary, figures }
  }
  if (result instanceof UserError) {
    const { message, hint, status } = result
    const report = [`❌ ${message}`, ...(hint === undefined ? [] : [`   ${hint}`])]
    const figures = { error: message, ...(hint === undefined ? {} : { hint }) }
    return { outcome: 'failed', status, report, summary: message, figures }
  }
  if (result instanceof Error) {
    const report = [`❌ ${result.message}`, `   This is a defect of candlekeep. ${result.stack ?? ''}`]
    const figures = { error: result.message }
    return { outcome: 'failed', status: exitStatus.failed, report, summary: result.message, figures }
  }
  const outcome = result as Outcome
  return { ...outcome, status: exitStatus[outcome.outcome] }
}

function conclude(
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

/**
 * The operator's cheat sheet: what to look at in the morning, and how it is now; what to do when something is wrong.
 *
 *     npx zx scripts/cheat_sheet.mts
 */
import { existsSync } from 'node:fs'
import { describeChannels, sendTestAlerts } from './alerts/test_alert.ts'
import { describeTiers } from './backup/describe.ts'
import { intervals, lastClosedOpenTime } from './candles/intervals.ts'
import { SealBook } from './candles/seal_rotation.ts'
import { runChecks } from './health/checks.ts'
import { examine } from './health/examination.ts'
import { recall } from './health/memory.ts'
import type { Outcome } from './job/ending.ts'
import { messageOf, UserError } from './job/errors.ts'
import { exitStatus } from './job/exit_status.ts'
import { job, type Run } from './job/job.ts'
import { minute } from './job/time.ts'
import { markdownSheet } from './operator/markdown.ts'
import { terminalSheet } from './operator/terminal.ts'

const flags = {
  validate: { help: 'say whether the configuration is valid, which tiers and channels it has' },
  'test-alert': { help: 'send a message that is marked as a test through each configured channel' },
  markdown: { help: 'the sheet as Markdown, without the answers of now' },
} as const

type Wish = 'sheet' | keyof typeof flags

const ways: Record<Wish, (run: Run<Wish>) => Promise<Outcome>> = {
  sheet,
  validate: async run => validate(run),
  'test-alert': ({ config, clock }) => sendTestAlerts(config, clock),
  markdown: async run => markdown(run),
}

await job(
  {
    name: 'cheat_sheet',
    script: import.meta.filename,
    summary: "The operator's cheat sheet: how it is now, and what to do when something is wrong.",
    flags,
    locks: [],
    wishes(given): Wish {
      const wishes = (['validate', 'test-alert', 'markdown'] as const).filter(name => given[name])
      if (wishes.length > 1)
        throw new UserError(`--${wishes.join(' and --')} exclude each other`, { status: exitStatus.usage })
      return wishes[0] ?? 'sheet'
    },
    recorded: () => false,
    deadlineMs: config => config.health.timeout_minutes * minute,
  },
  run => ways[run.wishes](run),
)

function validate({ config, terminal }: Run<Wish>): Outcome {
  // an invalid configuration has ended the run before
  const { lines, configured, faulty } = describeChannels(config)
  const summary = `✅ ${config.file} is valid · ${config.sync.symbols.length} symbols`
  return {
    outcome: faulty.length === 0 ? 'done' : 'partly',
    report: [terminal.colour.green(summary), ...describeTiers(config), ...lines],
    summary,
    figures: { config: config.file, symbols: config.sync.symbols.length, channels: configured, faulty },
  }
}

function markdown({ config }: Run<Wish>): Outcome {
  const text = markdownSheet(config)
  return {
    outcome: 'done',
    report: text.trimEnd().split('\n'),
    summary: 'written',
    figures: { markdown: text },
  }
}

async function sheet(run: Run<Wish>): Promise<Outcome> {
  const checks = await checksOfNow(run)
  const well = checks.filter(({ status }) => status === 'ok').length
  return {
    outcome: 'done',
    report: terminalSheet(run.config, checks, run.terminal.colour),
    summary: `${well}/${checks.length} checks passed`,
    figures: { checks },
  }
}

/** The six checks as a look: quick, without seals, and nothing of it goes into the history. None: they cannot be made. */
async function checksOfNow(run: Run<Wish>) {
  const { config, terminal } = run
  try {
    if (!existsSync(config.paths.state))
      throw new Error(`no job has run here: there is no ${config.paths.state}`)
    return await lookQuickly(run)
  } catch (error) {
    run.signal.throwIfAborted()
    terminal.aside(terminal.asideColour.yellow(`The checks cannot be made: ${messageOf(error)}`))
    return []
  }
}

async function lookQuickly({ id, config, history, clock, signal }: Run<Wish>) {
  const table = intervals[config.sync.interval]
  const now = clock.now()
  const { database, state } = config.paths
  const examination = await examine({
    database,
    state,
    table,
    lastClosed: lastClosedOpenTime(now, table.step),
    quick: true,
    seals: () => [],
    signal,
  })
  const known = recall(history, state, id, now, clock.now())
  const memory = history.lost ? undefined : known
  const sealed = new SealBook(history, () => now).verified().length
  return runChecks({ config, now, table, quick: true, examination, memory, sealed })
}

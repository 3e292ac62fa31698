/**
 * Brings every symbol up to its last closed candle and fills inner gaps.
 *
 *     npx zx scripts/daily_candle_sync.mts
 */
import { alerting } from './alerts/alerting.ts'
import { type Interval, intervals } from './candles/intervals.ts'
import { planSync, type SyncWishes } from './candles/planner.ts'
import { reportPlan, reportSync, usageFigures } from './candles/report.ts'
import { carryOut } from './candles/sync.ts'
import { openTools } from './candles/tools.ts'
import type { Config } from './job/config.ts'
import { UserError } from './job/errors.ts'
import { exitStatus } from './job/exit_status.ts'
import { type FlagValues, integerFlag } from './job/flags.ts'
import { job } from './job/job.ts'
import { nearest } from './job/nearest.ts'
import { minute, parseTime } from './job/time.ts'

const flags = {
  symbols: { value: 'all|A,B', help: 'only these symbols (default: all of the cheat sheet)' },
  interval: { value: '4h', help: `${Object.keys(intervals).join(', ')} (default: sync.interval)` },
  since: { value: 'TIME', help: 'backfill: everything since 2020-01-01, 2026-03-15T01:00Z, 30d …' },
  lookback: { value: 'N', help: 'read the newest N candles again, also where nothing is new' },
  reread: { help: 'with --since: read all of it again, also what is stored' },
  'dry-run': { help: 'print what would be fetched, change nothing' },
} as const

await job(
  {
    name: 'daily_sync',
    script: import.meta.filename,
    summary: 'Brings every symbol up to its last closed candle and fills inner gaps.',
    flags,
    locks: ['candles'],
    wishes: wishesFrom,
    recorded: ({ dryRun }) => !dryRun,
    standsForAll: ({ everything }) => everything,
    deadlineMs: config => config.sync.timeout_minutes * minute,
    heartbeat: config => config.alerts.heartbeat.url_env,
    alerting,
  },
  async ({ id, wishes, config, clock, signal, log, history, terminal, progress, keepFigures }) => {
    const started = performance.now()
    const { interval, everything, dryRun } = wishes
    keepFigures(() => ({ everything }))
    const tools = await openTools({ run: id, config, clock, signal, log, history }, interval, dryRun)
    keepFigures(() => ({ everything, ...usageFigures(tools.exchange.usage) }))
    try {
      const plan = await planSync(tools, wishes)
      if (dryRun) return reportPlan(plan, interval)
      const result = await carryOut(tools, plan, progress(plan.symbols.length, 'symbols', 'rows'))
      return reportSync(result, {
        colour: terminal.colour,
        interval,
        everything,
        minSuccessRatio: config.sync.min_success_ratio,
        elapsedMs: performance.now() - started,
      })
    } finally {
      tools.close()
    }
  },
)

/** `everything`: all that is configured, which is what the daily sync is about. */
type Wishes = SyncWishes & { interval: Interval; everything: boolean; dryRun: boolean }

function wishesFrom(given: FlagValues<typeof flags>, { sync }: Config, now: number): Wishes {
  if (given.reread && given.since === undefined)
    throw usage('--reread needs --since TIME: how far back to read again')
  const symbols = chooseSymbols(given.symbols, sync.symbols)
  const interval = chooseInterval(given.interval ?? sync.interval)
  return {
    symbols,
    interval,
    everything: symbols === sync.symbols && interval === sync.interval,
    since: given.since === undefined ? undefined : parseTime(given.since, now, '--since'),
    rereadLast: integerFlag('lookback', given.lookback, 1, 1_000_000),
    reread: given.reread,
    dryRun: given['dry-run'],
  }
}

function chooseSymbols(given: string | undefined, configured: string[]): string[] {
  if (given === undefined || given === 'all') return configured
  return [...new Set(given.split(','))].map(symbol => {
    if (configured.includes(symbol)) return symbol
    const meant = nearest(symbol, configured)
    throw usage(
      `--symbols: ${JSON.stringify(symbol)} is not in the cheat sheet`,
      meant && `Did you mean ${meant}?`,
    )
  })
}

function chooseInterval(given: string): Interval {
  if (Object.hasOwn(intervals, given)) return given as Interval
  throw usage(`--interval ${JSON.stringify(given)} is not one of ${Object.keys(intervals).join(', ')}`)
}

function usage(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

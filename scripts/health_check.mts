/**
 * Is it well? Six checks of the data, the database, the backups and the jobs, for people and for monitoring.
 *
 *     npx zx scripts/health_check.mts
 */
import { join } from 'node:path'
import { alerting } from './alerts/alerting.ts'
import { intervals, lastClosedOpenTime } from './candles/intervals.ts'
import { CandleRecords } from './candles/records.ts'
import { dueSeals, SealBook } from './candles/seal_rotation.ts'
import { runChecks } from './health/checks.ts'
import { examine } from './health/examination.ts'
import { recall, remember } from './health/memory.ts'
import { healthConditions, nagiosStatus, reportHealth } from './health/report.ts'
import { UserError } from './job/errors.ts'
import { exitStatus } from './job/exit_status.ts'
import { job } from './job/job.ts'
import { hour, minute } from './job/time.ts'
import { afterRecovery } from './recovery/records.ts'
import { isDamagedAgain, startRecovery } from './recovery/self_heal.ts'

const flags = {
  quick: { help: "SQLite's quick_check, and no seals" },
  full: { help: 'compare the seals of all symbols, not only those whose turn it is' },
  notify: { help: 'tell people when something turns bad, or well again' },
} as const

await job(
  {
    name: 'health_check',
    script: import.meta.filename,
    summary: 'Is it well? Six checks; exit status 0 ok, 1 warning, 2 critical, 3 unknown.',
    flags,
    locks: [],
    wishes({ quick, full, notify }) {
      if (quick && full)
        throw new UserError('--quick and --full exclude each other', { status: exitStatus.usage })
      return { quick, full, notify }
    },
    recorded: () => true,
    deadlineMs: config => config.health.timeout_minutes * minute,
    alerting,
    failureStatus: nagiosStatus.unknown,
  },
  async ({ id, wishes, config, clock, signal, log, history, terminal }) => {
    const { quick, full, notify } = wishes
    const { interval } = config.sync
    const table = intervals[interval]
    const now = clock.now()
    const everyMs = config.schedule.health_check_hours * hour
    const book = new SealBook(history, () => clock.now())
    const verified = book.verified()
    const all = verified.map(({ name }) => name)
    const due = new Set(quick ? [] : full ? all : dueSeals(verified, now, everyMs))

    const examination = await examine({
      database: config.paths.database,
      state: config.paths.state,
      table,
      lastClosed: lastClosedOpenTime(now, table.step),
      quick,
      seals: (only = due) => book.seals(only),
      // what takes too long is unknown; the rest is still to be told
      signal: AbortSignal.any([signal, AbortSignal.timeout(config.health.timeout_minutes * minute * 0.9)]),
    })
    signal.throwIfAborted()
    const { candles, seals } = examination
    if ('verified' in seals) book.markVerified(seals.verified)
    if ('symbols' in candles)
      new CandleRecords(history, interval, id, () => clock.now()).rememberStored(candles.symbols, {
        all: true,
      })

    const known = recall(history, config.paths.state, id, now, clock.now())
    const memory = history.lost ? undefined : known
    const results = runChecks({ config, now, table, quick, examination, memory, sealed: all.length })
    remember(history, id, now, results)
    const report = reportHealth(results, { colour: terminal.colour, perfdata: !process.stdout.isTTY })
    const damaged = results.some(({ name, status }) => name === 'database_integrity' && status === 'critical')
    // one that is not there may be on a disk that is not mounted: what is put in its place would be in the way of that
    const automatic = config.recovery.automatic && damaged && examination.file.kind !== 'missing'
    if (automatic && isDamagedAgain(history, { run: id, now, everyMs })) {
      log.warn('the database is damaged, as it was at the last check: its recovery is started')
      startRecovery(join(import.meta.dirname, 'db_recovery.mts'), config.file)
    }
    return {
      ...report,
      conditions: notify ? [...healthConditions(results), afterRecovery(history, now)] : [],
    }
  },
)

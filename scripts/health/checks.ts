import { existsSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CandleFacts } from '../candles/inspect.ts'
import type { CandleTable } from '../candles/intervals.ts'
import type { Trouble } from '../database/worker.ts'
import { type Config, configuredTiers } from '../job/config.ts'
import { messageOf } from '../job/errors.ts'
import { freshLimits } from '../job/fresh_limits.ts'
import { isMounted } from '../job/mount.ts'
import { lastTimeOfDay } from '../job/time.ts'
import { quote } from '../job/words.ts'
import { judgeBackups } from './backup_status.ts'
import { type CheckName, type CheckResult, conclusion } from './check.ts'
import { judgeFreshness } from './data_freshness.ts'
import { judgeIntegrity } from './database_integrity.ts'
import { type DiskFacts, judgeSize } from './database_size.ts'
import type { Examination } from './examination.ts'
import type { Memory } from './memory.ts'
import { judgeActivity } from './recent_activity.ts'
import { judgeCoverage } from './symbol_coverage.ts'

export type CheckContext = {
  config: Config
  now: number
  table: CandleTable
  quick: boolean
  examination: Examination
  /** undefined: the history cannot be read. */
  memory: Memory | undefined
  /** Symbols whose candles are sealed. */
  sealed: number
}

/** The six checks, in the order of the mission. One that throws is unknown, and the others still run. */
export function runChecks(context: CheckContext): CheckResult[] {
  const config = context.config.isDefault ? '' : ` --config ${quote(context.config.file)}`
  return Object.entries(checks).map(([name, check]) => {
    try {
      const result = check(context)
      const advice = result.advice.map(line => (line.startsWith('npx zx ') ? line + config : line))
      return { ...result, advice }
    } catch (error) {
      return unknown(name as CheckName, `the check itself failed: ${messageOf(error)}`)
    }
  })
}

const checks: Record<CheckName, (context: CheckContext) => CheckResult> = {
  data_freshness({ config, now, table, examination, memory }) {
    const candles = readable(examination.candles)
    if (candles === undefined) return unreadable('data_freshness', examination.candles)
    if (memory === undefined) return noHistory('data_freshness')
    const expected = new Set(expectedSymbols(config, memory).expected)
    return judgeFreshness(
      {
        now,
        database: config.paths.database,
        interval: table,
        lastSync: memory.lastSync,
        symbols: candles.symbols.filter(({ symbol }) => expected.has(symbol)),
        misplaced: candles.misplaced,
        unclosed: candles.unclosed,
      },
      ageLimits(config, table.step),
    )
  },
  symbol_coverage({ config, now, table, examination, memory }) {
    const candles = readable(examination.candles)
    if (candles === undefined) return unreadable('symbol_coverage', examination.candles)
    const stored = new Map(candles.symbols.map(entry => [entry.symbol, entry]))
    return judgeCoverage({
      ...expectedSymbols(config, memory),
      step: table.step,
      syncing: memory !== undefined && wasSyncing(memory, now),
      stored,
    })
  },
  database_integrity({ config, quick, examination, memory, sealed }) {
    const { file, hotJournal, heldMs, structure, seals, candles } = examination
    const judged = () => {
      if (memory === undefined) return { unknown: 'the history, which has the seals, cannot be read' }
      if (!('broken' in seals)) return seals
      return { symbols: sealed, verified: seals.verified.size, broken: seals.broken }
    }
    return judgeIntegrity({
      database: config.paths.database,
      file,
      quick,
      interval: config.sync.interval,
      hasCandles: 'symbols' in candles && candles.symbols.length > 0,
      heldMs,
      hotJournal,
      sqlite: structure,
      seals: judged(),
    })
  },
  database_size({ config, now, examination, memory }) {
    const { health, paths } = config
    const { file } = examination
    return judgeSize(
      {
        now,
        database: paths.database,
        size: examination.size,
        disks: disksOf([
          { folder: dirname(paths.database), forCopies: true },
          { folder: paths.state, forCopies: 'journalMode' in file && file.journalMode === 'rollback' },
          { folder: paths.logs, forCopies: false },
          { folder: config.backup.hot.path, forCopies: true },
          ...warmDisk(config),
        ]),
        earlier: memory?.sizes ?? [],
      },
      {
        minMb: health.min_database_mb,
        maxShrinkRatio: health.max_shrink_ratio,
        minFreeRatio: health.min_free_disk_ratio,
      },
    )
  },
  backup_status({ config, now, memory }) {
    if (memory === undefined) return noHistory('backup_status')
    const { health, sla } = config
    return judgeBackups(memory.backups, configuredTiers(config), now, {
      maxAgeHours: health.max_backup_age_hours,
      rpoHours: sla.rpo_hours,
    })
  },
  recent_activity({ config, now, memory }) {
    if (memory === undefined) return noHistory('recent_activity')
    const { newestRuns, endedRuns, holder } = memory
    return judgeActivity(
      { now, newest: newestRuns, ended: endedRuns, holder },
      {
        syncDueAt: lastTimeOfDay(config.schedule.daily_sync, now),
        syncMinutes: config.sync.timeout_minutes,
        maxAgeHours: config.health.max_log_age_hours,
      },
    )
  },
}

function ageLimits(config: Config, step: number) {
  const { syncMs, candleMs } = freshLimits(config.health.max_data_age_hours, config, step)
  return { maxSyncAgeMs: syncMs, maxCandleAgeMs: candleMs, syncMinutes: config.sync.timeout_minutes }
}

/** Whether a sync was under way at `now`, when the check began, or has begun since. */
function wasSyncing({ newestRuns, endedRuns }: Memory, now: number): boolean {
  const going = newestRuns.some(
    ({ job, outcome, alive }) => job === 'daily_sync' && outcome === 'running' && alive,
  )
  return going || endedRuns.some(({ job, finishedAt }) => job === 'daily_sync' && (finishedAt ?? 0) >= now)
}

/** The disk below a warm tier that is not mounted is not its disk. */
function warmDisk({ backup: { warm } }: Config) {
  if (warm.path === null || (warm.mount !== null && !isMounted(warm.mount))) return []
  return [{ folder: warm.path, forCopies: false }]
}

function expectedSymbols({ sync }: Config, memory: Memory | undefined) {
  const untradable = sync.symbols.filter(symbol => memory?.untradable.includes(symbol))
  return { expected: sync.symbols.filter(symbol => !untradable.includes(symbol)), untradable }
}

/** The file systems of some folders, each once. */
function disksOf(folders: { folder: string; forCopies: boolean }[]): DiskFacts[] {
  const disks = new Map<number, DiskFacts>()
  for (const { folder, forCopies } of folders) {
    const path = nearestFolder(folder)
    const { dev } = statSync(path)
    const { bavail, blocks, bsize } = statfsSync(path)
    const known = disks.get(dev)
    if (known === undefined) disks.set(dev, { path, free: bavail * bsize, total: blocks * bsize, forCopies })
    else known.forCopies ||= forCopies
  }
  return [...disks.values()]
}

/** A folder that is not there yet will be on the disk of its parent. */
function nearestFolder(folder: string): string {
  return existsSync(folder) ? folder : nearestFolder(dirname(folder))
}

function readable(candles: CandleFacts | Trouble): CandleFacts | undefined {
  return 'symbols' in candles ? candles : undefined
}

function unreadable(name: CheckName, trouble: CandleFacts | Trouble): CheckResult {
  const why = 'damaged' in trouble ? trouble.damaged : 'unknown' in trouble ? trouble.unknown : ''
  return unknown(name, why)
}

function noHistory(name: CheckName): CheckResult {
  return unknown(name, 'the history cannot be read')
}

function unknown(name: CheckName, line: string): CheckResult {
  return conclusion(name, [{ status: 'unknown', line }], '', {})
}

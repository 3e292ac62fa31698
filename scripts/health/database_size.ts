import { day, formatDuration, formatTime } from '../job/time.ts'
import { formatBytes, quote } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** A file system that something is written to, in bytes. */
export type DiskFacts = {
  path: string
  free: number
  total: number
  /** A copy of the database has to fit there, for a snapshot or a restore. */
  forCopies: boolean
}

/** What an earlier check saw, in bytes. */
export type EarlierSize = { at: number; used: number; diskFree: number }

export type SizeFacts = {
  now: number
  database: string
  /** Bytes of the file, of those pages in use, and of free ones; undefined: it cannot be read. */
  size: { file: number; used: number; free: number } | undefined
  /** That of the database first. */
  disks: DiskFacts[]
  earlier: EarlierSize[]
}

type Limits = { minMb: number; maxShrinkRatio: number; minFreeRatio: number }

const remembered = 7 * day
const fullSoon = 7 * day

/** [4/6] Whether the database has the size that it should have, and room to grow. */
export function judgeSize(facts: SizeFacts, limits: Limits): CheckResult {
  const { size, disks, earlier, now } = facts
  const [disk] = disks
  const daysLeft = disk === undefined ? undefined : daysUntilFull(earlier, { at: now, diskFree: disk.free })
  const findings = [
    ...judgeDatabase(facts, limits),
    ...disks.flatMap(entry => judgeDisk(entry, size?.used ?? 0, limits)),
    ...judgeGrowth(daysLeft, disk),
  ]
  const used = size === undefined ? 'unknown' : `${formatBytes(size.used)} in use`
  const free = disk === undefined ? '' : `, ${percent(disk.free / disk.total)} of the disk free`
  return conclusion('database_size', findings, `${used}${free}`, {
    file_bytes: size?.file ?? null,
    used_bytes: size?.used ?? null,
    free_page_bytes: size?.free ?? null,
    disk_free_bytes: disk?.free ?? null,
    disk_total_bytes: disk?.total ?? null,
    days_until_full: daysLeft === undefined ? null : Math.round(daysLeft * 10) / 10,
  })
}

function judgeDatabase(
  { size, earlier, now, database }: SizeFacts,
  { minMb, maxShrinkRatio }: Limits,
): Finding[] {
  if (size === undefined) return [{ status: 'unknown', line: 'the size of the database is not known' }]
  const findings: Finding[] = []
  const advice = `sqlite3 -readonly ${quote(database)} .tables`
  if (size.used < minMb * 1e6) {
    const line = `only ${formatBytes(size.used)} in use, at least ${minMb} MB are expected (health.min_database_mb)`
    findings.push({ status: 'warning', line, advice })
  }
  // pages in use, so that a VACUUM is no loss and rows that were deleted are one
  const recent = earlier.filter(({ at }) => at >= now - remembered && at <= now)
  const largest = recent.reduce<EarlierSize | undefined>(
    (a, b) => (a === undefined || b.used > a.used ? b : a),
    undefined,
  )
  if (largest !== undefined && size.used < largest.used * (1 - maxShrinkRatio)) {
    const lost = percent(1 - size.used / largest.used)
    const line = `${lost} less is stored than on ${formatTime(largest.at)}: ${formatBytes(size.used)} of ${formatBytes(largest.used)}`
    findings.push({ status: 'critical', line, advice })
  }
  return findings
}

function judgeDisk(
  { path, free, total, forCopies }: DiskFacts,
  used: number,
  { minFreeRatio }: Limits,
): Finding[] {
  const advice = `df -h ${quote(path)}`
  const line = `${formatBytes(free)} (${percent(free / total)}) free on the disk of ${path}`
  if (forCopies && free < used)
    return [{ status: 'critical', line: `${line}: no room for a copy of the database`, advice }]
  return free < total * minFreeRatio ? [{ status: 'warning', line, advice }] : []
}

function judgeGrowth(daysLeft: number | undefined, disk: DiskFacts | undefined): Finding[] {
  if (daysLeft === undefined || disk === undefined || daysLeft * day >= fullSoon) return []
  const line = `the disk of ${disk.path} is full in ${formatDuration(daysLeft * day)}, if it goes on as it did`
  return [{ status: 'warning', line, advice: `df -h ${quote(disk.path)}` }]
}

/**
 * Days until the disk is full, by a straight line (least squares) through what earlier checks saw in 14 days;
 * undefined where less than two days are known or the disk does not fill up.
 */
export function daysUntilFull(
  earlier: EarlierSize[],
  current: { at: number; diskFree: number },
): number | undefined {
  const points = [...earlier.filter(({ at }) => at < current.at && at >= current.at - 14 * day), current]
  const first = Math.min(...points.map(({ at }) => at))
  if (current.at - first < 2 * day) return undefined
  const days = points.map(({ at }) => (at - current.at) / day)
  const free = points.map(({ diskFree }) => diskFree)
  const [meanDay, meanFree] = [mean(days), mean(free)]
  const covariance = mean(days.map((value, i) => (value - meanDay) * ((free[i] as number) - meanFree)))
  const slope = covariance / mean(days.map(value => (value - meanDay) ** 2))
  return slope < 0 ? current.diskFree / -slope : undefined
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

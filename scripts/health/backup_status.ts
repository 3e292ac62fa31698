import { formatDuration, hour } from '../job/time.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** The newest proven backup of a tier. Times in milliseconds. */
export type BackupFacts = {
  tier: string
  takenAt: number
  /** It holds all that was committed up to then: later than it was taken where nothing changed since. */
  coversUntil: number
  bytes: number
}

/** [5/6] Whether there are proven backups, how old they are, and what would be lost right now. */
export function judgeBackups(
  backups: BackupFacts[],
  now: number,
  { maxAgeHours, rpoHours }: { maxAgeHours: number; rpoHours: number },
): CheckResult {
  const covered = backups.map(({ coversUntil }) => coversUntil)
  const lossMs = backups.length === 0 ? undefined : Math.max(0, now - Math.max(...covered))
  const stale = backups.filter(({ coversUntil }) => now - coversUntil > maxAgeHours * hour)
  const findings: Finding[] = []
  if (lossMs === undefined) {
    findings.push({ status: 'critical', line: 'there is no proven backup' })
  } else if (stale.length === backups.length) {
    findings.push({ status: 'critical', line: `the newest proven backup is ${formatDuration(lossMs)} old` })
  } else {
    for (const { tier, coversUntil } of stale)
      findings.push({
        status: 'warning',
        line: `${tier}: the newest proven backup is ${formatDuration(now - coversUntil)} old`,
      })
    if (lossMs > rpoHours * hour)
      findings.push({
        status: 'warning',
        line: `${formatDuration(lossMs)} would be lost right now (sla.rpo_hours ${rpoHours})`,
      })
  }
  const tiers = backups.map(
    ({ tier, coversUntil }) => `${tier} ${formatDuration(Math.max(0, now - coversUntil))}`,
  )
  return conclusion('backup_status', findings, `proven: ${tiers.join(', ')} old`, {
    rpo_seconds: lossMs === undefined ? null : Math.round(lossMs / 1000),
    tiers: backups.map(({ tier, takenAt, coversUntil, bytes }) => ({
      tier,
      taken_at: new Date(takenAt).toISOString(),
      covers_until: new Date(coversUntil).toISOString(),
      bytes,
    })),
  })
}

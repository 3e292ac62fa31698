import { formatDuration, hour } from '../job/time.ts'
import { command } from '../job/words.ts'
import { type CheckResult, conclusion, type Finding } from './check.ts'

/** The newest proven backup of a tier. Times in milliseconds. */
export type BackupFacts = {
  tier: string
  takenAt: number
  /** It holds all that was committed up to then: later than it was taken where nothing changed since. */
  coversUntil: number
  bytes: number
}

type Limits = { maxAgeHours: number; rpoHours: number }

/**
 * [5/6] Whether each tier that is expected has a proven backup, how old they are, and what would be lost right now.
 * What is left of a tier that is no longer expected counts for nothing.
 */
export function judgeBackups(
  all: BackupFacts[],
  expected: readonly string[],
  now: number,
  { maxAgeHours, rpoHours }: Limits,
): CheckResult {
  const backups = expected.flatMap(name => all.filter(({ tier }) => tier === name))
  const covered = backups.map(({ coversUntil }) => coversUntil)
  const lossMs = backups.length === 0 ? undefined : Math.max(0, now - Math.max(...covered))
  const stale = backups.filter(({ coversUntil }) => now - coversUntil > maxAgeHours * hour)
  const lacking = expected.filter(name => !backups.some(({ tier }) => tier === name))
  const ageOf = ({ coversUntil }: BackupFacts) => formatDuration(Math.max(0, now - coversUntil))
  const findings: Finding[] = []
  if (lossMs === undefined) {
    findings.push({ status: 'critical', line: 'there is no proven backup', advice: command('backup') })
  } else if (stale.length === backups.length) {
    const line = `the newest proven backup is ${formatDuration(lossMs)} old`
    findings.push({ status: 'critical', line, advice: command('backup') })
  } else {
    for (const tier of lacking) {
      const advice = command('backup', '--tiers', tier)
      findings.push({ status: 'warning', line: `${tier}: there is no proven backup`, advice })
    }
    for (const backup of stale) {
      const line = `${backup.tier}: the newest proven backup is ${ageOf(backup)} old`
      findings.push({ status: 'warning', line, advice: command('backup', '--tiers', backup.tier) })
    }
    if (lossMs > rpoHours * hour) {
      const line = `${formatDuration(lossMs)} would be lost right now (sla.rpo_hours ${rpoHours})`
      findings.push({ status: 'warning', line, advice: command('backup', '--tiers', 'hot') })
    }
  }
  const tiers = backups.map(backup => `${backup.tier} ${ageOf(backup)}`)
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

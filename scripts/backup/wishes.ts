import type { Config } from '../job/config.ts'
import { configuredTiers, type TierName, tierNames } from '../job/config.ts'
import { UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import type { FlagValues } from '../job/flags.ts'
import { nearest } from '../job/nearest.ts'
import { timeOf } from './manifest.ts'

export const backupFlags = {
  tiers: { value: 'hot,warm,cold', help: 'only these tiers (default: all of the cheat sheet)' },
  'if-changed': { help: 'take none where nothing has been committed since the last one' },
  'catch-up': { help: 'also to the tiers that have missed their daily backup' },
  list: { help: 'what is there: tier, name, age, size, when it was proven' },
  verify: { value: '[ID]', help: 'read all backups, or one, in full and prove them again' },
  'dry-run': { help: 'say what would be taken, and what would be removed and why; change nothing' },
  'self-test': { help: 'try out what the S3 service can do, with small objects that are removed again' },
  policy: { help: 'print the IAM policy that the cold tier needs, and no more than that' },
  lifecycle: { help: 'print the lifecycle rules that its bucket should have' },
} as const

const otherTasks = ['list', 'verify', 'dry-run', 'self-test', 'policy', 'lifecycle'] as const

/** What a run is for. */
export type Task = 'backup' | (typeof otherTasks)[number]

export type BackupWishes = {
  task: Task
  tiers: TierName[]
  /** Whether those are all that the cheat sheet has. */
  everything: boolean
  ifChanged: boolean
  catchUp: boolean
  /** The one backup to verify. */
  id: string | undefined
}

export function wishesFrom(given: FlagValues<typeof backupFlags>, config: Config): BackupWishes {
  const tasks = otherTasks.filter(task => given[task] !== undefined && given[task] !== false)
  if (tasks.length > 1) throw usage(`${tasks.map(task => `--${task}`).join(' and ')} exclude each other`)
  const task = tasks[0] ?? 'backup'
  const configured = configuredTiers(config)
  if (['self-test', 'policy', 'lifecycle'].includes(task) && !configured.includes('cold'))
    throw usage(
      `--${task} is about the cold tier, and there is none`,
      'Set backup.cold.bucket in the configuration.',
    )
  const tiers = chooseTiers(given.tiers, configured)
  const id = (given.verify || undefined)?.replace(/\.(db|manifest).*/s, '')
  if (id !== undefined && timeOf(id) === undefined)
    throw usage(
      `--verify ${JSON.stringify(given.verify)} is not the name of a backup`,
      '--list shows their names.',
    )
  return {
    task,
    tiers,
    everything: tiers.length === configured.length,
    ifChanged: given['if-changed'],
    catchUp: given['catch-up'],
    id,
  }
}

/** A backup to some tiers says nothing of one to all of them, and proving them is another thing. */
export function subjectOf({ task, tiers, everything }: BackupWishes): string | undefined {
  if (task === 'verify') return 'backup --verify'
  return everything ? undefined : `backup --tiers ${tiers.join(',')}`
}

/** The tiers that a flag names, in the order of the cheat sheet; all that it has where the flag is not given. */
export function chooseTiers(
  given: string | undefined,
  configured: TierName[],
  flag: `--${string}` = '--tiers',
): TierName[] {
  if (given === undefined) return configured
  const names = new Set(given.split(','))
  for (const name of names) {
    if ((configured as string[]).includes(name)) continue
    if ((tierNames as readonly string[]).includes(name)) {
      const key = name === 'warm' ? 'backup.warm.path' : 'backup.cold.bucket'
      throw usage(`${flag}: the cheat sheet has no ${name} tier`, `Set ${key} in the configuration.`)
    }
    const meant = nearest(name, configured)
    throw usage(
      `${flag}: ${JSON.stringify(name)} is no tier`,
      meant === undefined ? `There are: ${configured.join(', ')}.` : `Did you mean ${meant}?`,
    )
  }
  return configured.filter(name => names.has(name))
}

function usage(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

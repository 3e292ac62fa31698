import { timeOf } from '../backup/manifest.ts'
import type { Config } from '../job/config.ts'
import { configuredTiers, type TierName, tierNames } from '../job/config.ts'
import { UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import type { FlagValues } from '../job/flags.ts'
import { parseTime } from '../job/time.ts'
import { command } from '../job/words.ts'
import type { Choice } from './choose.ts'

export const recoveryFlags = {
  check: { help: 'only say whether the database is sound: exit status 0, or 1 where it is damaged' },
  'dry-run': { help: 'say what would be done: with which backup, and who is in the way; change nothing' },
  yes: { help: 'do it without asking' },
  from: { value: 'ID|TIER', help: 'from this backup, or from this tier: hot, warm, cold' },
  at: { value: 'TIME', help: 'as it was then: the newest backup of before, and nothing of after' },
  force: { help: 'also where the database is sound, or other processes have it open' },
} as const

export type RecoveryTask = 'check' | 'dry-run' | 'recover'

export type Wishes = { task: RecoveryTask; choice: Choice; force: boolean; yes: boolean }

export function wishesFrom(given: FlagValues<typeof recoveryFlags>, config: Config, now: number): Wishes {
  if (given.check && given['dry-run']) throw usage('--check and --dry-run exclude each other')
  if (given.from !== undefined && given.at !== undefined) throw usage('--from and --at exclude each other')
  return {
    task: given.check ? 'check' : given['dry-run'] ? 'dry-run' : 'recover',
    choice: {
      ...chooseFrom(given.from, config),
      at: given.at === undefined ? undefined : parseTime(given.at, now, '--at'),
    },
    force: given.force,
    yes: given.yes,
  }
}

function chooseFrom(given: string | undefined, config: Config): Pick<Choice, 'id' | 'tier'> {
  if (given === undefined) return {}
  if ((tierNames as readonly string[]).includes(given)) {
    if (!configuredTiers(config).includes(given as TierName))
      throw usage(`--from: the cheat sheet has no ${given} tier`)
    return { tier: given as TierName }
  }
  const id = given.replace(/\.(db|manifest).*/s, '')
  if (timeOf(id) === undefined)
    throw usage(
      `--from ${JSON.stringify(given)} is neither a tier nor the name of a backup`,
      `${command('backup', '--list')} shows their names.`,
    )
  return { id }
}

function usage(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

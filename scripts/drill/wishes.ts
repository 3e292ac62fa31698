import { chooseTiers } from '../backup/wishes.ts'
import { type Config, configuredTiers, type TierName } from '../job/config.ts'
import type { FlagValues } from '../job/flags.ts'

export const drillFlags = {
  tier: { value: 'hot,warm,cold', help: 'only these tiers (default: all of the cheat sheet)' },
  all: { help: 'every backup that there is, not only the newest of each tier' },
} as const

export type DrillWishes = {
  tiers: TierName[]
  /** Whether those are all that the cheat sheet has. */
  everything: boolean
  all: boolean
}

export function wishesFrom({ tier, all }: FlagValues<typeof drillFlags>, config: Config): DrillWishes {
  const configured = configuredTiers(config)
  const tiers = chooseTiers(tier, configured, '--tier')
  return { tiers, everything: tiers.length === configured.length, all }
}

/** A drill of some tiers says nothing of one of all of them. */
export function subjectOf({ tiers, everything }: DrillWishes): string | undefined {
  return everything ? undefined : `restore_drill --tier ${tiers.join(',')}`
}

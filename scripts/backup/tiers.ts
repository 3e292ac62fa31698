import type { Config, TierName } from '../job/config.ts'
import { openColdTier } from './cold_tier.ts'
import { type FolderTier, openFolderTier } from './folder_tier.ts'
import type { Tier } from './tier.ts'

/** The tiers that the cheat sheet has, fastest first. */
export type Tiers = {
  hot: FolderTier
  all: Tier[]
  of: (names: readonly TierName[]) => Tier[]
  close: () => void
}

/** `scratch`: a folder for what is on its way to a tier; it need not be there yet. */
export function openTiers(config: Config, scratch: string): Tiers {
  const { hot, warm, cold } = config.backup
  const hotTier = openFolderTier({
    name: 'hot',
    folder: hot.path,
    policy: { days: hot.retention_days, hours: hot.hourly_keep },
    compressed: false,
  })
  const all: Tier[] = [hotTier]
  if (warm.path !== null) {
    const policy = { days: warm.retention_days, hours: 0 }
    all.push(openFolderTier({ name: 'warm', folder: warm.path, policy, compressed: true, mount: warm.mount }))
  }
  if (cold.bucket !== null) all.push(openColdTier(config, scratch))
  return {
    hot: hotTier,
    all,
    of: names => all.filter(({ name }) => names.includes(name)),
    close: () => all.forEach(tier => tier.close()),
  }
}

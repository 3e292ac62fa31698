import type { ChalkInstance } from 'chalk'
import { configuredTiers } from '../job/config.ts'
import type { Outcome } from '../job/ending.ts'
import type { Run } from '../job/job.ts'
import { readSecret } from '../job/secret.ts'
import { isOverdue } from './catch_up.ts'
import { look } from './look.ts'
import { reportBackup, reportDamaged, reportNoTier } from './report.ts'
import { reportDocument, reportList, reportPlan, reportSelfTest } from './report_look.ts'
import { reportVerified } from './report_verified.ts'
import { type BackupTools, backUp, NoUsableTier } from './run.ts'
import { accessPolicy, lifecycleRules } from './s3_policy.ts'
import { DamagedSource } from './snapshot.ts'
import { verifyTiers } from './verify.ts'
import type { BackupWishes, Task } from './wishes.ts'

/** What a task is given. */
export type TaskTools = BackupTools & Pick<Run<BackupWishes>, 'config' | 'wishes'> & { colour: ChalkInstance }

/** What `backup.mts` can do. */
export const tasks: Record<Task, (tools: TaskTools) => Promise<Outcome> | Outcome> = {
  async backup(tools) {
    const { wishes, config, records, colour } = tools
    const chosen = new Set(wishes.tiers)
    if (wishes.catchUp)
      for (const tier of configuredTiers(config))
        if (isOverdue(records.newestOf(tier), config.schedule.backup, tools.now())) chosen.add(tier)
    const started = performance.now()
    try {
      const result = await backUp(tools, { tiers: [...chosen], ifChanged: wishes.ifChanged })
      return reportBackup(result, { colour, elapsedMs: performance.now() - started })
    } catch (error) {
      if (error instanceof DamagedSource)
        return reportDamaged(error.message, { newest: records.newest(), config })
      if (error instanceof NoUsableTier) return reportNoTier(error)
      throw error
    }
  },

  async verify(tools) {
    const { wishes, config, tiers, colour } = tools
    const identity = readSecret(config.backup.cold.age_identity_env).secret?.reveal()
    const started = performance.now()
    const { verified, troubles } = await verifyTiers(tiers.of(wishes.tiers), wishes.id, {
      ...tools,
      identity,
    })
    return reportVerified(verified, troubles, {
      colour,
      elapsedMs: performance.now() - started,
      whole: wishes.id === undefined ? wishes.tiers : [],
    })
  },

  async list({ tiers, wishes, records, now, context, colour }) {
    return reportList(await look(tiers.of(wishes.tiers), records, now(), context), now(), colour)
  },

  async 'dry-run'({ tiers, wishes, records, now, context, colour }) {
    return reportPlan(await look(tiers.of(wishes.tiers), records, now(), context), colour)
  },

  async 'self-test'({ config, context, colour }) {
    const { selfTest } = await import('./s3_self_test.ts')
    return reportSelfTest(await selfTest(config, context), colour)
  },

  policy: ({ config }) => reportDocument('policy', accessPolicy(coldOf(config))),

  lifecycle: ({ config }) => reportDocument('lifecycle', lifecycleRules(coldOf(config))),
}

/** The wishes have seen to it that there is a bucket. */
function coldOf({ backup }: TaskTools['config']) {
  return { ...backup.cold, bucket: backup.cold.bucket ?? '' }
}

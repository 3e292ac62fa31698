/**
 * Does a backup come back? Restores one of each tier into a scratch folder, proves it, and says what would have been lost.
 *
 *     npx zx scripts/restore_drill.mts
 */
import { join } from 'node:path'
import { alerting } from './alerts/alerting.ts'
import { BackupRecords } from './backup/records.ts'
import { lazySnapshotter } from './backup/snapshot.ts'
import { openTiers } from './backup/tiers.ts'
import { inScratchFolder } from './database/scratch.ts'
import { drillTiers } from './drill/drill.ts'
import { type Live, lookOnce } from './drill/live.ts'
import { DrillRecords } from './drill/records.ts'
import { reportDrills } from './drill/report.ts'
import { drillFlags, subjectOf, wishesFrom } from './drill/wishes.ts'
import { compileCacheOf } from './job/compile_cache.ts'
import { job } from './job/job.ts'
import { readSecret } from './job/secret.ts'
import { minute } from './job/time.ts'

await job(
  {
    name: 'restore_drill',
    script: import.meta.filename,
    summary: 'Restores a backup of each tier elsewhere, proves it, and says what a recovery would have lost.',
    flags: drillFlags,
    locks: [],
    wishes: wishesFrom,
    recorded: () => true,
    standsForAll: ({ everything }) => everything,
    subject: subjectOf,
    deadlineMs: config => config.backup.timeout_minutes * minute,
    alerting,
  },
  ({ id, wishes, config, clock, signal, log, history, terminal, bytes }) => {
    const { database, state } = config.paths
    const name = config.backup.cold.age_identity_env
    const now = () => clock.now()
    return inScratchFolder(join(state, 'scratch'), async scratch => {
      const tiers = openTiers(config, scratch)
      const snapshotter = lazySnapshotter(signal, compileCacheOf(state))
      const tools = { snapshotter, scratch, now, log, context: { signal, progress: bytes } }
      const look = lookOnce({ ...tools, database })
      let live: Live | undefined
      const started = performance.now()
      try {
        const drills = await drillTiers(tiers.of(wishes.tiers), wishes.all, {
          ...tools,
          records: new BackupRecords(history, now),
          drills: new DrillRecords(history, id),
          key: { name, ...readSecret(name) },
          live: async () => (live = await look()),
        })
        const elapsedMs = performance.now() - started
        return reportDrills(wishes.tiers, drills, { colour: terminal.colour, elapsedMs, live })
      } finally {
        terminal.draw?.('')
        await snapshotter.end()
        tiers.close()
      }
    })
  },
)

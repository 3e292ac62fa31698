/**
 * Takes a consistent copy of the database while others write to it, proves it, and keeps it on three tiers.
 *
 *     npx zx scripts/backup.mts
 */
import { join } from 'node:path'
import { alerting } from './alerts/alerting.ts'
import { BackupRecords } from './backup/records.ts'
import { lazySnapshotter } from './backup/snapshot.ts'
import { tasks } from './backup/tasks.ts'
import { openTiers } from './backup/tiers.ts'
import { backupFlags, subjectOf, wishesFrom } from './backup/wishes.ts'
import { inScratchFolder } from './database/scratch.ts'
import { compileCacheOf } from './job/compile_cache.ts'
import { job } from './job/job.ts'
import { giveWay } from './job/process.ts'
import { minute } from './job/time.ts'

await job(
  {
    name: 'backup',
    script: import.meta.filename,
    summary: 'Takes a proven copy of the database and keeps it on three tiers: hot, warm, cold.',
    flags: backupFlags,
    locks: ['backup'],
    wishes: wishesFrom,
    recorded: ({ task }) => task === 'backup' || task === 'verify',
    standsForAll: ({ task }) => task === 'backup',
    subject: subjectOf,
    deadlineMs: config => config.backup.timeout_minutes * minute,
    heartbeat: config => config.alerts.heartbeat.backup_url_env,
    alerting,
  },
  ({ wishes, config, clock, signal, log, history, terminal, bytes, keepFigures }) => {
    const { database, state } = config.paths
    const now = () => clock.now()
    keepFigures(() => ({ task: wishes.task }))
    return inScratchFolder(join(state, 'scratch'), async scratch => {
      const tiers = openTiers(config, scratch)
      const snapshotter = lazySnapshotter(signal, compileCacheOf(state))
      try {
        return await tasks[wishes.task]({
          wishes,
          config,
          database,
          tiers,
          records: new BackupRecords(history, now),
          snapshotter,
          scratch,
          now,
          log,
          giveWay,
          context: { signal, progress: bytes },
          colour: terminal.colour,
        })
      } finally {
        terminal.draw?.('')
        await snapshotter.end()
        tiers.close()
      }
    })
  },
)

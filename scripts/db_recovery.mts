/**
 * Brings a damaged database back: finds out what it suffers from, keeps the evidence, restores the newest good backup,
 * brings over what can still be read, fetches the candles that lack, and says what was lost.
 *
 *     npx zx scripts/db_recovery.mts
 */
import { join } from 'node:path'
import { alerting } from './alerts/alerting.ts'
import { BackupRecords } from './backup/records.ts'
import { backUp } from './backup/run.ts'
import { lazySnapshotter } from './backup/snapshot.ts'
import { openTiers } from './backup/tiers.ts'
import { resync } from './candles/resync.ts'
import { SealBook } from './candles/seal_rotation.ts'
import { realPathOf } from './database/real_path.ts'
import { inScratchFolder } from './database/scratch.ts'
import { compileCacheOf } from './job/compile_cache.ts'
import { configuredTiers } from './job/config.ts'
import { job } from './job/job.ts'
import { giveWay } from './job/process.ts'
import { readSecret } from './job/secret.ts'
import { hour, minute } from './job/time.ts'
import { askHealth } from './recovery/ask_health.ts'
import { RecoveryRecords } from './recovery/records.ts'
import { tasks } from './recovery/tasks.ts'
import { lazyMender } from './recovery/tools.ts'
import { recoveryFlags, wishesFrom } from './recovery/wishes.ts'

await job(
  {
    name: 'recovery',
    script: import.meta.filename,
    summary: 'Brings a damaged database back, with as little lost as can be, and says what was lost.',
    flags: recoveryFlags,
    locks: ['candles', 'backup'],
    wishes: wishesFrom,
    recorded: ({ task }) => task === 'recover',
    deadlineMs({ recovery, sync, backup }) {
      const minutes = recovery.max_restore_minutes + sync.timeout_minutes + backup.timeout_minutes
      const archived = ['GLACIER', 'DEEP_ARCHIVE'].includes(backup.cold.storage_class)
      return minutes * minute + (archived ? recovery.archive_wait_hours * hour : 0)
    },
    alerting,
  },
  ({ id, wishes, config, clock, signal, log, history, terminal, bytes, progress, keepFigures }) => {
    const { state } = config.paths
    const now = () => clock.now()
    const cache = compileCacheOf(state)
    keepFigures(() => ({ task: wishes.task }))
    return inScratchFolder(join(state, 'scratch'), async scratch => {
      const database = realPathOf(config.paths.database)
      const tiers = openTiers(config, scratch)
      const mender = lazyMender(join(import.meta.dirname, 'recovery/mender.mts'), signal, cache)
      const snapshotter = lazySnapshotter(signal, cache)
      const records = new BackupRecords(history, now)
      const book = new SealBook(history, now)
      const context = { signal, progress: bytes }
      try {
        return await tasks[wishes.task]({
          wishes,
          config,
          database,
          tiers,
          records,
          recovered: new RecoveryRecords(history, id),
          mender,
          seals: () => book.seals(new Set(book.verified().map(({ name }) => name))),
          scratch,
          now,
          startedAt: now(),
          wait: ms => clock.sleep(ms, signal),
          log,
          say: line => terminal.aside(line),
          identity: readSecret(config.backup.cold.age_identity_env).secret?.reveal(),
          context,
          colour: terminal.colour,
          backUp: () =>
            backUp(
              { database, tiers, records, snapshotter, scratch, now, log, giveWay, context },
              { tiers: configuredTiers(config), ifChanged: false },
            ),
          resync: broken =>
            resync(
              { run: id, config, clock, signal, log, history },
              {
                lookback: config.recovery.resync_lookback,
                broken,
                progress: symbols => progress(symbols, 'symbols', 'rows'),
              },
            ),
          health: () => askHealth(join(import.meta.dirname, 'health_check.mts'), config.file, now(), signal),
        })
      } finally {
        terminal.draw?.('')
        await Promise.all([snapshotter.end(), mender.end()])
        tiers.close()
      }
    })
  },
)

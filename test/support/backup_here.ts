import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { look } from '../../scripts/backup/look.ts'
import { BackupRecords } from '../../scripts/backup/records.ts'
import { type BackupResult, backUp } from '../../scripts/backup/run.ts'
import { lazySnapshotter } from '../../scripts/backup/snapshot.ts'
import type { Context } from '../../scripts/backup/tier.ts'
import { openTiers } from '../../scripts/backup/tiers.ts'
import { type Verification, verifyTiers } from '../../scripts/backup/verify.ts'
import { configuredTiers, loadConfig, type TierName } from '../../scripts/job/config.ts'
import { History } from '../../scripts/job/history.ts'
import { execute } from './agent_database.ts'
import { keptLog } from './kept_log.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './workspace.ts'

/** Backups in the test's own process: what a command would do, without the start of one. */
export type BackupsHere = {
  workspace: Workspace
  hot: string
  warm: string
  history: History
  records: BackupRecords
  /** Sets the clock. */
  at: (time: number | string) => void
  /** A backup to all tiers, or to those that are named. */
  backUp: (tiers?: TierName[], options?: { ifChanged?: boolean }) => Promise<BackupResult>
  verify: (id?: string, tiers?: TierName[]) => Promise<Verification>
  /** Verdicts of the retention, as `--dry-run` has them. */
  plan: () => ReturnType<typeof look>
  /** Rows of the history. */
  rows: (sql: string) => unknown[]
}

const nobody = 'http://127.0.0.1:9'
const signal = new AbortController().signal
const context: Context = { signal, progress: () => () => undefined }

/** One process that takes and proves copies, for all tests of a file. */
const snapshotter = lazySnapshotter(signal, join(temporaryFolder(t), 'compile_cache'))
t.teardown(() => snapshotter.end())

/** A workspace with a hot and a warm tier; its database is not made. */
export function backupWorkspace(test: Test, now?: string, folder?: string): Workspace {
  const workspace = makeWorkspace(test, { url: nobody, symbols: ['BTCUSDT'], now, folder })
  workspace.configure(sheet => (sheet.backup = { warm: { path: 'warm', mount: null } }))
  return workspace
}

/** A folder in memory, where there is such a place: what is written thousands of times need not reach a disk. */
function quickFolder(test: Test): string {
  if (!existsSync('/dev/shm')) return temporaryFolder(test)
  const folder = mkdtempSync('/dev/shm/candlekeep-')
  test.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** `change`: of the configuration. */
export function backupsHere(
  test: Test,
  change: Parameters<Workspace['configure']>[0] = () => undefined,
  workspace = backupWorkspace(test, undefined, quickFolder(test)),
): BackupsHere {
  workspace.configure(change)
  const config = loadConfig(workspace.file)
  let time: number | undefined
  const now = () => time ?? Date.now()
  const { log } = keptLog()
  const history = History.open(config.paths.state, log, { now, sleep: () => Promise.resolve() })
  const scratch = join(config.paths.state, 'scratch', 'test')
  const tiers = openTiers(config, scratch)
  test.teardown(() => {
    history.close()
    tiers.close()
  })
  const records = new BackupRecords(history, now)
  const giveWay = () => undefined
  const tools = {
    database: config.paths.database,
    tiers,
    records,
    snapshotter,
    scratch,
    now,
    log,
    giveWay,
    context,
  }
  const all = configuredTiers(config)
  return {
    workspace,
    hot: config.backup.hot.path,
    warm: config.backup.warm.path ?? '',
    history,
    records,
    at: given => void (time = typeof given === 'string' ? Date.parse(given) : given),
    backUp: (names = all, { ifChanged = false } = {}) => backUp(tools, { tiers: names, ifChanged }),
    verify: (id, names = all) => verifyTiers(tiers.of(names), id, { ...tools, identity: undefined }),
    plan: () => look(tiers.all, records, now(), context),
    rows: sql => history.transact(database => database.prepare(sql).all()),
  }
}

/** A small database in which every page matters. `journalMode`: of the agent's. */
export function smallDatabase(file: string, journalMode: 'wal' | 'delete' = 'delete', rows = 300): void {
  execute(
    file,
    `PRAGMA page_size = 1024; PRAGMA journal_mode = ${journalMode};
     CREATE TABLE trade_log (id INTEGER PRIMARY KEY, side TEXT, price REAL, note TEXT);
     CREATE INDEX trades_by_price ON trade_log (price);
     CREATE TABLE ohlcv_h4 (timestamp INTEGER, symbol TEXT, close REAL, PRIMARY KEY (timestamp, symbol));
     INSERT INTO trade_log (side, price, note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
       SELECT 'buy', 60000 + i, 'trade number ' || i FROM n;
     INSERT INTO ohlcv_h4 WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
       SELECT 1714521600000 + i * 14400000, 'BTCUSDT', 60000.5 + i FROM n`,
  )
}

/** Names of the backups in a folder that have a manifest, oldest first. */
export function backupsIn(folder: string): string[] {
  return readdirSync(folder)
    .flatMap(
      name =>
        /^(agent_backup_\d{4}-\d\d-\d\d_(?:[01]\d|2[0-3])-\d\d-\d\d)\.manifest\.json$/.exec(name)?.[1] ?? [],
    )
    .toSorted()
}

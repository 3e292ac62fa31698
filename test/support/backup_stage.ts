import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { execute } from './agent_database.ts'
import { backupsIn, faultsOf, filesIn, temporaryIn } from './tier_folder.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './workspace.ts'

/** Made-up times of runs: the two backups that are there, the run that something happens to, and the one after. */
export const times = {
  oldest: '2024-05-01T00:10:00Z',
  older: '2024-05-02T01:10:00Z',
  struck: '2024-05-02T01:40:00Z',
  between: '2024-05-02T01:50:00Z',
  after: '2024-05-02T02:40:00Z',
}

export type Stage = {
  workspace: Workspace
  hot: string
  warm: string
  /** The backup that no run may touch, and the one that may go where a newer one of its hour or day is there. */
  kept: string
  prunable: string
  /** What is wrong with the tiers now: older backups changed or gone without need, files that are not whole. */
  faults(): string[]
  /** What a run that was killed leaves: temporary names in the tiers, folders of its own in the scratch folder. */
  leftovers(): string[]
  /** What a run leaves that met an error: no more than a manifest whose database has got its name already. */
  remains(): string[]
}

const nobody = 'http://127.0.0.1:9'
/** As cron has it: a start takes half the time. */
const compiled = temporaryFolder(t)

/**
 * Makes workspaces with a small database (large pages, few writes) and two backups on the hot and the warm tier.
 * Those are taken once; each workspace is a copy.
 */
export async function backupStages(journalMode: 'wal' | 'delete'): Promise<(test: Test) => Stage> {
  const original = configured(t, temporaryFolder(t))
  execute(
    original.database,
    `PRAGMA page_size = 65536; PRAGMA journal_mode = ${journalMode};
     CREATE TABLE trade_log (id INTEGER PRIMARY KEY, note TEXT); CREATE TABLE positions (symbol TEXT, amount REAL);
     INSERT INTO positions VALUES ('BTCUSDT', 0.5), ('ETHUSDT', -3);
     INSERT INTO trade_log (note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
       SELECT 'a trade that exists nowhere else: ' || hex(randomblob(16)) FROM n`,
  )
  for (const at of [times.oldest, times.older]) {
    const ended = await original.run('backup', [], { env: { CANDLEKEEP_NOW: at } })
    if (ended.status !== 0) throw new Error(`the backup failed: ${ended.stdout}${ended.stderr}`)
  }
  return test => {
    const folder = temporaryFolder(test)
    cpSync(original.folder, folder, { recursive: true })
    return stageOf(configured(test, folder))
  }
}

function configured(test: Test, folder: string): Workspace {
  const workspace = makeWorkspace(test, { url: nobody, symbols: ['BTCUSDT'], folder, now: times.struck })
  workspace.configure(sheet => {
    sheet.backup = { warm: { path: 'warm', mount: null } }
  })
  workspace.env['NODE_COMPILE_CACHE'] = compiled
  return workspace
}

function stageOf(workspace: Workspace): Stage {
  const [hot, warm] = [join(workspace.folder, 'backups/hot'), join(workspace.folder, 'warm')]
  const [kept = '', prunable = ''] = backupsIn(hot)
  const before = [hot, warm].map(folder => [folder, filesIn(folder)] as const)
  return {
    workspace,
    hot,
    warm,
    kept,
    prunable,
    faults: () =>
      before.flatMap(([folder, files]) => [...faultsOf(folder), ...changed(folder, files, prunable)]),
    leftovers: () => [...temporaryIn(hot), ...temporaryIn(warm), ...scratchIn(workspace)],
    remains: () => [
      ...[hot, warm].flatMap(folder => temporaryIn(folder).filter(name => !isLastStep(folder, name))),
      ...scratchIn(workspace),
    ],
  }
}

function changed(folder: string, before: Map<string, string>, prunable: string): string[] {
  const now = filesIn(folder)
  // it may go only where what takes its place is there
  const newer = backupsIn(folder).some(id => id > prunable)
  return [...before].flatMap(([name, sum]) => {
    const found = now.get(name)
    if (found === sum) return []
    if (found !== undefined) return [`${name} in ${folder} has changed`]
    return newer && name.startsWith(prunable) ? [] : [`${name} in ${folder} is gone`]
  })
}

function isLastStep(folder: string, name: string): boolean {
  const [, id = ''] = /^\.(.*)\.manifest\.json\.tmp$/.exec(name) ?? []
  return id !== '' && ['.db', '.db.zst'].some(suffix => existsSync(join(folder, id + suffix)))
}

function scratchIn({ state }: Workspace): string[] {
  try {
    return readdirSync(join(state, 'scratch'))
  } catch {
    return []
  }
}

/** Takes a stage away before its test ends: hundreds of them would fill the disk. */
export function strike({ workspace }: Stage): void {
  rmSync(workspace.folder, { recursive: true, force: true })
}

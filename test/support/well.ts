import { cpSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { agentTables, execute } from './agent_database.ts'
import { ReplayClock } from './exchange/clock.ts'
import { generatedSource } from './exchange/generated.ts'
import { startReplay } from './exchange/replay.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './workspace.ts'

export const now = Date.parse('2024-05-05T01:10:00Z')
export const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'ADAUSDT', 'DOTUSDT']

/** What the history has of a workspace: statements on `ops.db`. */
export function inHistory(workspace: Workspace, sql: string): void {
  execute(join(workspace.state, 'ops.db'), sql)
}

/** A proven backup of each tier, an hour old, as a backup leaves them in the history. */
export const provenBackups = `
  INSERT INTO backups (id, tier, taken_at, covers_until, proven_at, bytes)
    SELECT 'B1', value, ${now - 3_600_000}, ${now - 3_600_000}, ${now - 3_500_000}, 1000000
    FROM json_each('["hot", "warm", "cold"]')`

/**
 * Makes workspaces in which everything is well: the agent's tables, a real sync at 01:00, and proven backups in the
 * history. The sync runs once; each workspace is a copy. `journalMode`: of the agent's database.
 */
export async function wellWorkspaces(
  options: { journalMode?: 'wal' | 'delete'; historyDays?: number } = {},
): Promise<(test: Test) => Workspace> {
  const { journalMode = 'delete', historyDays = 42 } = options
  const clock = new ReplayClock({ at: now, rate: 0 })
  const replay = await startReplay({ source: generatedSource({ symbols }), clock, weightLimit: 1_000_000 })
  t.teardown(() => replay.close())
  const make = (test: Test, folder: string, at: number) => {
    const workspace = makeWorkspace(test, { url: replay.url, symbols: [...symbols], now: at, folder })
    workspace.configure(sheet => {
      Object.assign(sheet.sync, { history_days: historyDays })
      // a small database, on whatever disk there is
      sheet.health = { min_database_mb: 0.01, min_free_disk_ratio: 0 }
    })
    return workspace
  }
  const original = make(t, temporaryFolder(t), now - 10 * 60_000)
  execute(original.database, `PRAGMA journal_mode = ${journalMode}; ${agentTables}`)
  const synced = await original.run('daily_candle_sync')
  if (synced.status !== 0) throw new Error(`the sync failed: ${synced.stdout}${synced.stderr}`)
  const hourly = await original.run('daily_candle_sync', ['--interval', '1h'])
  if (hourly.status !== 0) throw new Error(`the sync failed: ${hourly.stdout}${hourly.stderr}`)
  inHistory(original, provenBackups)
  return test => {
    const folder = temporaryFolder(test)
    cpSync(original.folder, folder, { recursive: true })
    return make(test, folder, now)
  }
}

import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { execute } from './support/agent_database.ts'
import { besideLedger } from './support/beside_ledger.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ledgerCheck, ledgerTables } from './support/ledger.ts'
import { runs } from './support/properties.ts'
import { faultsOf, faultsOfPlain, manifestOf, sqlite3 } from './support/tier_folder.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './support/workspace.ts'

// The agent commits 500 transactions a second to several tables, in each of which it keeps a checksum over all. How
// long it waits is reported here and measured by `npm run bench:backup`.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', zstd: 'zstd' })
const rate = 500

/** Some megabytes beside the ledger, so that a copy takes a while. */
const ballast = `
  CREATE TABLE sentiment (at INTEGER PRIMARY KEY, note TEXT);
  INSERT INTO sentiment WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    SELECT i, hex(randomblob(200)) FROM n;`

for (const mode of ['wal', 'delete']) {
  await t.test(
    `each backup beside an agent that commits ${rate} times a second holds a state that existed (${mode} mode)`,
    { skip },
    async test => {
      const workspace = makeAgent(test, mode)
      const [hot, warm] = [join(workspace.folder, 'backups/hot'), join(workspace.folder, 'warm')]
      const backups = runs(4, 50)
      let [longestMs, over100Ms, written] = [0, 0, 0]
      await besideLedger(workspace.database, rate, async report => {
        for (let i = 0; i < backups; i++) {
          const before = await report()
          const tiers = i % 4 === 1 ? 'hot,warm' : 'hot'
          const ended = await workspace.run('backup', ['--tiers', tiers, '--json'], { env: hoursOn(i) })
          const after = await report()
          if (ended.status !== 0) test.fail(`backup ${i}: ${ended.stdout}${ended.stderr}`)
          const wrong = wrongWith(hot, String(ended.json?.['id']), { from: before.lastId, to: after.lastId })
          if (wrong.length > 0) test.fail(`backup ${i}: ${wrong.join('; ')}`)
          test.equal(
            after.failed,
            0,
            `not one of ${after.written} commits failed beside backup ${i} (${tiers})`,
          )
          longestMs = Math.max(longestMs, after.longestMs)
          over100Ms += after.over100Ms
          written += after.written
        }
      })
      test.comment(
        `${backups} backups beside ${written} transactions; the longest took ${longestMs.toFixed(0)} ms, ${over100Ms} more than 100 ms`,
      )
      test.strictSame([...faultsOf(hot), ...faultsOf(warm)], [])
    },
  )
}

await t.test('a plain copy of the file beside such an agent is found to be none', { skip }, async test => {
  const workspace = makeAgent(test, 'wal')
  const copy = join(temporaryFolder(test), 'copy.db')
  const found = await besideLedger(workspace.database, rate, async report => {
    for (let tries = 0; tries < 20; tries++) {
      const { lastId } = await report()
      copyFileSync(workspace.database, copy)
      const said = sqlite3(copy, ledgerCheck)
      const [id, sound] = said.split('|')
      if (sound !== '1' || Number(id) < lastId) return true
    }
    return false
  })
  test.ok(found, 'the checksum tells it from a backup')
})

function makeAgent(test: Test, mode: string): Workspace {
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:9', symbols: ['BTCUSDT'] })
  workspace.configure(sheet => {
    sheet.backup = { warm: { path: 'warm', mount: null } }
  })
  execute(workspace.database, `PRAGMA journal_mode = ${mode}; ${ledgerTables}; ${ballast}`)
  return workspace
}

/** Backups of different hours, so that none is pruned. */
function hoursOn(hours: number): Record<string, string> {
  return { CANDLEKEEP_NOW: new Date(Date.parse('2024-05-05T00:10:00Z') + hours * 3_600_000).toISOString() }
}

/** A state of the time in which the backup was taken, in a file that stands alone. */
function wrongWith(hot: string, id: string, commits: { from: number; to: number }): string[] {
  const file = join(hot, `${id}.db`)
  const said = sqlite3(file, ledgerCheck)
  const [lastId, existed] = said.split('|').map(Number) as [number, number]
  return [
    ...(existed === 1 ? [] : [`it holds no state that existed: ${said}`]),
    ...(lastId >= commits.from ? [] : [`${commits.from} were committed before it, it has ${lastId}`]),
    ...(lastId <= commits.to ? [] : [`it has ${lastId}, and only ${commits.to} were committed`]),
    ...faultsOfPlain(file, manifestOf(join(hot, `${id}.manifest.json`)).database.tables),
  ]
}

import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { execute, query } from './support/agent_database.ts'
import { besideAgent } from './support/beside_agent.ts'
import { expectStatus } from './support/command.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { inHistory, provenBackups, symbols, wellWorkspaces } from './support/well.ts'
import { makeWorkspace } from './support/workspace.ts'

// The agent writes all the time. How long it waits is measured by `npm run bench:health`.

const well = await wellWorkspaces()
const args = [['--full'], ['--quick'], []]
const seconds = process.env['CANDLEKEEP_SOAK'] === undefined ? 4 : 30

for (const mode of ['wal', 'delete']) {
  await t.test(
    `beside an agent that writes 1,000 times a second (${mode} mode) no check gives a false alarm`,
    async test => {
      const workspace = well(test)
      execute(workspace.database, `PRAGMA journal_mode = ${mode}`)
      let checks = 0
      const report = await besideAgent(workspace.database, 1000, async () => {
        const until = performance.now() + seconds * 1000
        while (performance.now() < until || checks < 3) {
          const seen = await workspace.run('health_check', args[checks % 3])
          checks += 1
          if (seen.status !== 0) test.fail(`check ${checks}: ${seen.stdout}${seen.stderr}`)
          await delay(10)
        }
      })
      test.comment(`${checks} checks in ${seconds} s; the agent: ${JSON.stringify(report)}`)
      test.equal(report.failed, 0, 'not one of its writes failed')
      const [stored] = query<{ count: number }>(workspace.database, 'SELECT count(*) AS count FROM ticks')
      test.equal(stored?.count, report.written, 'and each is there')
      test.ok(checks > 1)
    },
  )
}

await t.test('beside a sync that stores, revises and seals no check gives a false alarm', async test => {
  const workspace = well(test)
  let [syncs, checks] = [0, 0]
  const over = new AbortController()
  const syncing = async () => {
    for (; syncs < (seconds > 10 ? 20 : 3); syncs++) {
      // rows that lack are fetched again and their months are sealed anew
      const some = "symbol IN ('BTCUSDT', 'ETHUSDT', 'SOLUSDT')"
      execute(
        workspace.database,
        `DELETE FROM ohlcv_h4 WHERE ${some} AND timestamp / 14400000 % 9 = ${syncs % 9}`,
      )
      execute(join(workspace.state, 'ops.db'), `DELETE FROM candle_seals WHERE ${some}`)
      const ended = await workspace.run('daily_candle_sync', ['--since', '45d'])
      if (ended.status !== 0) test.fail(ended.stdout + ended.stderr)
    }
    over.abort()
  }
  const checking = async () => {
    while (!over.signal.aborted) {
      const seen = await workspace.run('health_check', ['--full', '--json'])
      checks += 1
      const results = seen.json?.['checks'] as { name: string; line: string; status: string }[]
      const integrity = results.find(({ name }) => name === 'database_integrity')
      if (integrity?.status !== 'ok') test.fail(String(integrity?.line))
    }
  }
  await Promise.all([syncing(), checking()])
  test.comment(`${checks} checks beside ${syncs} syncs`)
  test.ok(checks > 1)
})

await t.test('beside a slow sync of a new day no check finds anything amiss', async test => {
  const start = Date.parse('2024-05-05T01:00:00Z')
  const clock = new ReplayClock({ at: start, rate: 0 })
  const source = generatedSource({ symbols })
  const replay = await startReplay({ source, clock, weightLimit: 1_000_000, latencyMs: 300 })
  test.teardown(() => replay.close())
  const workspace = makeWorkspace(test, { url: replay.url, symbols: [...symbols], now: start })
  workspace.configure(sheet => {
    Object.assign(sheet.sync, { concurrency: 1 })
    sheet.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
  })
  expectStatus(test, await workspace.run('daily_candle_sync'), 0)
  const tomorrow = start + 86_400_000
  clock.set(tomorrow)
  inHistory(workspace, provenBackups)
  inHistory(workspace, `UPDATE backups SET covers_until = ${tomorrow}`)
  const env = { CANDLEKEEP_NOW: new Date(tomorrow + 5000).toISOString() }
  const sync = workspace.start('daily_candle_sync', [], { env })
  const over = new AbortController()
  void sync.ended.then(() => over.abort())
  let [checks, during] = [0, 0]
  for (; !over.signal.aborted; checks++) {
    const seen = await workspace.run('health_check', ['--full'], { env })
    if (seen.status !== 0) test.fail(seen.stdout + seen.stderr)
    if (/a sync is under way/.test(seen.stdout)) during += 1
  }
  expectStatus(test, await sync.ended, 0)
  test.comment(`${checks} checks, ${during} of them while it was at work`)
  test.ok(during > 0)
})

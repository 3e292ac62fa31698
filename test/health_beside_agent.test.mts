import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { execute, query } from './support/agent_database.ts'
import { besideAgent } from './support/beside_agent.ts'
import { wellWorkspaces } from './support/well.ts'

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
      execute(workspace.database, `DELETE FROM ohlcv_h4 WHERE timestamp / 14400000 % 9 = ${syncs % 9}`)
      execute(join(workspace.state, 'ops.db'), 'DELETE FROM candle_seals')
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

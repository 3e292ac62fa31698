import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import { copySealed } from '../scripts/database/sealed_copy.ts'
import { execute, query } from './support/agent_database.ts'
import { runs } from './support/properties.ts'
import { temporaryFolder } from './support/workspace.ts'

await t.test('a copy in rollback mode', async group => {
  await group.test('is of one moment, whether a writer was kept out or left alone', async test => {
    const folder = temporaryFolder(test)
    const [file, copy] = [join(folder, 'agent.db'), join(folder, 'copy.db')]
    const writer = spawn(process.execPath, [join(import.meta.dirname, 'support/restless_agent.mts'), file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    test.teardown(() => writer.kill('SIGKILL'))
    await once(writer.stdout, 'data')
    const ways = { undisturbed: 0, underLock: 0 }
    const enough = runs(40, 1000)
    // how often the writer comes between is up to the machine
    const seen = () => ways.undisturbed > 0 && ways.underLock > 0
    for (let i = 0; i < enough || (!seen() && i < 25 * enough); i++) {
      const { heldMs } = await copySealed(file, copy, { patientFrom: 0 })
      ways[heldMs === 0 ? 'undisturbed' : 'underLock'] += 1
      const [found] = query(
        copy,
        `SELECT (SELECT group_concat(integrity_check) FROM pragma_integrity_check) AS sound,
           (SELECT count(*) || ' ' || coalesce(sum(amount), 0) FROM ledger) AS ledger,
           (SELECT entries || ' ' || amount FROM balance) AS balance,
           (SELECT count(*) FROM ledger WHERE note = 'taken back') AS takenBack`,
      )
      if (found?.['sound'] !== 'ok' || found['ledger'] !== found['balance'] || found['takenBack'] !== 0)
        test.fail(`copy ${i}: ${JSON.stringify(found)}`)
    }
    test.ok(seen(), 'both ways were gone')
    test.comment(`copies: ${JSON.stringify(ways)}`)
  })

  await group.test('is refused where the database has gone over to WAL mode', async test => {
    const file = join(temporaryFolder(test), 'agent.db')
    execute(file, 'PRAGMA journal_mode = WAL; CREATE TABLE trades (id INTEGER PRIMARY KEY)')
    for (const patientFrom of [0, Number.POSITIVE_INFINITY])
      await test.rejects(copySealed(file, `${file}.copy`, { patientFrom }), { code: 'SQLITE_BUSY' })
  })
})

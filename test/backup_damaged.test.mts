import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { execute } from './support/agent_database.ts'
import { startEverything } from './support/alerts/channels.ts'
import { backupsIn, backupWorkspace, smallDatabase } from './support/backup_here.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { dump, sumsIn } from './support/digest.ts'
import { leaveHotJournal } from './support/hot_journal.ts'

// Bad must not push out good: of a damaged database there is no backup, and people are told.

skipWithoutPackages({ sqlite3: 'sqlite3' })

type Damage = { name: string; harm: (file: string) => void; says: RegExp }

const damages: Damage[] = [
  {
    name: 'pages of garbage',
    harm: file => {
      const bytes = readFileSync(file)
      bytes.fill(0xff, 1024 * 4, 1024 * 8)
      writeFileSync(file, bytes)
    },
    says: /the database is damaged: |the database cannot be read: /,
  },
  {
    name: 'an index that lacks an entry',
    harm: file => {
      const root = Number(
        execFileSync('sqlite3', [file, "SELECT rootpage FROM sqlite_schema WHERE name = 'trades_by_price'"], {
          encoding: 'utf8',
        }),
      )
      const bytes = readFileSync(file)
      const at = (root - 1) * 1024
      // one cell fewer on the page
      bytes.writeUInt16BE(bytes.readUInt16BE(at + 3) - 1, at + 3)
      writeFileSync(file, bytes)
    },
    says: /the database is damaged: /,
  },
  {
    name: 'a file that was cut off',
    harm: file => truncateSync(file, 1024 * 9),
    says: /is damaged|cannot be read/,
  },
  {
    name: 'a file that was cut off',
    harm: file => truncateSync(file, 1024 * 9),
    says: /is damaged|cannot be read/,
  },
  {
    name: 'garbage',
    harm: file => writeFileSync(file, Buffer.alloc(50_000, 'garbage ')),
    says: /agent\.db is no SQLite database/,
  },
  { name: 'nothing', harm: file => truncateSync(file, 0), says: /agent\.db is empty/ },
  {
    name: 'a header that is gone',
    harm: file => {
      const bytes = readFileSync(file)
      bytes.fill(0, 0, 100)
      writeFileSync(file, bytes)
    },
    says: /agent\.db is no SQLite database/,
  },
  {
    name: 'a database without a table',
    harm: file => {
      rmSync(file)
      execute(file, 'CREATE TABLE t (a); DROP TABLE t')
    },
    says: /it has no table/,
  },
]

await t.test('a damaged database is refused', async group => {
  const { workspace, services, at } = await startEverything(group)
  workspace.configure(sheet => (sheet.backup = { warm: { path: 'warm', mount: null } }))
  smallDatabase(workspace.database)
  const good = join(workspace.folder, 'good.db')
  copyFileSync(workspace.database, good)
  expectStatus(group, await workspace.run('backup', [], at(0)), 0)
  const folders = ['backups/hot', 'warm'].map(name => join(workspace.folder, name))
  const stored = folders.map(sumsIn)
  const [name = ''] = backupsIn(folders[0] as string)
  let hours = 0
  for (const mode of ['delete', 'wal'] as const) {
    for (const { name: what, harm, says } of damages) {
      await group.test(`${what} (${mode})`, async test => {
        copyFileSync(good, workspace.database)
        execute(workspace.database, `PRAGMA journal_mode = ${mode}`)
        harm(workspace.database)
        hours += 12
        const ended = await workspace.run('backup', hours % 24 === 0 ? ['--if-changed'] : [], at(hours * 60))
        expectStatus(test, ended, 1)
        test.match(
          ended.stdout,
          new RegExp(
            `^❌ no backup was taken: .*\n {3}all earlier backups are kept, the newest is ${name}\n {3}→ npx zx scripts/db_recovery\\.mts --config \\S+\n$`,
          ),
        )
        test.match(ended.stdout, says)
        test.same(folders.map(sumsIn), stored, 'all backups are as they were, and nothing is added')
        test.match(services.slack.at(-1)?.text, /(STILL )?CRITICAL: no backup was taken: /)
      })
    }
  }
  await group.test('until it is sound again', async test => {
    for (const file of readdirSync(join(workspace.folder, 'data')))
      rmSync(join(workspace.folder, 'data', file))
    copyFileSync(good, workspace.database)
    const told = services.slack.length
    for (const minutes of [60, 300])
      expectStatus(test, await workspace.run('backup', [], at(hours * 60 + minutes)), 0)
    test.match(
      services.slack.slice(told).map(({ text }) => text),
      [/^✅ RECOVERED: the database can be backed up again/],
    )
    test.same(services.pagerduty.map(({ event_action }) => event_action).at(-1), 'resolve')
    test.same(services.faults, [])
  })
})

await t.test('a transaction that was cut off is no damage', async test => {
  const workspace = backupWorkspace(test)
  smallDatabase(workspace.database)
  const before = dump(workspace.database)
  leaveHotJournal(workspace.database)
  expectStatus(test, await workspace.run('backup'), 0)
  const hot = join(workspace.folder, 'backups/hot')
  test.equal(dump(join(hot, `${backupsIn(hot)[0]}.db`)), before, 'the copy is without it')
})

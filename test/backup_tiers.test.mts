import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { day, hour } from '../scripts/job/time.ts'
import { execute } from './support/agent_database.ts'
import { startEverything } from './support/alerts/channels.ts'
import {
  type BackupsHere,
  backupsHere,
  backupsIn,
  backupWorkspace,
  smallDatabase,
} from './support/backup_here.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { sumsIn } from './support/digest.ts'
import { mountFullDisk, skipWithoutRoot } from './support/full_disk.ts'

// What becomes of the other tiers where one fails, and what a tier keeps, misses and gets.

skipWithoutPackages({ sqlite3: 'sqlite3' })

const at = (text: string) => Date.parse(`${text}:00Z`)
/** What a run came to: `hot +1`, `warm ✗ why`. */
async function outcomes(run: ReturnType<BackupsHere['backUp']>): Promise<string[]> {
  const { tiers } = await run
  return tiers.map(({ tier, stored, trouble }) =>
    trouble === undefined ? `${tier.name} +${stored.length}` : `${tier.name} ✗ ${trouble.message}`,
  )
}

/** A backup of a database that has changed. */
function backUpChanged(here: BackupsHere, time: number, ...given: Parameters<BackupsHere['backUp']>) {
  here.at(time)
  execute(here.workspace.database, `INSERT INTO trade_log (note) VALUES ('${time}')`)
  return here.backUp(...given)
}

function ready(test: Test, change?: Parameters<typeof backupsHere>[1]): BackupsHere {
  const here = backupsHere(test, change)
  smallDatabase(here.workspace.database)
  return here
}

type Obstacle = { name: string; put: (folder: string, test: Test) => void; says: RegExp }

const obstacles: Obstacle[] = [
  {
    name: 'is a file',
    put: folder => writeFileSync(folder, 'a file'),
    says: /cannot be used: it is a file, and no folder$/,
  },
  {
    name: 'is below a file',
    put: folder => writeFileSync(join(folder, '..'), 'a file'),
    says: /cannot be used: a file is where it, or a folder above it, should be$/,
  },
  {
    name: 'is mounted read-only',
    put(folder, test) {
      mkdirSync(folder, { recursive: true })
      execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', folder])
      test.teardown(() => execFileSync('/bin/umount', ['--lazy', folder]))
    },
    says: /cannot be used: it is on a disk that is mounted read-only$/,
  },
  { name: 'is on a full disk', put: (folder, test) => mountFullDisk(test, folder), says: /^no room in / },
]

await t.test('a tier that fails does so alone', { skip: skipWithoutRoot() }, async group => {
  for (const tier of ['hot', 'warm'] as const) {
    for (const { name, put, says } of obstacles) {
      await group.test(`the ${tier} tier ${name}`, async test => {
        const here = ready(test, sheet => {
          sheet.backup = {
            hot: { path: 'disks/hot/backups' },
            warm: { path: 'disks/warm/backups', mount: null },
          }
        })
        const folder = tier === 'hot' ? here.hot : here.warm
        mkdirSync(join(folder, '../..'), { recursive: true })
        if (name !== 'is below a file') mkdirSync(join(folder, '..'))
        put(folder, test)
        const found = await outcomes(here.backUp())
        test.match(
          found.toSorted((a, b) => Number(b.includes('✗')) - Number(a.includes('✗'))),
          [new RegExp(`^${tier} ✗ `), / \+1$/],
        )
        test.match(found.find(line => line.startsWith(`${tier} ✗ `))?.slice(`${tier} ✗ `.length), says)
        const other = tier === 'hot' ? here.warm : here.hot
        test.equal(backupsIn(other).length, 1)
        test.match((await here.verify(undefined, [tier === 'hot' ? 'warm' : 'hot'])).verified, [
          { result: 'proven' },
        ])
        // what is only looked at for the sake of the other tier fails nobody
        test.match(
          await outcomes(backUpChanged(here, Date.now() + 2000, [tier === 'hot' ? 'warm' : 'hot'])),
          [/ \+1$/],
        )
      })
    }
  }

  await group.test('where all fail nothing is taken', async test => {
    const here = ready(test)
    mkdirSync(join(here.hot, '..'), { recursive: true })
    writeFileSync(here.hot, '')
    writeFileSync(here.warm, '')
    await test.rejects(here.backUp(), { message: /^no backup was taken: hot: .*; warm: .*$/ })
  })

  await group.test("another user's folder is told as such", async test => {
    const workspace = backupWorkspace(test)
    smallDatabase(workspace.database)
    const warm = join(workspace.folder, 'warm')
    mkdirSync(warm, { mode: 0o755 })
    execFileSync('chown', ['-R', 'nobody', workspace.folder])
    execFileSync('chown', ['root', warm])
    chmodSync(warm, 0o755)
    const ended = await workspace.run('backup', [], {
      runner: ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', process.execPath],
    })
    expectStatus(test, ended, 2)
    test.match(
      ended.stdout,
      /\nwarm {2}❌ \S+ cannot be used: this user may not write there\n {8}→ ls -ld \S+\n⚠️ {2}1\/2 tiers · /,
    )
    test.same(readdirSync(warm), [])
  })
})

await t.test(
  'where nothing is mounted nothing is written, and nothing passes for gone',
  { skip: skipWithoutRoot() },
  async test => {
    const here = ready(test, sheet => (sheet.backup = { warm: { path: 'slow/backups/warm', mount: 'slow' } }))
    const slow = join(here.workspace.folder, 'slow')
    mkdirSync(slow)
    const hint = /^nothing is mounted at \S+slow$/
    const [, told] = await outcomes(here.backUp())
    test.match(told?.replace('warm ✗ ', ''), hint)
    test.same(readdirSync(slow), [])
    execFileSync('/bin/mount', ['-t', 'tmpfs', 'tmpfs', slow])
    test.same(await outcomes(backUpChanged(here, Date.now() + 2000)), ['hot +1', 'warm +1'])
    execFileSync('/bin/umount', [slow])
    test.match((await backUpChanged(here, Date.now() + 4000)).tiers[1]?.trouble, {
      message: hint,
      hint: /^mount \S+slow/,
    })
    test.match(await here.verify(), { troubles: [{ tier: 'warm', message: hint }] })
    test.match((await here.plan())[1], { trouble: hint })
    test.same(readdirSync(slow), [])
    test.match(
      here.rows("SELECT count(*) AS count FROM backups WHERE tier = 'warm' AND removed_at IS NULL"),
      [{ count: 1 }],
    )
  },
)

await t.test('people are told of the tier that failed, and of its recovery', async test => {
  const { workspace, services, at: after } = await startEverything(test)
  workspace.configure(sheet => (sheet.backup = { warm: { path: 'warm', mount: null } }))
  smallDatabase(workspace.database)
  const warm = join(workspace.folder, 'warm')
  writeFileSync(warm, 'a file')
  const ended = await workspace.run('backup', ['--json'], after(0))
  expectStatus(test, ended, 2)
  test.match(ended.json, {
    outcome: 'partly',
    tiers: [
      { tier: 'hot', error: null },
      { tier: 'warm', stored: [], error: /cannot be used/ },
    ],
  })
  const told = () => services.slack.map(({ text }) => text)
  test.match(told(), [
    /^🟠 WARNING: the warm tier has got no backup: \S+warm cannot be used: it is a file, and no folder \(/,
  ])
  rmSync(warm)
  const mended = await workspace.run('backup', [], after(60))
  expectStatus(test, mended, 0)
  expectStatus(test, await workspace.run('backup', [], after(180)), 0)
  test.match(told().slice(1), [/^✅ RECOVERED: the warm tier has its backup again \(/])
  test.same(services.faults, [])
})

await t.test('a tier that was away catches up with what it missed, and no more', async group => {
  await group.test('after three days, hourly to the hot tier', async test => {
    const here = ready(test)
    const start = at('2026-11-20T02:00')
    for (let n = 0; n <= 12; n++) {
      const time = start + n * 6 * hour
      const daily = n % 4 === 0
      const away = n > 0 && n < 12
      if (away && daily) {
        // the daily run finds it away
        if (existsSync(here.warm)) renameSync(here.warm, `${here.warm}.away`)
        writeFileSync(here.warm, '')
      } else if (n === 12) {
        rmSync(here.warm, { force: true })
        renameSync(`${here.warm}.away`, here.warm)
      }
      if (n < 12) await backUpChanged(here, time, daily ? ['hot', 'warm'] : ['hot'])
      if (away && daily) rmSync(here.warm)
    }
    test.same(backupsIn(here.warm), ['agent_backup_2026-11-20_02-00-00'])
    const back = await backUpChanged(here, start + 3 * day)
    test.same(backupsIn(here.warm), [
      'agent_backup_2026-11-20_02-00-00',
      'agent_backup_2026-11-21_20-00-00',
      'agent_backup_2026-11-22_20-00-00',
      'agent_backup_2026-11-23_02-00-00',
    ])
    test.equal(back.tiers[1]?.stored.length, 3)
    const again = await backUpChanged(here, start + 3 * day + hour)
    test.equal(again.tiers[1]?.stored.length, 1, 'there is nothing more to catch up with')
    test.match(
      (await here.verify()).verified.map(({ result }) => result),
      Array.from({ length: backupsIn(here.hot).length + 4 }, () => 'proven'),
    )
  })

  await group.test('with a copy that is damaged on the hot tier it does not', async test => {
    const here = ready(test)
    await backUpChanged(here, at('2026-11-20T02:00'), ['hot'])
    await backUpChanged(here, at('2026-11-21T02:00'), ['hot'])
    const file = join(here.hot, 'agent_backup_2026-11-20_02-00-00.db')
    const bytes = readFileSync(file)
    bytes[5000] = (bytes[5000] as number) ^ 1
    writeFileSync(file, bytes)
    const { tiers } = await backUpChanged(here, at('2026-11-22T02:00'))
    test.match(tiers[1]?.trouble, { message: /agent_backup_2026-11-20_02-00-00\.db is not what was proven$/ })
    test.same(backupsIn(here.warm), ['agent_backup_2026-11-21_02-00-00', 'agent_backup_2026-11-22_02-00-00'])
    test.match(here.rows('SELECT id, tier, failure FROM backups WHERE failed_at IS NOT NULL'), [
      { id: 'agent_backup_2026-11-20_02-00-00', tier: 'hot', failure: /not what was proven/ },
    ])
    // from then on it is known, and in nobody's way
    test.same(await outcomes(backUpChanged(here, at('2026-11-23T02:00'))), ['hot +1', 'warm +1'])
  })

  await group.test('the hourly run serves one that is overdue', async test => {
    const workspace = backupWorkspace(test)
    smallDatabase(workspace.database)
    const hourly = async (time: string) => {
      const ended = await workspace.run(
        'backup',
        ['--tiers', 'hot', '--if-changed', '--catch-up', '--json'],
        { env: { CANDLEKEEP_NOW: time } },
      )
      expectStatus(test, ended, 0)
      const tiers = (ended.json?.['tiers'] ?? []) as { tier: string; stored: unknown[] }[]
      return tiers.map(({ tier, stored }) => `${tier} +${stored.length}`)
    }
    test.same(await hourly('2026-11-24T01:00:00Z'), ['hot +1', 'warm +1'], 'it has none')
    execute(workspace.database, 'DELETE FROM trade_log WHERE id = 3')
    test.same(await hourly('2026-11-24T01:30:00Z'), ['hot +1'], 'it is not due before two')
    execute(workspace.database, 'DELETE FROM trade_log WHERE id = 4')
    test.same(await hourly('2026-11-24T02:30:00Z'), ['hot +1', 'warm +1'], 'its daily backup is missing')
    test.same(
      (await hourly('2026-11-24T03:30:00Z')).map(line => line.slice(0, 4)),
      ['hot '],
    )
  })
})

/** Files that are not ours, some with names that look as if they were. */
const foreign = [
  'notes.txt',
  'agent.db',
  'agent_backup_2026-11-01.db',
  'agent_backup_2026-11-01_02-00-00.db.old',
  'agent_backup_2026-02-30_02-00-00.db',
  'agent_backup_2026-11-01_02-00-00 (copy).db',
  'my_agent_backup_2026-11-01_02-00-00.db',
  'agent_backup_2026-11-01_25-00-00.manifest.json',
  'AGENT_BACKUP_2026-11-01_02-00-00.db',
  'agent_backup_2020-01-01_02-00-00.db',
  'agent_backup_2020-01-01_02-00-00.db.zst',
  '.agent_backup.db.tmp',
  '.agent_backup_2026-13-01_02-00-00.db.tmp',
]

await t.test('each tier keeps what its retention says, over weeks', async test => {
  const here = ready(test, sheet => {
    sheet.backup = {
      hot: { retention_days: 5, hourly_keep: 8 },
      warm: { path: 'warm', mount: null, retention_days: 4 },
    }
  })
  const start = at('2026-11-01T00:00')
  await backUpChanged(here, start)
  for (const folder of [here.hot, here.warm]) {
    for (const name of foreign) writeFileSync(join(folder, name), `${name} is not yours`)
    mkdirSync(join(folder, 'agent_backup_2020-01-02_02-00-00.d'))
  }
  const others = () =>
    [here.hot, here.warm].map(folder => [...sumsIn(folder)].filter(([name]) => foreign.includes(name)))
  const before = others()
  const taken = [start]
  for (let n = 1; n <= 9 * 8; n++) {
    const time = start + n * 3 * hour
    await backUpChanged(here, time, n % 8 === 0 ? ['hot', 'warm'] : ['hot'])
    taken.push(time)
  }
  const idOf = (time: number) =>
    `agent_backup_${new Date(time).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-')}`
  // by hand: the newest 8 of all, and the newest of each of the newest 5 days
  const newestOfDays = [...new Map(taken.map(time => [Math.floor(time / day), time])).values()].slice(-5)
  const hot = [...new Set([...taken.slice(-8), ...newestOfDays])].map(idOf).toSorted()
  test.same(backupsIn(here.hot), hot)
  test.same(
    backupsIn(here.warm),
    [6, 7, 8, 9].map(n => idOf(start + n * day)),
  )
  test.same(others(), before, 'what is not ours is as it was')

  // nothing new, nothing to do
  const { tiers } = await backUpChanged(here, start + 9 * day + 60_000, ['warm'])
  test.same(tiers[0]?.pruned, [idOf(start + 9 * day)])

  // a clock that jumps ahead by a year and back
  const kept = backupsIn(here.hot)
  await backUpChanged(here, start + 374 * day)
  const ahead = backupsIn(here.hot)
  test.ok(ahead.length >= kept.length - 1, 'it empties nothing')
  await backUpChanged(here, start + 9 * day + 2 * hour)
  test.ok(backupsIn(here.hot).includes(idOf(start + 374 * day)))
  test.ok(backupsIn(here.hot).includes(idOf(start + 9 * day + 2 * hour)))
  for (let n = 4; n <= 10; n++) await backUpChanged(here, start + 9 * day + n * hour)
  test.ok(backupsIn(here.hot).length >= 8)
  test.match(new Set((await here.verify()).verified.map(({ result }) => result)), new Set(['proven']))
  test.same(others(), before)
})

await t.test('a run that fails on a tier removes nothing there', { skip: skipWithoutRoot() }, async test => {
  const before = ready(test)
  mkdirSync(before.warm)
  execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', before.warm])
  test.teardown(() => execFileSync('/bin/umount', ['--lazy', before.warm]))
  for (const date of ['2026-11-19', '2026-11-20']) await backUpChanged(before, at(`${date}T02:00`))
  // from now on it keeps less than it has, and there is no room for more
  const change: Parameters<typeof backupsHere>[1] = sheet => {
    const few = { retention_days: 1 }
    sheet.backup = { hot: { ...few, hourly_keep: 1 }, warm: { path: 'warm', mount: null, ...few } }
  }
  const here = backupsHere(test, change, before.workspace)
  const filler = join(here.warm, 'filler')
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'])
  const kept = sumsIn(here.warm)
  const failed = await backUpChanged(here, at('2026-11-21T02:00'))
  test.same(
    failed.tiers.map(({ pruned }) => pruned.length),
    [2, 0],
  )
  test.match(failed.tiers[1]?.trouble, { message: /^no room in / })
  test.same(sumsIn(here.warm), kept)
  rmSync(filler)
  const mended = await backUpChanged(here, at('2026-11-22T02:00'))
  test.equal(mended.tiers[1]?.pruned.length, 2)
})

await t.test('what --dry-run says is what the next run does', async test => {
  const here = ready(test, sheet => {
    sheet.backup = {
      hot: { retention_days: 2, hourly_keep: 2 },
      warm: { path: 'warm', mount: null, retention_days: 2 },
    }
  })
  for (let n = 0; n < 20; n++) {
    here.at(at('2026-11-20T02:00') + n * 7 * hour)
    const planned = (await here.plan()).map(({ verdicts }) =>
      verdicts.filter(({ prune }) => prune).map(({ id }) => id),
    )
    const { tiers } = await backUpChanged(here, at('2026-11-20T02:00') + n * 7 * hour)
    test.same(
      tiers.map(({ pruned }) => pruned),
      planned,
    )
  }
})

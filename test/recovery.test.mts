import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hour, minute } from '../scripts/job/time.ts'
import { alertsFor, channelEnvironment } from './support/alerts/here.ts'
import { shownBySlack, startServices } from './support/alerts/services.ts'
import { type Ended, expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { digestOfFolder, dump, sumsIn } from './support/digest.ts'
import { startAgent } from './support/recovery_agent.ts'
import {
  checkOf,
  delisted,
  destroyAll,
  destroyPage,
  flipCandle,
  flipTrade,
  type Ground,
  historyRows,
  makeGround,
  marksIn,
  pageSize,
  quarantined,
  recover,
  smashHeader,
  spoil,
  sqlite,
} from './support/recovery_ground.ts'
import { faultsOf, manifestOf } from './support/tier_folder.ts'
import type { Workspace } from './support/workspace.ts'

// Recovery by the real command: what it leaves alone, what it takes, what it says.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3', zstd: 'zstd' })
const groups: Promise<unknown>[] = []
t.jobs = 2

type Told = {
  diagnosis: { verdict: string; damage: string; cure: string }
  recovery: null | {
    base: { kind: string; id?: string; tier?: string; how?: string }
    method: string
    quarantine: string
    passed_over: { id: string; tier: string; why: string }[]
    doubtful_rows: number
    warnings: string[]
  }
  rows: { salvaged: number; conflicts: number; known_lost: number }
  backup: string
  resync: { error: string | null; revised: number }
  still_broken: unknown[]
}

function toldBy({ json, stderr, stdout }: Ended): Told {
  if (json === undefined) throw new Error(`it told nothing: ${stderr}${stdout}`)
  return json as Told
}

/** The database is sound, and has these marks. */
function expectSound(test: Test, { database }: Workspace, marks: string): void {
  test.equal(checkOf(database), 'ok')
  test.equal(marksIn(database), marks)
  test.equal(Number(sqlite(database, 'SELECT count(*) FROM trade_log WHERE id <= 1500;')), 1500)
}

const all = 'first,second,third,fresh'

/** The folder for evidence, which stays where an attempt came to nothing. */
const emptyQuarantine = /^d .*quarantine\n/gm

/** Everything that a run that changes nothing must leave alone. */
function everything({ folder }: Workspace): string {
  return ['data', 'backups', 'warm'].map(name => digestOfFolder(join(folder, name))).join('\n')
}

groups.push(
  t.test('In WAL mode', { skip }, async group => {
    const ground = await makeGround(group, 'wal')
    await aSoundDatabase(group, ground)
    await choice(group, ground)
    await traps(group, ground)
  }),
)
groups.push(
  t.test('In rollback mode', { skip }, async group => {
    const ground = await makeGround(group, 'delete')
    await nature(group, ground)
    await candles(group, ground)
    await indexes(group, ground)
    await resumed(group, ground)
  }),
)

async function aSoundDatabase(group: Test, ground: Ground): Promise<void> {
  await group.test('a sound database is not touched', async test => {
    const workspace = ground.clone(test)
    const before = everything(workspace)
    const checked = await workspace.run('db_recovery', ['--check'])
    expectStatus(test, checked, 0)
    test.match(checked.stdout, /✅ .*agent\.db is sound/)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.equal(toldBy(ended).recovery, null)
    expectStatus(test, await workspace.run('db_recovery', ['--dry-run']), 0)
    test.equal(everything(workspace), before, 'content, times, owners and modes are as they were')
    test.same(quarantined(workspace.database), [])
  })

  await group.test(
    'with --force a sound database is restored, and what it had besides brought over',
    async test => {
      const workspace = ground.clone(test)
      const ended = await recover(workspace, ['--force'])
      expectStatus(test, ended, 0)
      test.match(toldBy(ended), {
        diagnosis: { verdict: 'sound' },
        recovery: { base: { kind: 'backup', id: ground.backups[0], tier: 'hot' } },
        rows: { salvaged: 2, known_lost: 0 },
      })
      expectSound(test, workspace, all)
    },
  )

  await group.test('what it would do, it says and does not do; nor does it without an answer', async test => {
    const workspace = ground.clone(test)
    destroyPage(workspace.database)
    const before = everything(workspace)
    const checked = await workspace.run('db_recovery', ['--check', '--json'])
    expectStatus(test, checked, 1)
    test.match(checked.json, { diagnosis: { verdict: 'damaged', damage: 'pages', tables: ['trade_log'] } })
    const planned = await workspace.run('db_recovery', ['--dry-run', '--json'])
    expectStatus(test, planned, 0)
    test.match(planned.json, {
      candidates: [
        { tier: 'hot', id: ground.backups[0] },
        { tier: 'warm', id: ground.backups[0] },
        { tier: 'hot', id: ground.backups[1] },
      ],
      holders: [],
    })
    const unasked = await workspace.run('db_recovery')
    expectStatus(test, unasked, 64)
    test.match(unasked.stderr + unasked.stdout, /there is nobody to ask.*--yes/s)
    test.equal(everything(workspace), before)
    test.same(historyRows(workspace, 'SELECT * FROM recoveries'), [])
  })
}

async function choice(group: Test, ground: Ground): Promise<void> {
  const [newest, middle, oldest] = ground.backups

  await group.test(
    'with the newest two damaged everywhere, the third is used and the two are marked',
    async test => {
      const workspace = ground.clone(test)
      for (const id of [newest, middle])
        for (const tier of ['hot', 'warm'] as const) spoil(workspace, tier, id)
      destroyAll(workspace.database)
      const ended = await recover(workspace)
      expectStatus(test, ended, 0)
      const { recovery } = toldBy(ended)
      test.match(recovery?.base, { kind: 'backup', id: oldest, tier: 'hot' })
      // the warm tier has kept one a day
      const spoilt = [`hot ${newest}`, `warm ${newest}`, `hot ${middle}`]
      test.same(
        recovery?.passed_over.map(({ tier, id }) => `${tier} ${id}`),
        spoilt,
      )
      const failed = historyRows(workspace, 'SELECT tier, id FROM backups WHERE failed_at IS NOT NULL')
      test.same(failed.map(({ tier, id }) => `${String(tier)} ${String(id)}`).toSorted(), spoilt.toSorted())
      expectSound(test, workspace, 'first')
      test.match(ended.stderr, new RegExp(`hot {3}${newest} is not used`))
      // the next time they are tried last
      destroyAll(workspace.database)
      const { candidates } = (await workspace.run('db_recovery', ['--dry-run', '--json'])).json as never as {
        candidates: { id: string }[]
      }
      test.equal(
        candidates.findIndex(({ id }) => id === newest) > candidates.findIndex(({ id }) => id === oldest),
        true,
      )
    },
  )

  await group.test('with the hot tier gone, warm is used', async test => {
    const workspace = ground.clone(test)
    rmSync(join(workspace.folder, 'backups'), { recursive: true })
    smashHeader(workspace.database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(toldBy(ended).recovery, { base: { id: newest, tier: 'warm' }, method: 'rename' })
    expectSound(test, workspace, all)
  })

  await group.test(
    '--from names a backup or a tier, --at a time of which nothing later comes back',
    async test => {
      const workspace = ground.clone(test)
      destroyPage(workspace.database)
      const ended = await recover(workspace, ['--at', '2026-03-14T03:30:00Z'])
      expectStatus(test, ended, 0)
      test.match(toldBy(ended).recovery?.base, { id: middle, tier: 'hot' })
      expectSound(test, workspace, 'first,second')
      test.equal(sqlite(workspace.database, "SELECT count(*) FROM trade_log WHERE note = 'fresh';"), '0')

      const fromWarm = await recover(workspace, ['--from', 'warm', '--force'])
      expectStatus(test, fromWarm, 0)
      test.match(toldBy(fromWarm).recovery?.base, { tier: 'warm' })
      const byName = await recover(workspace, ['--from', `${oldest}.db`, '--force'])
      expectStatus(test, byName, 0)
      test.match(toldBy(byName).recovery?.base, { id: oldest, tier: 'hot' })
      test.equal(quarantined(workspace.database).length, 3, 'what each replaced is kept')
    },
  )

  await group.test('a mistake in the flags names the flag and does nothing', async test => {
    const workspace = ground.clone(test)
    destroyPage(workspace.database)
    const before = everything(workspace)
    for (const [args, status, said] of [
      [['--from', 'cold'], 64, /--from: the cheat sheet has no cold tier/],
      [['--from', 'yesterday'], 64, /--from "yesterday" is neither a tier nor the name of a backup.*--list/s],
      [['--from', 'hot', '--at', '2026-03-14'], 64, /--from and --at exclude each other/],
      [['--check', '--dry-run'], 64, /--check and --dry-run exclude each other/],
      [['--at', 'noon'], 64, /--at/],
      [['--from', 'agent_backup_2020-01-01_00-00-00'], 1, /there is no backup for agent_backup_2020/],
      [['--at', '2020-01-01'], 1, /there is no backup for 2020-01-01/],
    ] as const) {
      const ended = await workspace.run('db_recovery', ['--yes', ...args])
      expectStatus(test, ended, status)
      test.match(ended.stderr + ended.stdout, said)
    }
    test.equal(everything(workspace).replace(emptyQuarantine, ''), before)
    test.same(quarantined(workspace.database), [])
  })
}

async function traps(group: Test, ground: Ground): Promise<void> {
  await group.test('trap 14: the log of the damaged database does not meet the restored one', async test => {
    const workspace = ground.clone(test, sheet => (sheet.recovery = { ...sheet.recovery, salvage: false }))
    const { database } = workspace
    const agent = await startAgent(test, database)
    await agent.run('DELETE FROM trade_log WHERE id % 2 = 0')
    await agent.run("INSERT INTO marks VALUES ('in the log')")
    await agent.kill()
    const before = sumsIn(join(database, '..'))
    test.ok(statSync(`${database}-wal`).size > 10_000, 'there is much in the log')
    smashHeader(database)
    const ended = await recover(workspace, ['--from', ground.backups[0]])
    expectStatus(test, ended, 0)
    expectSound(test, workspace, 'first,second,third')
    const [folder = ''] = quarantined(database)
    const kept = sumsIn(join(folder, 'damaged'))
    test.equal(kept.get('agent.db-wal'), before.get('agent.db-wal'), 'the log is kept as it was')
    test.equal(kept.has('agent.db'), true)
  })

  await group.test('trap 16: rows around a bad page that are in no backup come back', async test => {
    const workspace = ground.clone(test)
    destroyPage(workspace.database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(toldBy(ended), {
      diagnosis: { damage: 'pages' },
      rows: { salvaged: 2, conflicts: 0, known_lost: 0 },
    })
    expectSound(test, workspace, all)
    test.equal(sqlite(workspace.database, "SELECT price FROM trade_log WHERE note = 'fresh';"), '61999.5')
  })

  await group.test('trap 17: a full backup is taken at once, of what was brought over too', async test => {
    const workspace = ground.clone(test)
    destroyPage(workspace.database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    const id = toldBy(ended).backup
    test.notOk(ground.backups.includes(id), 'it is a new one')
    for (const tier of ['backups/hot', 'warm']) {
      const folder = join(workspace.folder, tier)
      test.ok(existsSync(join(folder, `${id}.manifest.json`)), `${tier} has it`)
      test.same(faultsOf(folder), [])
    }
    const copy = join(workspace.folder, `backups/hot/${id}.db`)
    test.equal(marksIn(copy), all)
    const { database } = manifestOf(join(workspace.folder, `warm/${id}.manifest.json`))
    test.match(
      database.tables.find(({ name }) => name === 'marks'),
      { rows: 4 },
    )
  })

  await group.test('trap 18: nothing of the old goes before the new is proven', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    const agent = await startAgent(test, database)
    await agent.run("INSERT INTO marks VALUES ('in the log')")
    await agent.kill()
    destroyAll(database)
    rmSync(`${database}-shm`, { force: true })
    for (const id of ground.backups) for (const tier of ['hot', 'warm'] as const) spoil(workspace, tier, id)
    const before = digestOfFolder(join(database, '..'))
    const ended = await recover(workspace)
    expectStatus(test, ended, 1)
    test.match(
      ended.stderr + String(ended.json?.['error']),
      /no backup is good: .*Nothing has been replaced/s,
    )
    test.equal(digestOfFolder(join(database, '..')).replace(emptyQuarantine, ''), before)
    test.same(quarantined(database), [], 'an attempt that came to nothing leaves nothing')
  })

  await group.test('with no good backup, what can be read is all there is, and it is said', async test => {
    const workspace = ground.clone(test)
    destroyPage(workspace.database)
    for (const tier of ['backups', 'warm']) rmSync(join(workspace.folder, tier), { recursive: true })
    const ended = await recover(workspace)
    test.ok([0, 2].includes(ended.status ?? -1), ended.stderr)
    const told = toldBy(ended)
    test.equal(told.recovery?.base.kind, 'remains')
    test.equal(checkOf(workspace.database), 'ok')
    test.equal(marksIn(workspace.database), all)
    const left = Number(sqlite(workspace.database, 'SELECT count(*) FROM trade_log;'))
    test.ok(left > 1400 && left < 1501, `${left} of 1501 trades`)
    test.ok(told.rows.known_lost >= 1501 - left, `at most ${told.rows.known_lost} are said to be lost`)
  })
}

async function nature(group: Test, ground: Ground): Promise<void> {
  const isRoot = process.getuid?.() === 0
  await group.test('owner, mode, journal mode, page size, version and link are as before', async test => {
    const workspace = ground.clone(test)
    const link = workspace.database
    const file = join(workspace.folder, 'elsewhere/real.db')
    execFileSync('mkdir', [join(workspace.folder, 'elsewhere')])
    renameSync(link, file)
    symlinkSync('../elsewhere/real.db', link)
    if (isRoot) chownSync(file, 4242, 4243)
    chmodSync(file, 0o640)
    const owner = statSync(file)
    smashHeader(file)
    expectStatus(test, await recover(workspace), 0)
    test.equal(execFileSync('readlink', [link], { encoding: 'utf8' }).trim(), '../elsewhere/real.db')
    const now = statSync(file)
    test.same([now.uid, now.gid, now.mode], [owner.uid, owner.gid, owner.mode])
    test.not(now.ino, owner.ino, 'it is another file')
    test.equal(
      sqlite(file, 'PRAGMA journal_mode; PRAGMA page_size; PRAGMA user_version;'),
      `delete\n${pageSize}\n7`,
    )
    test.equal(marksIn(file), all)
    test.ok(
      existsSync(join(workspace.folder, 'elsewhere/quarantine')),
      'evidence lies beside the file itself',
    )
  })

  await group.test(
    'a database that is gone gets the owner and mode that it was backed up with',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      if (isRoot) chownSync(database, 4242, 4243)
      chmodSync(database, 0o600)
      expectStatus(test, await workspace.run('backup'), 0)
      rmSync(database)
      const ended = await recover(workspace)
      expectStatus(test, ended, 0)
      test.match(toldBy(ended), { diagnosis: { damage: 'missing' } })
      const { uid, gid, mode } = statSync(database)
      test.same([uid, gid, mode & 0o7777], isRoot ? [4242, 4243, 0o600] : [uid, gid, 0o600])
      expectSound(test, workspace, all)
    },
  )

  await group.test('a link that leads nowhere is not replaced: its disk may not be mounted', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    rmSync(database)
    symlinkSync(join(workspace.folder, 'not_mounted/agent.db'), database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 1)
    test.equal(
      execFileSync('readlink', [database], { encoding: 'utf8' }).trim(),
      join(workspace.folder, 'not_mounted/agent.db'),
    )
  })
}

async function candles(group: Test, ground: Ground): Promise<void> {
  await group.test('a bit flipped inside a sealed candle: only that is fetched again', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    const row = flipCandle(database, 'BTCUSDT')
    const { ino } = statSync(database)
    const time = row.split('|')[0]
    const stored = () =>
      sqlite(database, `SELECT * FROM ohlcv_h4 WHERE symbol = 'BTCUSDT' AND timestamp = ${time};`)
    test.not(stored(), row)
    test.equal(checkOf(database), 'ok', 'SQLite does not see it')
    const checked = await workspace.run('db_recovery', ['--check', '--json'])
    expectStatus(test, checked, 1)
    test.match(checked.json, { diagnosis: { damage: 'candles', cure: 'resync' } })
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(toldBy(ended), { recovery: null, resync: { revised: 1 }, still_broken: [] })
    test.equal(stored(), row)
    test.equal(statSync(database).ino, ino, 'nothing was replaced')
    test.same(quarantined(database), [])
    expectSound(test, workspace, all)
    expectStatus(test, await workspace.run('db_recovery', ['--check']), 0)
  })

  await group.test('of a symbol that trades no more the candles come from the backup', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    const before = sqlite(database, `SELECT * FROM ohlcv_h4 WHERE symbol = '${delisted}';`)
    test.ok(before.split('\n').length > 150)
    const row = flipCandle(database, delisted)
    destroyPage(database)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    const after = sqlite(database, `SELECT * FROM ohlcv_h4 WHERE symbol = '${delisted}';`)
    test.equal(after, before)
    test.ok(after.includes(row))
  })

  await group.test(
    'candles that neither the exchange nor any backup has as they were are said',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      const row = flipCandle(database, delisted)
      // SQLite sees nothing, so this is backed up as it is
      expectStatus(test, await workspace.run('backup', ['--tiers', 'hot,warm']), 0)
      for (const id of ground.backups) for (const tier of ['hot', 'warm'] as const) spoil(workspace, tier, id)
      destroyPage(database)
      const ended = await recover(workspace)
      expectStatus(test, ended, 2)
      test.match(ended.json?.['broken_seals'], [{ symbol: delisted }])
      test.match(ended.stderr, /not what was sealed: GONEUSDT 4h 2026-/)
      test.equal(checkOf(database), 'ok')
      test.notOk(sqlite(database, `SELECT * FROM ohlcv_h4 WHERE symbol = '${delisted}';`).includes(row))
    },
  )

  await group.test(
    'where the exchange does not answer, the database serves and lacks candles: exit status 2',
    async test => {
      const workspace = ground.clone(test, sheet => (sheet.sync.base_url = 'http://127.0.0.1:9'))
      smashHeader(workspace.database)
      const ended = await recover(workspace)
      expectStatus(test, ended, 2)
      test.match(toldBy(ended).resync, { error: /./ })
      test.match(ended.stderr + String(ended.json?.['summary']), /candles still lack/)
      expectSound(test, workspace, all)
    },
  )
}

async function indexes(group: Test, ground: Ground): Promise<void> {
  const prices = (database: string) => sqlite(database, 'SELECT id, price FROM trade_log NOT INDEXED;')

  await group.test('where only an index is damaged it is made anew, and nothing is lost', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    const agents = (text: string) => text.split('\n').filter(line => !line.includes('ohlcv'))
    const before = agents(dump(database))
    flipTrade(database, 700, 'index')
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(toldBy(ended), {
      diagnosis: { damage: 'indexes', cure: 'itself' },
      recovery: { base: { kind: 'itself', how: 'indexes rebuilt' }, doubtful_rows: 1 },
    })
    test.equal(checkOf(database), 'ok')
    test.same(agents(dump(database)), before)
  })

  await group.test('an index that differs since the row was flipped does not bless the row', async test => {
    const workspace = ground.clone(test)
    const { database } = workspace
    const before = prices(database)
    flipTrade(database, 700, 'row')
    test.not(prices(database), before)
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    test.match(toldBy(ended), {
      diagnosis: { damage: 'indexes' },
      recovery: { base: { kind: 'backup', id: ground.backups[0] } },
      rows: { salvaged: 2, conflicts: 1 },
    })
    test.equal(checkOf(database), 'ok')
    test.equal(prices(database), before, 'the price is what was backed up')
    test.equal(marksIn(database), all)
  })
}

async function resumed(group: Test, ground: Ground): Promise<void> {
  await group.test(
    'a database that somebody has mended meanwhile is not replaced by a run that was killed',
    async test => {
      const workspace = ground.clone(test)
      const { database } = workspace
      const whole = readFileSync(database)
      destroyPage(database)
      // killed by the very call that puts the new one in place
      const runner = [
        'sh',
        '-c',
        'exec strace -D -q -f -o /dev/null -e trace=link -e inject=link:signal=SIGKILL:when=1 "$@"',
        'sh',
        process.execPath,
      ]
      const killed = await workspace.run('db_recovery', ['--yes'], { runner })
      test.equal(killed.signal, 'SIGKILL')
      const [folder = ''] = quarantined(database)
      test.ok(existsSync(join(folder, 'restored.db')), 'it had come that far')
      execFileSync('sh', ['-c', 'cat > "$1"', 'sh', database], { input: whole })
      sqlite(database, "INSERT INTO marks VALUES ('mended by hand');")
      const { ino } = statSync(database)
      const ended = await recover(workspace)
      expectStatus(test, ended, 0)
      test.equal(statSync(database).ino, ino, 'the sound database is still the same file')
      test.equal(marksIn(database), `${all},mended by hand`)
    },
  )

  await group.test('the history, the report, the metrics and the alerts say what happened', async test => {
    const services = await startServices(test)
    const workspace = ground.clone(test, sheet => (sheet.alerts = alertsFor(services)))
    Object.assign(workspace.env, channelEnvironment(services))
    const { database } = workspace
    destroyPage(database)
    // the clocks of two commands run on while they start: half a minute earlier, whichever is slower
    const soon = Date.parse(String(workspace.env['CANDLEKEEP_NOW'])) - minute / 2
    workspace.env['CANDLEKEEP_NOW'] = new Date(soon).toISOString()
    const ended = await recover(workspace)
    expectStatus(test, ended, 0)
    const rows = historyRows(workspace, 'SELECT * FROM recoveries')
    test.match(rows, [
      {
        damage: 'pages',
        base: ground.backups[0],
        tier: 'hot',
        salvaged: 2,
        conflicts: 0,
        known_lost: 0,
      },
    ])
    const [{ started_at, serving_at, finished_at, rto_ms, rpo_ms, quarantine } = {}] = rows
    // the page that was destroyed may have held changes since the backup
    test.ok(Number(rpo_ms) > 59 * minute && Number(rpo_ms) <= hour)
    test.ok(Number(started_at) <= Number(serving_at) && Number(serving_at) <= Number(finished_at))
    test.equal(rto_ms, Number(serving_at) - Number(started_at))
    const [folder = ''] = quarantined(database)
    test.equal(quarantine, folder)
    test.same(readdirSync(folder).toSorted(), ['damaged', 'recovery.json', 'report.json', 'report.md'])
    for (const name of ['.', 'damaged', 'recovery.json', 'report.json', 'report.md'])
      test.equal(statSync(join(folder, name)).mode & 0o077, 0, `nobody else may look into ${name}`)
    const json = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as Told
    test.match(json, {
      recovery: toldBy(ended).recovery,
      rows: toldBy(ended).rows,
      backup: toldBy(ended).backup,
    })
    const markdown = readFileSync(join(folder, 'report.md'), 'utf8')
    for (const said of [
      /^# recovery_.*2 rows salvaged/,
      /damage {4}pages: /,
      /\| trade_log \| 1500 \| 1 \| 0 \|/,
      /RPO .*met/,
    ])
      test.match(markdown, said)
    test.same(services.faults, [])
    test.equal(services.slack.length, 1)
    const shown = shownBySlack(services.slack[0] as never)
    test.match(shown, /the database was damaged \(pages\) and has been recovered from agent_backup_/)
    test.match(shown, /trade_log: 1,500 in the backup · 1 salvaged/)
    const metrics = readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8')
    test.match(metrics, /^recovery_\w+ /m)
  })
}

await Promise.all(groups)

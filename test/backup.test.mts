import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { backupFlags, wishesFrom } from '../scripts/backup/wishes.ts'
import { loadConfig } from '../scripts/job/config.ts'
import { parseFlags } from '../scripts/job/flags.ts'
import { takeLock } from '../scripts/job/lock.ts'
import { query } from './support/agent_database.ts'
import { backupsIn, backupWorkspace, smallDatabase } from './support/backup_here.ts'
import { type Ended, expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { digestOfFolder, dump, sumsIn } from './support/digest.ts'
import { onlyLabel, parseMetrics, promtoolFindings } from './support/metrics_text.ts'
import { type S3Double, startS3Double } from './support/s3/double.ts'
import { startSession } from './support/sqlite3_session.ts'
import { thrownBy } from './support/thrown.ts'
import type { Workspace } from './support/workspace.ts'

// The command as operators and cron see it.

skipWithoutPackages({ sqlite3: 'sqlite3', prometheus: 'promtool', zstd: 'zstd' })

type Place = {
  workspace: Workspace
  hot: string
  warm: string
  s3: S3Double
  at: (time: string) => { env: Record<string, string> }
}

/** A workspace with all three tiers. */
async function threeTiers(test: Test, journalMode: 'wal' | 'delete' = 'wal'): Promise<Place> {
  const s3 = await startS3Double()
  test.teardown(() => s3.close())
  const workspace = backupWorkspace(test, '2026-11-24T02:00:00Z')
  workspace.configure(sheet => {
    const { bucket, url: endpoint, region } = s3
    sheet.backup = { ...sheet.backup, cold: { bucket, endpoint, region, path_style: true } }
    sheet.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
  })
  smallDatabase(workspace.database, journalMode)
  return {
    workspace,
    hot: join(workspace.folder, 'backups/hot'),
    warm: join(workspace.folder, 'warm'),
    s3,
    at: time => ({ env: { ...s3.env, CANDLEKEEP_NOW: time } }),
  }
}

const id = 'agent_backup_2026-11-24_02-00-\\d\\d'

await t.test('a backup goes to all tiers, and is shown, planned and proven', async test => {
  const { workspace, hot, warm, s3, at } = await threeTiers(test)
  const now = at('2026-11-24T02:00:00Z')
  const none = await workspace.run('backup', ['--list'], now)
  expectStatus(test, none, 0)
  test.match(
    none.stdout,
    /^hot · \S+hot · 0 backups, 0 B\nwarm · \S+ · 0 backups, 0 B\ncold · s3:\/\/candlekeep\/candlekeep\/ · 0 backups, 0 B\n0 backups on 3 tiers, 0 B\n$/,
  )

  const taken = await workspace.run('backup', [], now)
  expectStatus(test, taken, 0)
  test.match(
    taken.stdout,
    new RegExp(
      `^hot {3}✅ ${hot} · [\\d.]+ kB · proven\nwarm {2}✅ ${warm} · [\\d.]+ kB · proven\ncold {2}✅ s3://candlekeep/candlekeep/ · [\\d.]+ kB · proven\n✅ 3/3 tiers · ${id} · [\\d.]+ kB, 321 rows in 2 tables, newest candle 2024-05-04 08:00 UTC · `,
    ),
  )
  test.equal(taken.stderr, '')
  test.equal(s3.objects().length, 2)
  test.same([s3.uploads(), readdirSync(join(workspace.state, 'scratch'))], [[], []], 'nothing is left')

  const later = at('2026-11-24T02:30:00Z')
  const list = await workspace.run('backup', ['--list'], later)
  test.match(
    list.stdout,
    new RegExp(
      `^hot · ${hot} · 1 backup, .*\n {2}${id} +(29|30) min( \\d+ s)? old +[\\d.]+ kB {2}proven .* ago\nwarm · (.*\n){2}cold · (.*\n){2}3 backups on 3 tiers, .* kB\n$`,
    ),
  )
  const json = await workspace.run('backup', ['--list', '--json', '--tiers', 'cold,hot'], later)
  test.match(json.json, {
    job: 'backup',
    task: 'list',
    outcome: 'done',
    exit_status: 0,
    backups: [
      { tier: 'hot', where: hot, id: new RegExp(id), failure: null },
      { tier: 'cold', where: 's3://candlekeep/candlekeep/', id: new RegExp(id), failure: null },
    ],
    broken: [],
    errors: [],
  })

  const plan = await workspace.run('backup', ['--dry-run'], later)
  expectStatus(test, plan, 0)
  test.match(
    plan.stdout,
    new RegExp(
      `^hot · ${hot}\n {2}remove ${id} {2}a newer one stands for 2026-11-24 02:00\nwarm · (.*\n {2}remove .*\n){1}cold · (.*\n {2}remove .*\n)a backup to hot, warm, cold would be taken; 3 old ones would be removed\n$`,
    ),
  )
  const planned = await workspace.run('backup', ['--dry-run', '--json', '--tiers', 'warm'], later)
  test.match(planned.json, {
    task: 'dry-run',
    tiers: [{ tier: 'warm', where: warm, verdicts: [{ prune: true }], error: null }],
  })

  const proven = await workspace.run('backup', ['--verify'], later)
  expectStatus(test, proven, 0)
  test.match(
    proven.stdout,
    new RegExp(
      `^hot {3}✅ ${id} {2}proven\nwarm {2}✅ ${id} {2}proven\ncold {2}✅ ${id} {2}proven\n✅ 3/3 backups are as they were stored · `,
    ),
  )

  const again = await workspace.run('backup', ['--json'], at('2026-11-24T02:31:00Z'))
  expectStatus(test, again, 0)
  test.match(
    again.json,
    {
      task: 'backup',
      unchanged: false,
      writers_waited_ms: null,
      tiers: [
        { tier: 'hot', pruned: [new RegExp(id)], error: null },
        { tier: 'warm', pruned: [new RegExp(id)], error: null },
        { tier: 'cold', pruned: [new RegExp(id)], error: null },
      ],
    },
    'what was planned is what is done',
  )

  for (const [task, shape] of [
    ['policy', { Version: '2012-10-17' }],
    ['lifecycle', { Rules: Array }],
  ] as const) {
    const document = await workspace.run('backup', [`--${task}`], now)
    expectStatus(test, document, 0)
    test.match(JSON.parse(document.stdout), shape, 'it can be sent on as it is')
    test.match((await workspace.run('backup', [`--${task}`, '--json'], now)).json, { task, [task]: shape })
  }
})

await t.test('what only looks changes nothing at all', async test => {
  const { workspace, hot, at } = await threeTiers(test)
  const now = at('2026-11-24T03:00:00Z')
  const looks = [['--list'], ['--dry-run'], ['--policy'], ['--lifecycle'], ['--tiers', 'x']]
  const lookAll = async () => {
    for (const args of looks) await workspace.run('backup', args, now)
  }
  const empty = digestOfFolder(workspace.folder)
  await lookAll()
  test.equal(digestOfFolder(workspace.folder), empty, 'where nothing is there yet')
  expectStatus(test, await workspace.run('backup', [], at('2026-11-24T02:00:00Z')), 0)
  // what a run left that was killed, what is damaged, what is not ours
  for (const name of [
    '.agent_backup_2026-11-23_02-00-00.db.tmp',
    'agent_backup_2026-11-22_02-00-00.manifest.json',
    'notes.txt',
  ])
    writeFileSync(join(hot, name), 'garbage')
  const before = digestOfFolder(workspace.folder)
  await lookAll()
  test.equal(digestOfFolder(workspace.folder), before, 'nor afterwards')
})

await t.test('mistakes are told before anything happens', async group => {
  const config = loadConfig(backupWorkspace(group).file)
  const say = (...args: string[]) => {
    const { message, hint, status } = thrownBy(() => wishesFrom(parseFlags(backupFlags, args), config))
    return [status, message, hint]
  }
  const cases: [args: string[], message: string, hint: string | undefined][] = [
    [['--tiers', 'wram'], '--tiers: "wram" is no tier', 'Did you mean warm?'],
    [['--tiers', 'hot,hto'], '--tiers: "hto" is no tier', 'Did you mean hot?'],
    [['--tiers', 'everywhere'], '--tiers: "everywhere" is no tier', 'There are: hot, warm.'],
    [['--tiers='], '--tiers: "" is no tier', 'There are: hot, warm.'],
    [
      ['--tiers', 'cold'],
      '--tiers: the cheat sheet has no cold tier',
      'Set backup.cold.bucket in the configuration.',
    ],
    [['--list', '--dry-run'], '--list and --dry-run exclude each other', undefined],
    [['--verify', '--list', '--policy'], '--list and --verify and --policy exclude each other', undefined],
    [
      ['--verify', 'yesterday'],
      '--verify "yesterday" is not the name of a backup',
      '--list shows their names.',
    ],
    [
      ['--verify', 'agent_backup_2026-02-30_02-00-00'],
      '--verify "agent_backup_2026-02-30_02-00-00" is not the name of a backup',
      '--list shows their names.',
    ],
    [
      ['--policy'],
      '--policy is about the cold tier, and there is none',
      'Set backup.cold.bucket in the configuration.',
    ],
    [
      ['--self-test'],
      '--self-test is about the cold tier, and there is none',
      'Set backup.cold.bucket in the configuration.',
    ],
    [['--lst'], 'unknown argument --lst', 'Did you mean --list?'],
    [['--tiers'], '--tiers needs a value: --tiers hot,warm,cold', '--help shows the flags.'],
  ]
  for (const [args, message, hint] of cases) {
    group.same(say(...args), [64, message, hint], args.join(' '))
  }
  const given = (...args: string[]) => wishesFrom(parseFlags(backupFlags, args), config)
  group.match(
    given('--verify', 'agent_backup_2026-11-24_02-00-00.db.zst'),
    { task: 'verify', id: 'agent_backup_2026-11-24_02-00-00' },
    'the name of a file will do',
  )
  group.match(given('--verify'), { task: 'verify', id: undefined, tiers: ['hot', 'warm'], everything: true })
  group.match(given('--tiers', 'warm'), { task: 'backup', tiers: ['warm'], everything: false })

  await group.test('as a command', async test => {
    const workspace = backupWorkspace(test)
    const before = digestOfFolder(workspace.folder)
    const ended = await workspace.run('backup', ['--tiers', 'wram', '--json'])
    expectStatus(test, ended, 64)
    test.match(ended.json, { outcome: 'failed', error: /wram/ })
    test.equal(digestOfFolder(workspace.folder), before)
    const help = await workspace.run('backup', ['--help'])
    expectStatus(test, help, 0)
    const columns = help.stdout
      .split('\n')
      .flatMap(line => /^ {2}--\S+( \S+)? +/.exec(line)?.[0].length ?? [])
    test.equal(new Set(columns).size, 1, 'the help is in one column')
  })

  await group.test('a name that no backup has', async test => {
    const workspace = backupWorkspace(test)
    const ended = await workspace.run('backup', ['--verify', 'agent_backup_2026-11-24_02-00-00'])
    expectStatus(test, ended, 64)
    test.equal(
      ended.stdout,
      '❌ there is no backup agent_backup_2026-11-24_02-00-00 on hot, warm\n   npx zx scripts/backup.mts --list shows those that there are.\n',
    )
  })
})

await t.test('a second run is turned away, and is told by whom', async test => {
  const workspace = backupWorkspace(test)
  smallDatabase(workspace.database)
  const lock = takeLock(workspace.state, 'backup', {
    job: 'backup',
    pid: 4711,
    since: Date.parse('2026-11-24T02:00Z'),
  })
  const ended = await workspace.run('backup')
  expectStatus(test, ended, 75)
  test.match(
    ended.stdout,
    /^❌ another run holds the backup lock: backup, pid 4711, since 2026-11-24 02:00 UTC\n/,
  )
  test.equal(existsSync(join(workspace.folder, 'backups')), false)
  expectStatus(test, await workspace.run('backup', ['--verify']), 75)
  expectStatus(test, await workspace.run('backup', ['--list']), 0)
  lock.release()
  expectStatus(test, await workspace.run('backup'), 0)
})

await t.test('at its deadline it ends, and leaves no backup that is not whole', async test => {
  const workspace = backupWorkspace(test)
  smallDatabase(workspace.database)
  workspace.configure(sheet => Object.assign(sheet.backup ?? {}, { timeout_minutes: 0.0005 }))
  const ended = await workspace.run('backup', ['--json'])
  expectStatus(test, ended, 124)
  test.match(ended.json, { outcome: 'deadline', exit_status: 124, task: 'backup' })
  workspace.configure(sheet => Object.assign(sheet.backup ?? {}, { timeout_minutes: 1 }))
  expectStatus(test, await workspace.run('backup'), 0)
  test.equal(readdirSync(join(workspace.folder, 'backups/hot')).length, 2, 'a database and its manifest')
})

await t.test('a hot copy is one file that sqlite3 opens, and the database is as it was', async group => {
  for (const mode of ['wal', 'delete'] as const) {
    await group.test(mode, async test => {
      const workspace = backupWorkspace(test)
      const { database } = workspace
      smallDatabase(database, mode)
      chmodSync(database, 0o640)
      const agent = startSession(test, database)
      await agent.run("UPDATE trade_log SET note = 'only in the log' WHERE id = 5")
      const files = () =>
        [...sumsIn(join(workspace.folder, 'data'))].filter(([name]) => !name.endsWith('-shm'))
      const before = [files(), statSync(database).mtimeMs, statSync(database).mode]
      expectStatus(test, await workspace.run('backup'), 0)
      test.same([files(), statSync(database).mtimeMs, statSync(database).mode], before)
      test.same(await agent.run('PRAGMA journal_mode; PRAGMA page_size'), [mode, '1024'])

      const hot = join(workspace.folder, 'backups/hot')
      const [name = ''] = backupsIn(hot)
      test.same(readdirSync(hot).toSorted(), [`${name}.db`, `${name}.manifest.json`])
      for (const file of readdirSync(hot)) test.equal(statSync(join(hot, file)).mode & 0o777, 0o600, file)
      test.equal(statSync(hot).mode & 0o777, 0o700)
      const copy = join(hot, `${name}.db`)
      const said = execFileSync(
        'sqlite3',
        [
          copy,
          'PRAGMA integrity_check; PRAGMA journal_mode; PRAGMA page_size; SELECT note FROM trade_log WHERE id = 5',
        ],
        { encoding: 'utf8' },
      )
      test.same(said.trim().split('\n'), ['ok', 'delete', '1024', 'only in the log'])
      test.equal(readdirSync(hot).length, 2, 'no file beside it')
      test.equal(dump(copy), dump(database))

      const manifest = JSON.parse(readFileSync(join(hot, `${name}.manifest.json`), 'utf8'))
      const warm = join(workspace.folder, 'warm')
      const packed = join(warm, `${name}.db.zst`)
      test.match(manifest, {
        id: name,
        source: { database, journal_mode: mode === 'wal' ? 'wal' : 'rollback', owner: { mode: '640' } },
        database: {
          sha256: sumsIn(hot).get(`${name}.db`),
          page_size: 1024,
          candles: [{ table: 'ohlcv_h4', newest: '2024-05-04T08:00:00.000Z' }],
        },
      })
      const unpacked = join(workspace.folder, 'unpacked.db')
      execFileSync('zstd', ['-dq', packed, '-o', unpacked])
      test.equal(
        sumsIn(workspace.folder).get('unpacked.db'),
        manifest.database.sha256,
        'zstd gives the same file',
      )
    })
  }
})

const statusOf = (ended: Ended) => {
  const checks = (ended.json?.['checks'] ?? []) as {
    name: string
    status: string
    findings: { line: string }[]
    advice: string[]
  }[]
  return checks.find(check => check.name === 'backup_status')
}

await t.test('history, health and metrics have what is there', async test => {
  const { workspace, hot, warm, at } = await threeTiers(test)
  const health = (time: string) => workspace.run('health_check', ['--json'], at(time))
  const metrics = () => {
    const text = readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8')
    test.equal(promtoolFindings(text), '')
    const { samples } = parseMetrics(text)
    const of = (name: string) =>
      new Map(
        [...samples]
          .filter(([series]) => series.startsWith(`${name}{`))
          .map(([series, value]) => [onlyLabel(series), value]),
      )
    return { last: of('backup_last_success_timestamp_seconds'), size: of('backup_size_bytes') }
  }
  test.match(statusOf(await health('2026-11-24T01:59:00Z')), {
    status: 'critical',
    advice: [/^npx zx scripts\/backup\.mts --config /],
  })

  expectStatus(test, await workspace.run('backup', ['--tiers', 'hot'], at('2026-11-24T02:00:00Z')), 0)
  const lacking = statusOf(await health('2026-11-24T02:10:00Z'))
  test.match(lacking, {
    status: 'warning',
    advice: [/backup\.mts --tiers warm /, /backup\.mts --tiers cold /],
  })
  for (const line of lacking?.advice ?? []) {
    const [, , script = '', ...args] = line.split(' ')
    const ended = await workspace.run(
      script.replace(/^scripts\/(.*)\.mts$/, '$1'),
      args,
      at('2026-11-24T02:20:00Z'),
    )
    expectStatus(test, ended, 0)
  }
  test.match(statusOf(await health('2026-11-24T02:30:00Z')), { status: 'ok' }, 'what it advised has helped')

  const { last, size } = metrics()
  test.same([...last.keys()].toSorted(), ['cold', 'hot', 'warm'])
  test.equal(Math.floor((last.get('hot') ?? 0) / 60), Date.parse('2026-11-24T02:00Z') / 60_000)
  test.equal(size.get('hot'), statSync(join(hot, `${backupsIn(hot)[0]}.db`)).size)
  test.equal(size.get('warm'), statSync(join(warm, `${backupsIn(warm).at(-1)}.db.zst`)).size)

  // one is damaged, one is gone: neither counts
  const file = join(hot, `${backupsIn(hot)[0]}.db`)
  const bytes = readFileSync(file)
  bytes[3000] = (bytes[3000] as number) ^ 4
  writeFileSync(file, bytes)
  rmSync(warm, { recursive: true })
  expectStatus(test, await workspace.run('backup', ['--verify'], at('2026-11-24T02:40:00Z')), 1)
  test.same([...metrics().last.keys()], ['cold'])
  test.match(statusOf(await health('2026-11-24T02:45:00Z')), {
    status: 'warning',
    advice: [/--tiers hot /, /--tiers warm /],
  })

  expectStatus(test, await workspace.run('backup', [], at('2026-11-25T02:00:00Z')), 0)
  test.match(statusOf(await health('2026-11-25T02:10:00Z')), { status: 'ok' })

  // the history is lost: what is stored is found again
  const known = query(
    join(workspace.state, 'ops.db'),
    'SELECT tier, id, taken_at, bytes FROM backups WHERE removed_at IS NULL AND failed_at IS NULL ORDER BY tier, id',
  )
  for (const suffix of ['', '-wal', '-shm']) rmSync(join(workspace.state, `ops.db${suffix}`), { force: true })
  const list = await workspace.run('backup', ['--list'], at('2026-11-25T03:00:00Z'))
  expectStatus(test, list, 0)
  test.match(list.stdout, /proven .* ago/)
  expectStatus(
    test,
    await workspace.run('backup', ['--tiers', 'hot', '--if-changed'], at('2026-11-25T03:30:00Z')),
    0,
  )
  expectStatus(test, await workspace.run('backup', ['--verify'], at('2026-11-25T03:40:00Z')), 1)
  const found = query(
    join(workspace.state, 'ops.db'),
    'SELECT tier, id, taken_at, bytes FROM backups WHERE failed_at IS NULL ORDER BY tier, id',
  )
  for (const row of known)
    test.ok(
      found.some(again => JSON.stringify(again) === JSON.stringify(row)),
      JSON.stringify(row),
    )
  test.match(statusOf(await health('2026-11-25T03:50:00Z')), { status: 'ok' })
})

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { lazySnapshotter } from '../scripts/backup/snapshot.ts'
import type { Tier } from '../scripts/backup/tier.ts'
import { openTiers } from '../scripts/backup/tiers.ts'
import { compare } from '../scripts/drill/compare.ts'
import { type Drill, drillTiers } from '../scripts/drill/drill.ts'
import { lookOnce } from '../scripts/drill/live.ts'
import { DrillRecords } from '../scripts/drill/records.ts'
import { loadConfig, type TierName } from '../scripts/job/config.ts'
import { pruneHistory } from '../scripts/job/history_retention.ts'
import { readTotals } from '../scripts/job/history_totals.ts'
import { day, minute } from '../scripts/job/time.ts'
import { execute } from './support/agent_database.ts'
import {
  type BackupsHere,
  backupsHere,
  backupsIn,
  backupWorkspace,
  smallDatabase,
} from './support/backup_here.ts'
import { type Ended, expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { sumsIn } from './support/digest.ts'
import { keptLog } from './support/kept_log.ts'
import { parseMetrics, promtoolFindings } from './support/metrics_text.ts'
import { check, runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { type S3Double, startS3Double } from './support/s3/double.ts'
import { skipWithoutSwift, startSwift } from './support/s3/swift.ts'
import type { Workspace } from './support/workspace.ts'

// A drill restores what a recovery would, elsewhere: what is good is proven, what is bad is found, and nothing is changed.

skipWithoutPackages({ sqlite3: 'sqlite3', prometheus: 'promtool', zstd: 'zstd' })

const random = seededRandom(t)
const signal = new AbortController().signal
const snapshotter = lazySnapshotter(signal, join(t.testdir(), 'compile_cache'))
t.teardown(() => snapshotter.end())
const tierNames = ['hot', 'warm', 'cold'] as const
const [earlier, latest, next] = ['2026-11-24T02:00:00Z', '2026-11-25T02:00:00Z', '2026-11-26T02:00:00Z']
const firstDrill = Date.parse('2026-11-25T02:37:00Z')

type Place = { workspace: Workspace; s3: S3Double; drill: (args?: string[], env?: object) => Promise<Ended> }
type ColdSettings = NonNullable<Parameters<Parameters<Workspace['configure']>[0]>[0]['backup']>['cold']

/** A workspace with three tiers; each has a backup of two days. */
async function backedUp(test: Test, cold: ColdSettings = {}, times = [earlier, latest]): Promise<Place> {
  const s3 = await startS3Double()
  test.teardown(() => s3.close())
  const workspace = backupWorkspace(test)
  workspace.configure(sheet => {
    const { bucket, url: endpoint, region } = s3
    sheet.backup = { ...sheet.backup, cold: { bucket, endpoint, region, path_style: true, ...cold } }
    sheet.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
  })
  smallDatabase(workspace.database, 'wal')
  for (const CANDLEKEEP_NOW of times) {
    execute(workspace.database, "UPDATE trade_log SET side = 'put' || id")
    expectStatus(test, await workspace.run('backup', [], { env: { ...s3.env, CANDLEKEEP_NOW } }), 0)
  }
  // each a minute after the one before
  let at = firstDrill
  const drill = (args: string[] = [], env: object = {}) => {
    const CANDLEKEEP_NOW = new Date(at).toISOString()
    at += minute
    return workspace.run('restore_drill', args, { env: { ...s3.env, CANDLEKEEP_NOW, ...env } })
  }
  return { workspace, s3, drill }
}

/** Rows of the history, as Debian's sqlite3 reads them. */
function rowsOf({ workspace }: Pick<Place, 'workspace'>, sql: string): Record<string, unknown>[] {
  const answer = execFileSync('sqlite3', ['-readonly', '-json', join(workspace.state, 'ops.db'), sql])
  return answer.length === 0 ? [] : (JSON.parse(String(answer)) as Record<string, unknown>[])
}

/** The newest backup of a tier as it is stored, to be read and written by a test. */
function newestOf({ workspace, s3 }: Place, tier: TierName, what: 'data' | 'manifest') {
  const ofManifest = (name: string) => name.endsWith('.manifest.json')
  const isIt = (name: string) => name.includes('2026-11-25') && ofManifest(name) === (what === 'manifest')
  if (tier === 'cold') {
    const object = s3.objects().find(({ key }) => isIt(key))
    if (object === undefined) throw new Error('it is not there')
    return { read: () => object.body, write: (body: Buffer) => void (object.body = body) }
  }
  const folder = join(workspace.folder, tier === 'hot' ? 'backups/hot' : 'warm')
  const file = join(folder, readdirSync(folder).find(isIt) ?? '')
  return { read: () => readFileSync(file), write: (body: Buffer) => writeFileSync(file, body) }
}

/** Changes one byte anywhere; the function puts it right again. */
function flip(place: Place, tier: TierName): () => void {
  const found = newestOf(place, tier, random() < 0.7 ? 'data' : 'manifest')
  const whole = Buffer.from(found.read())
  const bad = Buffer.from(whole)
  const at = Math.floor(random() * bad.length)
  bad[at] = (bad[at] as number) ^ (1 << Math.floor(random() * 8))
  found.write(bad)
  return () => found.write(whole)
}

/** Everything that a drill must leave alone, by its digest. */
function stateOf({ workspace, s3 }: Place): unknown {
  const folders = ['backups/hot', 'warm'].map(name => sumsIn(join(workspace.folder, name)))
  return [folders, s3.objects().map(({ key, etag, body }) => [key, etag, body.length])]
}

const scratchOf = ({ state }: Workspace) =>
  existsSync(join(state, 'scratch')) ? readdirSync(join(state, 'scratch')) : []

await t.test(
  'The newest backup of each tier is restored, proven, and compared with what is live',
  async test => {
    const place = await backedUp(test)
    const { workspace, drill } = place
    execute(
      workspace.database,
      `INSERT INTO trade_log (side) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11) SELECT 'new' FROM n;
     INSERT INTO ohlcv_h4 SELECT max(timestamp) + 14400000, symbol, 1 FROM ohlcv_h4`,
    )
    const before = stateOf(place)
    const ended = await drill()
    expectStatus(test, ended, 0)
    const line = (tier: string) =>
      `✅ ${tier.padEnd(5)} agent_backup_2026-11-25_02-00-\\d\\d restored and proven in [\\d.]+ m?s; ` +
      '(36|37) min( \\d+ s)? old, the live database has 12 rows more, candles 4 h newer\\n'
    test.match(
      ended.stdout,
      new RegExp(`^${tierNames.map(line).join('')}✅ 3/3 tiers restore · 3 backups proven · [\\d.]+ kB · `),
    )
    test.same(stateOf(place), before, 'no tier is changed')
    test.same(scratchOf(workspace), [], 'nothing is left over')
    const rows = rowsOf(place, 'SELECT * FROM drills ORDER BY id')
    test.same(
      rows.map(({ tier, behind_rows, failure }) => ({ tier, behind_rows, failure })),
      tierNames.map(tier => ({ tier, behind_rows: 12, failure: null })),
    )
    for (const { behind_ms, bytes, backup } of rows) {
      test.ok(Math.abs(Number(behind_ms) - 37 * 60_000) < 60_000)
      test.match(backup, /^agent_backup_2026-11-25/)
      test.ok(Number(bytes) > 10_000)
    }
    test.same(
      rowsOf(place, `SELECT tier FROM backups WHERE proven_at >= ${firstDrill} ORDER BY tier`),
      [{ tier: 'cold' }, { tier: 'hot' }, { tier: 'warm' }],
      'what was restored counts as proven anew',
    )
    const { json } = await drill(['--json', '--all', '--tier', 'warm,hot'])
    test.match(json, {
      job: 'restore_drill',
      outcome: 'done',
      drills: [
        { tier: 'hot', result: 'proven', behind_rows: 12, gone_rows: 0, error: null },
        { tier: 'hot', id: /2026-11-24/, result: 'proven' },
        { tier: 'warm', id: /2026-11-25/, result: 'proven' },
        {
          tier: 'warm',
          id: /2026-11-24/,
          candles: [{ table: 'ohlcv_h4', live: '2024-05-04T12:00:00.000Z' }],
        },
      ],
    })
    const text = readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8')
    test.equal(promtoolFindings(text), '')
    const { samples, types } = parseMetrics(text)
    for (const tier of tierNames) {
      const [row] = rowsOf(
        place,
        `SELECT finished_at / 1000.0 AS at, (finished_at - started_at) / 1000.0 AS took FROM drills
       WHERE tier = '${tier}' ORDER BY finished_at DESC`,
      )
      test.equal(samples.get(`restore_drill_last_success_timestamp_seconds{tier="${tier}"}`), row?.['at'])
      test.equal(samples.get(`restore_drill_duration_seconds{tier="${tier}"}`), row?.['took'])
      test.equal(samples.get(`restore_drill_last_status{tier="${tier}"}`), 1)
    }
    test.equal(samples.get('restore_drill_failures_total'), 0)
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const name of types.keys()) test.ok(readme.includes(`\`${name}`), `the README names ${name}`)
  },
)

await t.test('One byte that is another is found on every tier, and marked', async group => {
  const place = await backedUp(group)
  const { workspace, drill } = place
  let failures = 0
  const statusOf = (tier: string) =>
    parseMetrics(readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8')).samples.get(
      `restore_drill_last_status{tier="${tier}"}`,
    )
  for (const tier of tierNames) {
    await group.test(tier, async test => {
      const mend = flip(place, tier)
      const ended = await drill()
      failures++
      expectStatus(test, ended, 2)
      test.match(ended.stdout, new RegExp(`❌ ${tier.padEnd(5)} agent_backup_2026-11-25_\\S+ is DAMAGED: `))
      test.match(
        ended.stdout,
        new RegExp(`✅ ${tier.padEnd(5)} agent_backup_2026-11-24_\\S+ restored and proven`),
        'the one before it is tried, as a recovery would',
      )
      test.match(ended.stdout, new RegExp(`⚠️  2/3 tiers restore · failed: ${tier} · `))
      const marked = rowsOf(place, 'SELECT tier FROM backups WHERE failed_at IS NOT NULL')
      test.same(marked, [{ tier }], 'it is marked')
      test.match(rowsOf(place, `SELECT current, title FROM alert_states WHERE key = 'drill:${tier}'`), [
        { current: 'critical', title: `the ${tier} tier has 1 damaged backup, as a restore drill found` },
      ])
      for (const each of tierNames) test.equal(statusOf(each), each === tier ? 0 : 1, each)
      mend()
      expectStatus(test, await drill(), 0)
      test.same(rowsOf(place, 'SELECT tier FROM backups WHERE failed_at IS NOT NULL'), [], 'and acquitted')
      test.match(rowsOf(place, `SELECT current FROM alert_states WHERE key = 'drill:${tier}'`), [
        { current: 'ok' },
      ])
      test.same(scratchOf(workspace), [])
    })
  }
  await group.test('on all of them', async test => {
    const mends = tierNames.map(tier => flip(place, tier))
    const ended = await drill()
    failures += 3
    expectStatus(test, ended, 1)
    test.match(ended.stdout, /❌ 0\/3 tiers restore · failed: hot, warm, cold · /)
    for (const mend of mends) mend()
    const { samples } = parseMetrics(readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8'))
    test.equal(samples.get('restore_drill_failures_total'), failures)
  })
  await group.test('and stays said while the tier cannot be looked at', async test => {
    const alert = () => rowsOf(place, "SELECT current, title FROM alert_states WHERE key = 'drill:cold'")
    const damaged = {
      current: 'critical',
      title: 'the cold tier has 1 damaged backup, as a restore drill found',
    }
    const mend = flip(place, 'cold')
    expectStatus(test, await drill(), 2)
    test.same(alert(), [damaged])
    place.s3.setFaults([{ do: { kind: 'error', code: 'AccessDenied' } }])
    expectStatus(test, await drill(), 2)
    test.same(alert(), [damaged])
    place.s3.setFaults([])
    mend()
    expectStatus(test, await drill(), 0)
    test.match(alert(), [{ current: 'ok' }])
  })
})

await t.test('A live database that is damaged or not there is said, and is no failure', async test => {
  const { workspace, drill, ...place } = await backedUp(test, {}, [latest])
  const whole = readFileSync(workspace.database)
  for (const suffix of ['-wal', '-shm']) rmSync(workspace.database + suffix, { force: true })
  const bad = Buffer.from(whole).fill(0x5a, 2048, whole.length - 2048)
  for (const [content, said] of [
    [bad, /not compared with the live database: .*damaged/],
    [Buffer.alloc(0), /not compared with the live database: .*is empty/],
    [undefined, /not compared with the live database: .*does not exist/],
  ] as const) {
    if (content === undefined) rmSync(workspace.database)
    else writeFileSync(workspace.database, content)
    const ended = await drill()
    expectStatus(test, ended, 0)
    test.match(ended.stdout, said)
    test.match(ended.stdout, /✅ 3\/3 tiers restore/)
    const rows = rowsOf(
      { workspace, ...place },
      'SELECT behind_rows, failure FROM drills ORDER BY id DESC LIMIT 1',
    )
    test.same(rows, [{ behind_rows: null, failure: null }])
    test.same(scratchOf(workspace), [])
  }
})

await t.test('What is archived is not brought back for a drill', async test => {
  const place = await backedUp(test, { storage_class: 'DEEP_ARCHIVE' }, [latest])
  const ended = await place.drill()
  expectStatus(test, ended, 0)
  test.match(ended.stdout, /–  cold {2}agent_backup_\S+ is archived: not brought back for a drill\n/)
  test.match(ended.stdout, /✅ 2\/3 tiers restore · 1 not tried · /)
  test.notOk(place.s3.requests.some(({ operation }) => operation === 'RestoreObject'))
  test.same(rowsOf(place, "SELECT * FROM drills WHERE tier = 'cold'"), [])
  test.same(rowsOf(place, "SELECT * FROM alert_states WHERE key = 'drill:cold'"), [])
  expectStatus(test, await place.drill(['--tier', 'cold']), 1)
})

await t.test('An encrypted tier needs its key here', async test => {
  const identity = await generateX25519Identity()
  const other = await generateX25519Identity()
  const place = await backedUp(test, { age_recipients: [await identityToRecipient(identity)] }, [latest])
  const none = await place.drill()
  expectStatus(test, none, 2)
  test.match(
    none.stdout,
    /❌ cold {2}\S+ was not restored: it is encrypted, and its key is not here\n {3}→ Set CANDLEKEEP_AGE_IDENTITY/,
  )
  expectStatus(test, await place.drill([], { CANDLEKEEP_AGE_IDENTITY: identity }), 0)
  const wrong = await place.drill(['--tier', 'cold'], { CANDLEKEEP_AGE_IDENTITY: other })
  expectStatus(test, wrong, 1)
  test.match(wrong.stdout, /cannot be decrypted with the identity that is here/)
  test.notMatch(wrong.stdout + none.stdout, identity)
  test.same(rowsOf(place, 'SELECT id FROM backups WHERE failed_at IS NOT NULL'), [], 'none of that is damage')
})

await t.test('A tier that cannot be looked at, or has nothing, fails alone', async test => {
  const place = await backedUp(test, {}, [latest])
  const { workspace, s3, drill } = place
  rmSync(join(workspace.folder, 'warm'), { recursive: true })
  s3.setFaults([{ do: { kind: 'error', code: 'AccessDenied' } }])
  const ended = await drill()
  expectStatus(test, ended, 2)
  test.match(ended.stdout, /❌ warm {2}it has no backup\n/)
  test.match(ended.stdout, /❌ cold {2}s3:\/\/\S+: access is denied: .*\n {3}→ .*--policy/)
  test.same(rowsOf(place, 'SELECT tier, backup FROM drills WHERE failure IS NOT NULL ORDER BY id'), [
    { tier: 'warm', backup: null },
    { tier: 'cold', backup: null },
  ])
  const states = rowsOf(place, "SELECT key, current FROM alert_states WHERE key LIKE 'drill:%' ORDER BY key")
  test.same(states, [
    { key: 'drill:cold', current: 'warning' },
    { key: 'drill:hot', current: 'ok' },
    { key: 'drill:warm', current: 'warning' },
  ])
})

await t.test('A mistake in the flags names the flag, and leaves no trace', async test => {
  const workspace = backupWorkspace(test)
  for (const [args, said] of [
    [['--tier', 'cold'], /--tier: the cheat sheet has no cold tier/],
    [['--tier', 'wram'], /--tier: "wram" is no tier\n\s+Did you mean warm\?/],
    [['--tiers', 'hot'], /--tiers.*\n.*--tier/s],
  ] as const) {
    const ended = await workspace.run('restore_drill', [...args])
    expectStatus(test, ended, 64)
    test.match(ended.stderr + ended.stdout, said)
  }
  test.notOk(existsSync(workspace.state))
})

await t.test('It restores from a real Swift', { skip: skipWithoutSwift() }, async test => {
  const swift = await startSwift(test)
  const workspace = backupWorkspace(test)
  workspace.configure(sheet => {
    const { bucket, url: endpoint, region } = swift
    const plain = {
      storage_class: 'STANDARD',
      checksums: 'when_required',
      conditional_writes: false,
    } as const
    sheet.backup = { ...sheet.backup, cold: { bucket, endpoint, region, path_style: true, ...plain } }
  })
  smallDatabase(workspace.database)
  expectStatus(test, await workspace.run('backup', [], { env: swift.env }), 0)
  const ended = await workspace.run('restore_drill', [], { env: swift.env })
  expectStatus(test, ended, 0)
  test.match(
    ended.stdout,
    /✅ cold {2}agent_backup_\S+ restored and proven .*, the live database has no rows more\n/,
  )
})

// In this process, where a tier can lose a backup at the worst moment.

type Here = BackupsHere & { drill: (change?: (tier: Tier) => Tier, all?: boolean) => Promise<Drill[]> }

/** Three backups on two tiers. */
async function threeHere(test: Test): Promise<Here> {
  const here = backupsHere(test)
  smallDatabase(here.workspace.database)
  for (const time of [earlier, latest, next]) {
    here.at(time)
    execute(here.workspace.database, "UPDATE trade_log SET side = side || 'x'")
    await here.backUp()
  }
  here.at('2026-11-26T04:00:00Z')
  const config = loadConfig(here.workspace.file)
  const scratch = join(config.paths.state, 'scratch', 'drill')
  const tiers = openTiers(config, scratch)
  const now = () => Date.parse('2026-11-26T04:00:00Z')
  const context = { signal, progress: () => () => undefined }
  const { log } = keptLog()
  const shared = { snapshotter, scratch, now, log, context }
  const drill = (change = (tier: Tier) => tier, all = false) =>
    drillTiers(tiers.all.map(change), all, {
      ...shared,
      records: here.records,
      drills: new DrillRecords(here.history, 1),
      key: { name: 'KEY' },
      live: lookOnce({ ...shared, database: config.paths.database }),
    })
  return { ...here, drill }
}

const found = (drills: Drill[]) => drills.map(({ tier, id, result }) => `${tier} ${id?.slice(13)} ${result}`)

await t.test('What the retention removes meanwhile is no failure: the next newest is taken', async test => {
  const here = await threeHere(test)
  let removals = 0
  const drills = await here.drill(tier => ({
    ...tier,
    async read(manifest, context) {
      if (removals++ % 2 === 0) await tier.remove(manifest, context)
      return tier.read(manifest, context)
    },
  }))
  test.same(found(drills), ['hot 2026-11-25_02-00-00 proven', 'warm 2026-11-25_02-00-00 proven'])
  test.same(here.rows('SELECT id FROM backups WHERE failed_at IS NOT NULL'), [])
  test.same(here.rows('SELECT count(*) AS n FROM drills'), [{ n: 2 }])
})

await t.test('Nor is one of which the listing saw half of the removal', async test => {
  const here = await threeHere(test)
  const drills = await here.drill(tier => {
    let isFirst = true
    return {
      ...tier,
      async list(context) {
        const listing = await tier.list(context)
        const [newest, ...backups] = listing.backups
        if (!isFirst || newest === undefined) return { ...listing, backups }
        isFirst = false
        return { backups, broken: [{ name: `${newest.id}.manifest.json`, why: 'its database is gone' }] }
      },
    }
  })
  test.same(found(drills), ['hot 2026-11-25_02-00-00 proven', 'warm 2026-11-25_02-00-00 proven'])
  test.same(here.rows('SELECT id FROM backups WHERE failed_at IS NOT NULL'), [])
})

await t.test('A tier that loses all that it has while it is read is a failure', async test => {
  const here = await threeHere(test)
  const drills = await here.drill(tier => ({
    ...tier,
    async read(manifest, context) {
      await tier.remove(manifest, context)
      return tier.read(manifest, context)
    },
  }))
  test.match(drills, [
    { tier: 'hot', id: null, result: 'failed', why: 'it has no backup' },
    { tier: 'warm', id: null, result: 'failed' },
  ])
})

await t.test('A backup that a run stores meanwhile stays known', async test => {
  const here = await threeHere(test)
  let newer = ''
  await here.drill(tier => ({
    ...tier,
    async list(context) {
      const listing = await tier.list(context)
      if (newer === '') {
        here.at('2026-11-26T03:59:00Z')
        newer = (await here.backUp()).facts.id
      }
      return listing
    },
  }))
  test.same(here.rows(`SELECT removed_at AS at FROM backups WHERE id = '${newer}'`), [
    { at: null },
    { at: null },
  ])
})

await t.test(
  'What a clock that was ahead has dated in the future does not stand in for the newest',
  async test => {
    const here = await threeHere(test)
    here.at('2027-06-01T00:00:00Z')
    await here.backUp()
    test.same(found(await here.drill()), [
      'hot 2026-11-26_02-00-00 proven',
      'warm 2026-11-26_02-00-00 proven',
    ])
    const all = found(await here.drill(tier => tier, true))
    test.equal(all.length, 2 * backupsIn(here.hot).length)
    test.match(all.at(-1), /2027-06-01/, 'with all, it is the last')
  },
)

await t.test('A history that knows nothing of a backup learns of it', async test => {
  const here = await threeHere(test)
  here.history.transact(database => database.exec('DELETE FROM backups'))
  const file = join(here.warm, `${backupsIn(here.warm).at(-1)}.db.zst`)
  writeFileSync(file, readFileSync(file).fill(0, 100, 101))
  await here.drill()
  test.same(here.rows('SELECT tier, failed_at IS NULL AS good FROM backups ORDER BY tier, id DESC'), [
    { tier: 'hot', good: 1 },
    { tier: 'warm', good: 0 },
    { tier: 'warm', good: 1 },
  ])
})

await t.test('A backup that cannot be given to its owner is a failure, and not damaged', async test => {
  const here = await threeHere(test)
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]
  const nobody = { uid: 2 ** 32 + 5, gid, mode: '640' }
  const drills = await here.drill(tier => ({
    ...tier,
    async list(context) {
      const { backups, ...others } = await tier.list(context)
      const changed = backups.map(each => ({ ...each, source: { ...each.source, owner: nobody } }))
      return { ...others, backups: changed }
    },
  }))
  test.match(drills[0], {
    result: 'failed',
    why: /cannot be given to its owner/,
    hint: /as that user, or as root/,
  })
  test.same(here.rows('SELECT id FROM backups WHERE failed_at IS NOT NULL'), [])
  test.match(await here.drill(), [{ result: 'proven' }, { result: 'proven' }], `that of ${uid} can`)
})

await t.test('Failures that the history has let go are still counted', async test => {
  const here = backupsHere(test)
  const start = Date.parse('2025-01-01T00:00:00Z')
  here.history.transact(database => {
    const run = database.prepare(
      `INSERT INTO runs (job, pid, started_at, finished_at, outcome) VALUES ('restore_drill', 1, ?, ?, 'done')`,
    )
    const note = database.prepare(
      `INSERT INTO drills (run, tier, started_at, finished_at, failure) VALUES (?, 'hot', ?, ?, ?)`,
    )
    for (let week = 0; week < 80; week++) {
      const at = start + week * 7 * day
      const { lastInsertRowid } = run.run(at, at)
      note.run(lastInsertRowid, at, at, week % 4 === 0 ? 'bad' : null)
    }
  })
  const totalOf = () => here.history.transact(readTotals).get('restore_drill_failures_total')
  test.equal(totalOf(), 20)
  const pruned = here.history.transact(database => pruneHistory(database, start + 80 * 7 * day))
  test.not(pruned, 'nothing')
  const [left] = here.rows('SELECT count(*) AS n FROM drills WHERE failure IS NOT NULL') as { n: number }[]
  test.ok((left?.n ?? 20) < 20, `${left?.n} are left`)
  test.equal(totalOf(), 20)
})

await t.test('The comparison counts what each of two databases has more, table by table', test => {
  const name = fc.constantFrom('a', 'b', 'c', '__proto__', '7')
  const tables = fc.uniqueArray(fc.record({ name, rows: fc.nat(5) }), { selector: table => table.name })
  const time = fc.option(fc.nat(3).map(n => new Date(n * day).toISOString()))
  const candles = fc.uniqueArray(fc.record({ table: name, newest: time }), { selector: ({ table }) => table })
  const content = fc.record({ tables, candles })
  check(
    fc.property(content, content, (backup, live) => {
      const result = compare(backup, live)
      // one row after the other, as a person would with two heaps of cards
      const heap = (from: typeof backup) =>
        from.tables.flatMap(table => Array<string>(table.rows).fill(table.name))
      const without = (one: string[], other: string[]) => {
        const left = [...other]
        return one.filter(card => {
          const at = left.indexOf(card)
          if (at >= 0) left.splice(at, 1)
          return at < 0
        })
      }
      const newer = live.candles.map(({ table, newest }) => {
        const own = backup.candles.find(candle => candle.table === table)?.newest ?? newest
        return newest === null || own === null ? 0 : Date.parse(newest) - Date.parse(own)
      })
      return (
        result.behindRows === without(heap(live), heap(backup)).length &&
        result.goneRows === without(heap(backup), heap(live)).length &&
        result.behindCandlesMs === Math.max(0, ...newer) &&
        compare(live, live).tables.length + compare(backup, backup).candles.length === 0
      )
    }),
    runs(300),
  )
  test.end()
})

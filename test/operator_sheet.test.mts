import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { checkConfig } from '../scripts/job/config.ts'
import { markdownSheet } from '../scripts/operator/markdown.ts'
import { expectStatus } from './support/command.ts'
import { commandsIn, helpOf } from './support/commands_named.ts'
import { sumsIn } from './support/digest.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { makeWorkspace } from './support/workspace.ts'

// What an operator has at hand: that it is true, and that what it says to type exists.

const project = join(import.meta.dirname, '..')
const symbols = ['BTCUSDT', 'ETHUSDT']

async function setUp(test: Test) {
  const replay = await startReplay({ source: generatedSource({ symbols }) })
  test.teardown(() => replay.close())
  const workspace = makeWorkspace(test, { url: replay.url, symbols })
  workspace.configure(changed => (changed.health = { min_database_mb: 0, min_free_disk_ratio: 0 }))
  return workspace
}

type Check = { name: string; status: string }
const statusesOf = (json: Record<string, unknown> | undefined) =>
  ((json?.['checks'] ?? []) as Check[]).map(({ name, status }) => `${name} ${status}`)

await t.test('the morning is answered by the checks', async group => {
  const workspace = await setUp(group)
  expectStatus(group, await workspace.run('daily_candle_sync'), 0)

  await group.test('as the health check has it, and leaves no trace', async test => {
    const history = () => sumsIn(workspace.state).get('ops.db')
    const before = history()
    const { json } = await workspace.run('cheat_sheet', ['--json'])
    const shown = await workspace.run('cheat_sheet')
    expectStatus(test, shown, 0)
    test.ok(before)
    test.equal(history(), before, 'its history is as it was')
    const log = join(workspace.state, 'ops.db-wal')
    test.notOk(existsSync(log) && statSync(log).size > 0, 'and nothing waits to be written into it')
    const checked = await workspace.run('health_check', ['--quick', '--json'])
    test.same(statusesOf(json), statusesOf(checked.json))
    test.ok(statusesOf(json).includes('backup_status critical'), 'one of them is not well')
    const [first = ''] = shown.stdout.split('\n\n')
    test.match(
      first,
      /^Every morning, 08:00 UTC\n✅ Are the last sync .* younger than 26 h\?\n {5}last sync /,
    )
    test.equal(first.match(/^(?:✅|⚠️ |❌|❓) /gmu)?.length, 6)
    test.match(
      first,
      /^❌ Has each tier a proven backup.*\n {5}there is no proven backup.*\n(?:.*\n)*? {5}→ npx zx/m,
    )
  })

  await group.test('and tells of what is broken', async test => {
    rmSync(workspace.database)
    const { stdout } = await workspace.run('cheat_sheet')
    test.match(stdout, /^❌ Is the database sound\?\n {5}.*agent\.db is not there$/m)
    test.match(stdout, /^When a sync fails$/m, 'and the rest of the page is there')
  })
})

await t.test('where no job has run, the page is there all the same', async test => {
  const workspace = await setUp(test)
  const ended = await workspace.run('cheat_sheet')
  expectStatus(test, ended, 0)
  test.match(ended.stderr, 'The checks cannot be made: no job has run here')
  test.equal(ended.stdout.match(/^❓ /gm)?.length, 6)
  test.strictSame(readdirSync(workspace.folder), ['cheat_sheet.json'])
})

await t.test('what excludes each other is a usage error', async test => {
  const workspace = await setUp(test)
  const ended = await workspace.run('cheat_sheet', ['--markdown', '--test-alert'])
  expectStatus(test, ended, 64)
  test.match(ended.stdout, '--test-alert and --markdown exclude each other')
})

await t.test('the page in the documents', async group => {
  const page = readFileSync(join(project, 'docs/cheat_sheet.md'), 'utf8')

  await group.test('is what --markdown prints', async test => {
    const workspace = await setUp(test)
    const { stdout } = await workspace.run('cheat_sheet', ['--markdown'], {
      env: { CANDLEKEEP_CONFIG: undefined },
    })
    test.equal(stdout, page)
  })

  await group.test('names commands, flags and pages that there are, and all commands', test => {
    const named = commandsIn(page)
    test.ok(named.length > 40, `${named.length} commands`)
    for (const { script, flags } of named) {
      const help = helpOf(script)
      test.ok(help, `there is ${script}`)
      for (const flag of flags) test.match(help, new RegExp(`${flag}(?![a-z-])`), `${script} has ${flag}`)
    }
    for (const [, target = ''] of page.matchAll(/\]\(([^)]+)\)/g))
      test.ok(readFileSync(join(project, 'docs', target)), target)
    const reference = new Set(commandsIn(page.split('\n## Commands\n')[1] ?? '').map(({ script }) => script))
    // the demo is no part of operations, and nobody uninstalls by a cheat sheet
    const others = ['scripts/demo.mts', 'provision/uninstall.mts']
    const all = ['scripts', 'provision'].flatMap(folder =>
      readdirSync(join(project, folder))
        .filter(name => name.endsWith('.mts'))
        .map(name => `${folder}/${name}`),
    )
    test.same(
      all.filter(script => !reference.has(script)),
      others.toSorted().toReversed(),
    )
    test.end()
  })

  await group.test('has its numbers and places from the cheat sheet', test => {
    const changed = structuredClone({ ...sheet })
    changed.health = {
      ...changed.health,
      max_data_age_hours: 27,
      max_backup_age_hours: 28,
      min_database_mb: 11,
    }
    changed.health.min_free_disk_ratio = 0.07
    changed.schedule = { ...changed.schedule, daily_sync: '05:10', backup: '06:20', hot_snapshot_minutes: 30 }
    changed.sla = { ...changed.sla, rto_minutes: 41 }
    changed.paths = { ...changed.paths, jobs: '/srv/jobs', logs: '/srv/log' }
    const text = markdownSheet(checkConfig(changed, 'another'))
    for (const wanted of [
      'younger than 27 h',
      'backup younger than 28 h',
      'larger than 11 MB, and 7 %',
      'every day at 05:10 UTC',
      'every day at 06:20 UTC',
      'every 30 minutes',
      '| 41 min |',
      '/srv/jobs/candlekeep.sh backup',
      'tail -n 40 /srv/log/daily_sync.log',
    ])
      test.match(text, wanted)
    test.notMatch(text, '/opt/jobs')
    test.end()
  })
})

import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { alertsFor, channelEnvironment } from './support/alerts/here.ts'
import { shownBySlack, startServices } from './support/alerts/services.ts'
import { monthEnd, on, writeKnownMonth } from './support/audit/known_month.ts'
import { type HistoryWriter, writeHistory } from './support/audit/written_history.ts'
import { expectStatus } from './support/command.ts'
import { makeWorkspace, type Workspace } from './support/workspace.ts'

/** A workspace at the end of the known month, or with another history. */
function workspaceWith(test: Test, write?: (history: HistoryWriter) => void): Workspace {
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:9', now: monthEnd })
  workspace.configure(sheet => {
    sheet.backup = { warm: { path: 'backups/warm', mount: null }, cold: { bucket: 'abc' } }
  })
  mkdirSync(workspace.state)
  if (write === undefined) writeKnownMonth(workspace.state)
  else {
    const history = writeHistory(workspace.state)
    write(history)
    history.close()
  }
  return workspace
}

await t.test('an audit of 30 days', async group => {
  const workspace = workspaceWith(group)

  await group.test('has a line for each target, each incident and each note', async test => {
    const ended = await workspace.run('sla_audit')
    expectStatus(test, ended, 3)
    const lines = ended.stdout.trimEnd().split('\n')
    test.equal(lines[0], 'SLA audit: 2028-02-10 00:00 UTC to 2028-03-11 00:00 UTC, 30 d')
    test.same(
      lines.slice(1, 6).map(line => line.replace(/ {2,}.*/, '')),
      [
        '❌ Availability',
        '❌ Recovery point (RPO) 13 h 1 min',
        '✅ Recovery time (RTO)',
        '❌ Freshness',
        '❌ Sync duration',
      ],
    )
    test.match(ended.stdout, /Sync days +27\/30 days with a complete sync/)
    test.match(ended.stdout, /Backups, cold +90 % of 30 +27\/30 days/)
    test.match(
      ended.stdout,
      /2028-02-15 06:00 UTC {2}damaged database, 3 h 32 min: SQLite finds 3 faults; the newest proven backup was 30 min old; recovery_1/,
    )
    test.equal(
      lines.at(-1),
      '❌ 1 of 5 targets met · missed: Availability, Recovery point (RPO), Freshness, Sync duration',
    )
    test.equal(ended.stderr, '')
  })

  await group.test('is one JSON object', async test => {
    const ended = await workspace.run('sla_audit', ['--json'])
    expectStatus(test, ended, 3)
    test.match(ended.json, {
      job: 'sla_audit',
      outcome: 'done',
      exit_status: 3,
      period: { from: '2028-02-10T00:00:00.000Z', to: '2028-03-11T00:00:00.000Z' },
      covered: { from: '2028-02-10T00:00:00.000Z', to: '2028-03-11T00:00:00.000Z' },
      targets: {
        availability: { verdict: 'missed', target: 0.995 },
        rpo: { verdict: 'missed', target_seconds: 7200, measured_seconds: 46_860 },
        rto: { verdict: 'met', target_seconds: 1800, measured_seconds: 720 },
        freshness: { verdict: 'missed', target_seconds: 93_600 },
        sync: { verdict: 'missed', measured_seconds: 1860 },
      },
      availability: {
        judged_seconds: 2_592_000,
        down_seconds: 169_440 + 12_720,
        error_budget_seconds: 12_960,
      },
      sync_days: { judged: 30, complete: 27 },
      recoveries: [{ id: 'recovery_1', rto_seconds: 720, rpo_seconds: 6600, rows_lost: 7 }],
    })
  })

  await group.test('leaves nothing behind: it is only a look', async test => {
    test.notOk(existsSync(workspace.logs))
    test.notOk(existsSync(join(workspace.folder, 'metrics')))
  })

  await group.test('is a Markdown document', async test => {
    const file = join(workspace.folder, 'audit.md')
    expectStatus(test, await workspace.run('sla_audit', ['--markdown', file]), 3)
    const text = readFileSync(file, 'utf8')
    test.match(text, /^\| Recovery time \(RTO\) \| 12 min \| at most 30 min \| met \|/m)
    for (const table of text.match(/(^\|.*\n)+/gm) ?? []) {
      const cells = table
        .trimEnd()
        .split('\n')
        .map(line => line.replaceAll('\\|', '').split('|').length)
      test.equal(new Set(cells).size, 1, `all rows have the same cells: ${table.slice(0, 40)}`)
    }
    test.equal(text.match(/^\| --- /gm)?.length, 6, 'it has its tables')
    test.same(
      [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title),
      ['Targets', 'Incidents', 'Backups by tier', 'Recoveries and drills', 'Days', 'Syncs', 'Notes'],
    )
  })

  await group.test('can be of any time', async test => {
    const judged = async (args: string[]) => {
      const { json } = await workspace.run('sla_audit', ['--json', ...args])
      return json?.['period']
    }
    const days = (from: number, to: number) => {
      return { from: new Date(from).toISOString(), to: new Date(to).toISOString() }
    }
    test.same(await judged(['--days', '3']), days(on(27), monthEnd))
    test.same(await judged(['--days', '2', '--to', '2028-02-20']), days(on(8), on(10)))
    test.same(await judged(['--from', '2028-02-12T06:00Z', '--to', '2028-02-13']), days(on(2, 6), on(3)))
    test.same(await judged(['--from', '36h']), days(on(28, 12), monthEnd))
  })

  await group.test('is of a time that makes sense, or a usage error', async test => {
    const cases: [args: string[], said: RegExp][] = [
      [['--days', '0'], /--days "0" is not a whole number from 1 to 400/],
      [['--days', '3', '--from', '3d'], /--days and --from exclude each other/],
      [['--from', '2028-02-30'], /--from "2028-02-30" is not a time/],
      [['--from', '2028-02-20', '--to', '2028-02-20'], /no time between --from and --to/],
      [['--htlm', 'a.html'], /Did you mean --html/],
    ]
    for (const [args, said] of cases) {
      const ended = await workspace.run('sla_audit', args)
      expectStatus(test, ended, 64)
      test.match(ended.stdout, said)
    }
  })

  await group.test('says where a document cannot be written', async test => {
    const ended = await workspace.run('sla_audit', ['--markdown', join(workspace.folder, 'nowhere/a.md')])
    expectStatus(test, ended, 1)
    test.match(ended.stdout, /nowhere\/a\.md cannot be written: ENOENT/)
  })
})

await t.test('a time in which every target was met ends with 0', async test => {
  const workspace = workspaceWith(test, history => {
    history.sync(on(29, 1), on(29, 1, 2))
    history.check(on(29, 1, 5), 'ok')
    for (let h = 1; h < 23; h++) history.backup(on(29, h, 30), ['hot', 'warm', 'cold'])
    const run = history.run({ job: 'restore_drill', from: on(29, 3), to: on(29, 3, 5) })
    history.drill(run, 'hot', on(29, 3), on(29, 3, 5))
  })
  const ended = await workspace.run('sla_audit', ['--from', '2028-03-10T01:00', '--to', '2028-03-10T23:00'])
  expectStatus(test, ended, 0)
  test.match(ended.stdout, /✅ all 5 targets met\n$/)
})

await t.test('a history that is not there yet is empty; one that cannot be read is none', async test => {
  const workspace = workspaceWith(test, () => undefined)
  const empty = await workspace.run('sla_audit', ['--json'])
  expectStatus(test, empty, 0)
  test.equal(empty.json?.['covered'], null)
  test.match(empty.stderr, /The history is empty: there is nothing to judge/)
  writeFileSync(join(workspace.state, 'ops.db'), 'no database')
  const damaged = await workspace.run('sla_audit')
  expectStatus(test, damaged, 1)
  test.match(damaged.stdout, /the history cannot be read/)
  test.equal(readFileSync(join(workspace.state, 'ops.db'), 'utf8'), 'no database', 'it is left as it is')
})

await t.test('text that comes from anywhere is no markup in a document', async test => {
  const hostile = 'a | b\n\n# c <script>alert(1)</script> [x](http://evil.example) `d` & *e*'
  const workspace = workspaceWith(test, history => {
    history.sync(on(28, 1), on(28, 1, 31), { outcome: 'deadline', summary: hostile })
    history.sync(on(29, 1), on(29, 1, 2))
  })
  const file = join(workspace.folder, 'audit.md')
  await workspace.run('sla_audit', ['--markdown', file])
  const text = readFileSync(file, 'utf8')
  test.notMatch(text, /(?<!\\)(<script|\n# c|\[x\])/)
  const row = text.split('\n').find(line => line.includes('slow sync'))
  test.equal(row?.replaceAll('\\|', '').split('|').length, 7, 'its row has the cells of every other')
})

await t.test('a month is kept, and people are told of it', async test => {
  const services = await startServices(test)
  const workspace = workspaceWith(test)
  workspace.configure(sheet => {
    sheet.alerts = {
      ...alertsFor(services),
      routes: { critical: ['slack', 'pagerduty'], warning: ['slack', 'pagerduty'], info: ['slack'] },
    }
  })
  const env = channelEnvironment(services)
  const ended = await workspace.run('sla_audit', ['--month', '--json'], { env })
  expectStatus(test, ended, 0)
  test.match(ended.json, {
    month: '2028-02',
    exit_status: 0,
    period: { from: '2028-02-01T00:00:00.000Z', to: '2028-03-01T00:00:00.000Z' },
    covered: { from: '2028-02-08T00:00:00.000Z', to: '2028-03-01T00:00:00.000Z' },
    targets: { freshness: { verdict: 'missed' } },
  })
  const kept = ['html', 'json'].map(suffix => join(workspace.state, `audits/2028-02.${suffix}`))
  test.same(ended.json?.['kept'], kept)
  const figures = JSON.parse(readFileSync(kept[1] ?? '', 'utf8')) as Record<string, unknown>
  test.same(figures['targets'], ended.json?.['targets'])
  test.equal(figures['month'], '2028-02')
  test.match(readFileSync(kept[0] ?? '', 'utf8'), /^<!doctype html>[^]*<\/html>\n$/)

  const [message, ...others] = services.slack
  test.same([others, services.pagerduty, services.faults], [[], [], []], 'it is news, and nobody is called')
  test.match(message?.text, /INFO: SLA audit of 2028-02: 2 of 5 targets met · missed: Availability/)
  const shown = message === undefined ? '' : shownBySlack(message)
  test.match(shown, /Availability: \d[\d.]* %, promised at least 99.5 %, MISSED; error budget/)
  test.match(shown, /damaged database for 3 h 32 min/)
  test.match(shown, /kept: .*audits\/2028-02\.html/)
  const metrics = readFileSync(join(workspace.folder, 'metrics/candlekeep.prom'), 'utf8')
  test.match(metrics, /^job_last_exit_status\{name="sla_audit"\} 0$/m, 'monitoring sees that it ran')

  const again = await workspace.run('sla_audit', ['--month', '2028-02'], { env })
  expectStatus(test, again, 0)
  test.equal(services.slack.length, 1, 'people are told once')

  const before = statSync(kept[0] ?? '')
  const [asCron, other] = [
    ['--month', '--unless-kept'],
    ['--month', '2028-01', '--unless-kept'],
  ]
  const second = await workspace.run('sla_audit', asCron, { env })
  expectStatus(test, second, 0)
  test.match(second.stdout, 'the audit of 2028-02 is kept already')
  test.equal(statSync(kept[0] ?? '').ino, before.ino, 'it is not written again')
  const unknown = await workspace.run('sla_audit', other, { env })
  expectStatus(test, unknown, 0)
  test.match(unknown.stdout, 'the history begins after 2028-01')
  test.equal(services.slack.length, 1, 'nobody is told of a time before')
  rmSync(kept[1] ?? '')
  expectStatus(test, await workspace.run('sla_audit', asCron, { env }), 0)
  test.ok(existsSync(kept[1] ?? ''), 'what was not kept whole is made again')
})

await t.test('a month is one that is over', async test => {
  const workspace = workspaceWith(test, () => undefined)
  const cases: [args: string[], said: RegExp][] = [
    [['--month', '2028-03'], /--month 2028-03 is not over yet/],
    [['--month', '2028-13'], /--month "2028-13" is not a month/],
    [['--month', '--days', '3'], /--month and --days exclude each other/],
    [['--unless-kept'], /--unless-kept goes with --month/],
  ]
  for (const [args, said] of cases) {
    const ended = await workspace.run('sla_audit', args)
    expectStatus(test, ended, 64)
    test.match(ended.stdout, said)
  }
  test.notOk(existsSync(join(workspace.state, 'audits')))
})

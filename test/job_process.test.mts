import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { type CommandOptions, expectStatus, runCommand } from './support/command.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import type { FaultRule } from './support/exchange/faults.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { mountFullDisk, skipWithoutRoot } from './support/full_disk.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './support/workspace.ts'

const sync = 'daily_candle_sync'
const now = Date.parse('2024-05-05T12:10:30Z')
const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
const silence: FaultRule[] = [{ when: { path: 'klines' }, do: { kind: 'stall', ms: 600_000 } }]

/** A workspace and its exchange. */
async function setUp(test: Test, faults: FaultRule[] = []) {
  const source = generatedSource({ symbols })
  const replay = await startReplay({ source, faults, clock: new ReplayClock({ at: now, rate: 0 }) })
  test.teardown(() => replay.close())
  const workspace = makeWorkspace(test, { url: replay.url, symbols, now })
  // longer than any test: a run that is stalled stays so
  workspace.configure(sheet => (sheet.sync.request_timeout_seconds = 120))
  return { replay, workspace }
}

/** A sync of an exchange that falls silent, ended by `stop` or by its deadline. */
async function stopped(test: Test, outcome: string, status: number, stop: (pid: number) => void) {
  const { workspace, replay } = await setUp(test, silence)
  if (outcome === 'deadline') workspace.configure(sheet => (sheet.sync.timeout_minutes = 0.02))
  const running = workspace.start(sync, ['--json'])
  if (outcome === 'interrupted') await until(() => replay.requests.some(({ symbol }) => symbol !== undefined))
  stop(running.pid)
  const ended = await running.ended
  test.equal(ended.status, status)
  test.match(ended.json, { outcome, exit_status: status, error: String, duration_seconds: Number })
  test.match(ended.stderr, /^❌ stopped: .*; what was committed before stays\n$/)
  const [row] = runRows(workspace)
  test.match(row, {
    outcome,
    exit_status: status,
    log_file: join(workspace.logs, workspace.logFiles()[0] ?? ''),
  })
  test.match(workspace.logLines().at(-1), { outcome, message: /^stopped: / })
  replay.setFaults([])
  workspace.configure(sheet => (sheet.sync.timeout_minutes = 10))
  test.equal((await workspace.run(sync)).status, 0, 'the next run makes up for it')
}

type Ping = { path: string; body: string }

/** A listener that answers as told, or not at all. */
async function listen(test: Test, status: number | undefined) {
  const pings: Ping[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part.toString()))
    request.on('end', () => {
      pings.push({ path: request.url ?? '', body })
      if (status !== undefined) response.writeHead(status).end('as told')
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  test.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { pings, url: `http://127.0.0.1:${port}/marker-41d8` }
}

/** Runs a sync with pings to `url`, and looks for that in everything that is left of the run. */
async function syncWith(test: Test, url: string, faults: FaultRule[] = []) {
  const { workspace } = await setUp(test, faults)
  const ended = await workspace.run(sync, ['--json'], { env: { CANDLEKEEP_HEARTBEAT_URL: url } })
  const files = readdirSync(workspace.folder, { recursive: true, withFileTypes: true })
  const left = files
    .filter(file => file.isFile())
    .map(file => readFileSync(join(file.parentPath, file.name), 'utf8'))
  test.notOk(
    [ended.stdout, ended.stderr, ...left].some(text => text.includes('marker')),
    'its address is not shown',
  )
  return ended
}

/** Most of the time is waiting for processes: the groups run side by side. */
const groups: Promise<unknown>[] = []
t.jobs = 3

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10)
}

type RunRow = { pid: number; outcome: string; exit_status: number | null; summary: string; log_file: string }

function runRows({ state }: Workspace): RunRow[] {
  const database = new Database(join(state, 'ops.db'), { readonly: true })
  const rows = database.prepare('SELECT * FROM runs ORDER BY id').all() as RunRow[]
  database.close()
  return rows
}

/** A command of the tests' own, in a file of its own, that runs in the job frame. */
function writeJob(folder: string, work: string, before = ''): string {
  const file = join(folder, 'own_job.mts')
  const frame = new URL('../scripts/job/job.ts', import.meta.url).href
  writeFileSync(
    file,
    `import { appendFileSync, existsSync } from 'node:fs'
     import { setTimeout as delay } from 'node:timers/promises'
     import { job } from '${frame}'
     ${before}
     await job(
       {
         name: 'own_job', script: import.meta.filename, summary: '', flags: {}, locks: ['candles'],
         wishes: () => undefined, recorded: () => true, deadlineMs: config => config.sync.timeout_minutes * 60_000,
       },
       async ({ id, config }) => {
         ${work}
         return { outcome: 'done', report: ['✅ done'], summary: 'done', figures: {} }
       },
     )`,
  )
  return file
}

groups.push(
  t.test('a command', async group => {
    await group.test(
      'says with --json what it did in one object, and to people on standard error',
      async test => {
        const { workspace } = await setUp(test)
        const { status, json, stderr } = await workspace.run(sync, ['--json'])
        test.equal(status, 0)
        test.match(json, { job: 'daily_sync', outcome: 'done', exit_status: 0, complete: 3, inserted: 126 })
        test.match(stderr, /^✅ 3\/3 4h symbols complete/)
        const again = await workspace.run(sync, [], { cwd: '/' })
        test.equal(again.status, 0)
        test.match(again.stdout, /^✅ 3\/3/)
        test.equal(again.stderr, '')
      },
    )

    await group.test('that fails says why in the same way', async test => {
      const folder = temporaryFolder(test)
      const file = join(folder, 'sheet.json')
      writeFileSync(file, '{"paths": {"workspace": "."}, "sync": {"symbls": ["BTCUSDT"]}}')
      const refused = await runCommand(sync, ['--config', file, '--json'])
      const error = `${file} is not valid:\n  sync.symbols: is missing\n  sync.symbls: unknown key — did you mean "symbols"?`
      test.strictSame(refused.json, { job: 'daily_sync', outcome: 'failed', exit_status: 78, error })
      test.strictSame([refused.status, refused.stderr], [78, `❌ ${error}\n`])
      test.same(readdirSync(folder), ['sheet.json'], 'nothing was made')

      const absent = await runCommand(sync, ['--json'], { env: { CANDLEKEEP_CONFIG: '/absent.json' } })
      test.match(absent, { status: 78, json: { exit_status: 78, hint: 'Name one with --config FILE' } })
      const unknown = await runCommand(sync, ['--symbls', 'X', '--json'])
      test.match(unknown, { status: 64, json: { exit_status: 64, hint: 'Did you mean --symbols?' } })
      const plain = await runCommand(sync, ['--symbols'])
      test.equal(plain.status, 64)
      test.equal(
        plain.stdout + plain.stderr,
        '❌ --symbols needs a value: --symbols all|A,B\n   --help shows the flags.\n',
      )
    })

    await group.test('is asked for the same by node and by npx zx', async test => {
      const { workspace } = await setUp(test)
      for (const runner of [undefined, ['npx', 'zx']]) {
        const by: CommandOptions = { runner }
        const help = await workspace.run(sync, ['--help'], by)
        test.equal(help.status, 0)
        for (const flag of [
          'symbols',
          'interval',
          'since',
          'lookback',
          'reread',
          'dry-run',
          'config',
          'json',
          'help',
        ])
          test.match(help.stdout, `--${flag} `)
        const misspelt = await workspace.run(sync, ['--lokback=4'], by)
        test.equal(misspelt.status, 64)
        test.match(misspelt.stdout + misspelt.stderr, 'Did you mean --lookback?')
      }
      const wrong: [args: string[], message: string][] = [
        [['--lookback=0'], '--lookback "0" is not a whole number from 1 to 1000000'],
        [['--since', '2026-02-30'], '--since "2026-02-30" is not a time'],
        [['--symbols=BTCUSD'], '--symbols: "BTCUSD" is not in the cheat sheet'],
      ]
      for (const [args, message] of wrong) {
        const refused = await workspace.run(sync, ['--json', ...args])
        test.match(refused, { status: 64, json: { error: message, hint: String } }, message)
      }
    })

    await group.test('says which Node it needs when it runs on an old one', async test => {
      const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.18.0' } })`
      const runner = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(old)}`]
      const { workspace } = await setUp(test)
      const refused = await workspace.run(sync, [], { runner })
      test.equal(refused.status, 78)
      test.match(refused.stderr, /^candlekeep needs Node 24 or newer; this is v/)
      test.match(refused.stderr, 'npx zx scripts/')
      test.same(readdirSync(workspace.folder), ['cheat_sheet.json'], 'nothing was made')
    })

    await group.test('goes on when nobody reads what it says', async test => {
      const { workspace } = await setUp(test, [{ do: { kind: 'stall', ms: 100 } }])
      const child = spawn(process.execPath, [`scripts/${sync}.mts`], {
        env: { ...process.env, ...workspace.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child.stdout.destroy()
      child.stderr.destroy()
      test.same(await once(child, 'close'), [0, null])
      test.match(runRows(workspace), [{ outcome: 'done' }])
    })
  }),
)

groups.push(
  t.test('the lock', async group => {
    await group.test('turns a second run away, and dies with a run that is killed', async test => {
      const { workspace, replay } = await setUp(test, silence)
      const first = workspace.start(sync)
      await until(() => replay.requests.some(({ symbol }) => symbol !== undefined))
      for (const cwd of [undefined, '/']) {
        const second = await workspace.run(sync, ['--json'], { cwd })
        test.equal(second.status, 75)
        const error = `another run holds the candles lock: daily_sync, pid ${first.pid}, since 2024-05-05 12:10 UTC`
        test.match(second.json, { error, exit_status: 75 })
      }
      replay.setFaults([])
      test.equal((await workspace.run(sync, ['--dry-run'])).status, 0, 'a look at the plan needs no lock')

      first.kill('SIGKILL')
      test.equal((await first.ended).signal, 'SIGKILL')
      test.equal((await workspace.run(sync)).status, 0)
      test.match(runRows(workspace), [
        { pid: first.pid, outcome: 'killed', exit_status: null, summary: 'the process died' },
        { outcome: 'done', exit_status: 0 },
      ])
    })

    await group.test('lets one of twenty in at a time', async test => {
      const { workspace } = await setUp(test)
      const [diary, go] = [join(workspace.folder, 'diary'), join(workspace.folder, 'go')]
      const script = writeJob(
        workspace.folder,
        `note('in')
       await delay(200)
       note('out')`,
        `const note = word => appendFileSync(${JSON.stringify(diary)}, word + ' ' + process.pid + '\\n')
       console.error('ready')
       while (!existsSync(${JSON.stringify(go)})) await delay(5)`,
      )
      const runs = Array.from({ length: 20 }, () => workspace.start(script))
      await until(() => runs.every(run => run.output().includes('ready')))
      writeFileSync(go, '')
      const statuses = (await Promise.all(runs.map(({ ended }) => ended))).map(({ status }) => status)
      const entered = statuses.filter(status => status === 0).length
      test.equal(entered + statuses.filter(status => status === 75).length, 20, statuses.join())
      const lines = readFileSync(diary, 'utf8').trimEnd().split('\n')
      test.equal(lines.length, 2 * entered)
      for (let n = 0; n < lines.length; n += 2) test.equal(lines[n]?.replace('in', 'out'), lines[n + 1])
      test.ok(entered < 20, `${entered} of 20 got in`)
      test.equal(runRows(workspace).filter(({ outcome }) => outcome === 'done').length, entered)
    })

    await group.test('that cannot be taken is a fault of the configuration', async test => {
      const { workspace } = await setUp(test)
      writeFileSync(workspace.state, 'a file where the folder should be')
      const { status, json } = await workspace.run(sync, ['--json'])
      test.equal(status, 78)
      test.match(json, {
        error: `${workspace.state} cannot be used: `,
        hint: 'paths.state in the configuration',
      })
    })
  }),
)

groups.push(
  t.test('a run that has to stop', async group => {
    await group.test('at its deadline exits 124', test => stopped(test, 'deadline', 124, () => undefined))
    await group.test('on Ctrl-C exits 130', test => {
      return stopped(test, 'interrupted', 130, pid => process.kill(pid, 'SIGINT'))
    })
    await group.test('on SIGTERM exits 130', test => {
      return stopped(test, 'interrupted', 130, pid => process.kill(pid, 'SIGTERM'))
    })

    await group.test('and does not heed that is ended by the second Ctrl-C', async test => {
      const { workspace } = await setUp(test)
      const script = writeJob(workspace.folder, `console.error('at work'); await delay(600_000)`)
      const running = workspace.start(script, ['--json'])
      await until(() => running.output() !== '')
      running.kill('SIGINT')
      running.kill('SIGTERM')
      const { status, json } = await running.ended
      test.equal(status, 130)
      test.match(json, { job: 'own_job', outcome: 'interrupted', exit_status: 130 })
      test.match(runRows(workspace), [{ outcome: 'interrupted', exit_status: 130 }])
      test.match(workspace.logLines().at(-1), { outcome: 'interrupted' })
    })

    await group.test(
      'and does not heed that is ended by force some seconds after its deadline',
      async test => {
        const { workspace } = await setUp(test)
        workspace.configure(sheet => (sheet.sync.timeout_minutes = 0.005))
        const script = writeJob(workspace.folder, 'await delay(600_000)')
        const { status, stdout } = await workspace.run(script)
        test.equal(status, 124)
        test.match(stdout, '❌ stopped: the deadline of 300 ms has passed')
        test.match(runRows(workspace), [{ outcome: 'deadline', exit_status: 124 }])
      },
    )
  }),
)

groups.push(
  t.test('a sync is done all the same', async group => {
    await group.test('when the history is garbage, which is begun anew', async test => {
      const { workspace } = await setUp(test)
      mkdirSync(workspace.state)
      writeFileSync(join(workspace.state, 'ops.db'), 'garbage '.repeat(2000))
      const { status, stderr, json } = await workspace.run(sync, ['--json'])
      test.equal(status, 0)
      test.match(json, { complete: 3 })
      test.match(stderr, 'the history was damaged (SQLITE_NOTADB): it is set aside as')
      test.match(runRows(workspace), [{ outcome: 'done' }])
      test.match(
        workspace.logLines().find(({ level }) => level === 'warn'),
        { message: 'the history was damaged' },
      )
    })

    await group.test('when neither history nor log can be written', async test => {
      const { workspace } = await setUp(test)
      mkdirSync(join(workspace.state, 'ops.db'), { recursive: true })
      writeFileSync(workspace.logs, 'a file where the folder should be')
      const { status, stdout, stderr } = await workspace.run(sync)
      test.equal(status, 0)
      test.match(stdout, /^✅ 3\/3/)
      test.match(stderr, 'no log is kept of this run')
      test.match(stderr, 'the history cannot be written (SQLITE_CANTOPEN)')
      test.equal(stderr.trimEnd().split('\n').length, 2, 'each is said once')
    })

    await group.test(
      'when the disk of its state and logs is full',
      { skip: skipWithoutRoot() },
      async test => {
        const { workspace } = await setUp(test)
        mountFullDisk(test, workspace.state)
        mountFullDisk(test, workspace.logs)
        const { status, stderr } = await workspace.run(sync, ['--json'])
        test.equal(status, 0, stderr)
        test.match(stderr, 'no log is kept of this run')
        test.match(stderr, 'the history cannot be written')
        test.match(stderr, '✅ 3/3')
      },
    )

    await group.test(
      'when that disk is full and the history damaged',
      { skip: skipWithoutRoot() },
      async test => {
        const { workspace } = await setUp(test)
        mountFullDisk(test, workspace.state, 'ops.db')
        const { status, stderr } = await workspace.run(sync, ['--json'])
        test.equal(status, 0, stderr)
        test.match(stderr, 'the history was damaged (SQLITE_NOTADB)')
        test.match(stderr, 'the history cannot be written (SQLITE_FULL)')
      },
    )
  }),
)

groups.push(
  t.test('the heartbeat', async group => {
    await group.test('tells the start and the end of a run, under one id', async test => {
      const { pings, url } = await listen(test, 200)
      const ended = await syncWith(test, `${url}/`)
      test.equal(ended.status, 0)
      const run = pings[0]?.path.split('?rid=')[1]
      test.match(run, /^[\da-f-]{36}$/)
      test.same(
        pings.map(({ path }) => path),
        [`/marker-41d8/start?rid=${run}`, `/marker-41d8/0?rid=${run}`],
      )
      test.match(pings[1]?.body, /^✅ 3\/3 4h symbols complete/)
      test.notMatch(ended.stderr, 'heartbeat')
    })

    await group.test('tells the exit status of a run that failed', async test => {
      const { pings, url } = await listen(test, 200)
      const refused: FaultRule[] = [{ when: { path: 'klines' }, do: { kind: 'named', name: 'bad-symbol' } }]
      const ended = await syncWith(test, url, refused)
      test.equal(ended.status, 1)
      test.match(pings.at(-1), { path: '/marker-41d8/1?rid=', body: '❌ 0/3' })
    })

    await group.test('that is never answered does not fail the run', async test => {
      const { pings, url } = await listen(test, undefined)
      const ended = await syncWith(test, url)
      test.equal(ended.status, 0)
      test.match(ended.stderr, 'heartbeat start did not arrive: no answer in time')
      test.equal(pings.length, 1)
    })
  }),
)

await Promise.all(groups)

await t.test('a look at the plan leaves no trace, and a damaged history where it is', async test => {
  const { workspace } = await setUp(test)
  expectStatus(test, await workspace.run(sync, ['--dry-run']), 0)
  test.strictSame(readdirSync(workspace.folder), ['cheat_sheet.json'])

  mkdirSync(workspace.state)
  const ops = join(workspace.state, 'ops.db')
  writeFileSync(ops, 'no history at all '.repeat(500))
  const again = await workspace.run(sync, ['--dry-run'])
  expectStatus(test, again, 0)
  test.match(again.stderr, 'the history cannot be read (SQLITE_NOTADB)')
  test.match(readFileSync(ops, 'utf8'), /^no history at all/)
})

await t.test('a mistake in the flags leaves no run in the history', async test => {
  const { workspace } = await setUp(test)
  for (const args of [
    ['--since', 'nonsense'],
    ['--lookback', '0'],
    ['--symbols', 'XXXUSDT'],
    ['--interval', 'toString'],
    ['--reread'],
  ]) {
    expectStatus(test, await workspace.run(sync, args), 64)
  }
  test.strictSame(readdirSync(workspace.folder), ['cheat_sheet.json'])
})

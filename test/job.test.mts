import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { mock } from 'node:test'
import { format, inspect } from 'node:util'
import Database from 'better-sqlite3'
import * as fc from 'fast-check'
import t from 'tap'
import { type Clock, clockFor } from '../scripts/job/clock.ts'
import { Stopped } from '../scripts/job/errors.ts'
import { openHeartbeat } from '../scripts/job/heartbeat.ts'
import { History } from '../scripts/job/history.ts'
import { takeLock } from '../scripts/job/lock.ts'
import { openLog } from '../scripts/job/log.ts'
import { byteFigures, progressFigures, showProgress } from '../scripts/job/progress.ts'
import { readSecret, Secret } from '../scripts/job/secret.ts'
import { whenToStop } from '../scripts/job/stopping.ts'
import { openTerminal } from '../scripts/job/terminal.ts'
import { day, minute } from '../scripts/job/time.ts'
import { keptLog } from './support/kept_log.ts'
import { check, seed, runs as tries } from './support/properties.ts'
import { thrownBy } from './support/thrown.ts'
import { temporaryFolder } from './support/workspace.ts'

const now = Date.parse('2024-05-05T12:10:30Z')
const clock: Clock = { now: () => now, sleep: () => Promise.resolve() }

/** The file of a history. */
const file = (state: string) => join(state, 'ops.db')

const runRows = (state: string) => {
  const database = new Database(file(state), { readonly: true })
  const rows = database.prepare('SELECT * FROM runs ORDER BY id').all() as Record<string, unknown>[]
  database.close()
  return rows
}

/** A history whose warnings are kept. */
const open = (state: string) => {
  const { log, warnings } = keptLog()
  return { history: History.open(state, log, clock), warnings }
}

/** What a log shows on the console. */
const shownBy = () => {
  const shown: string[] = []
  return { shown, show: (level: string, text: string) => void shown.push(`${level}: ${text}`) }
}

const unheard = (why: string) => ['start', '75'].map(ping => `heartbeat ${ping} did not arrive: ${why}`)

function fail(): never {
  throw new RangeError('a defect')
}

t.comment(`FC_SEED=${seed}`)

await t.test('progress', async group => {
  const some = {
    done: 34,
    total: 60,
    amount: 20_123,
    things: 'symbols',
    units: 'rows',
    note: '',
    elapsed: 4_000,
  }

  await group.test('is told in figures', async test => {
    test.equal(progressFigures(some), '34/60 symbols · 20,123 rows · 5,031 rows/s · 3.1 s left')
    test.equal(progressFigures({ ...some, done: 0, amount: 0 }), '0/60 symbols · 0 rows')
    const bytes = { what: 'writing warm', done: 20_100_000, total: 44_200_000, elapsed: 250 }
    test.equal(byteFigures(bytes), 'writing warm · 20.1 MB of 44.2 MB · 80.4 MB/s · 300 ms left')
    test.equal(byteFigures({ ...bytes, done: 0 }), 'writing warm · 0 B of 44.2 MB')
    test.equal(progressFigures({ ...some, done: 60, elapsed: 0 }), '60/60 symbols · 20,123 rows')
    test.match(progressFigures({ ...some, note: 'waiting' }), / left · waiting$/)
    const figures = fc.record({
      done: fc.nat(500),
      amount: fc.nat(),
      elapsed: fc.double({ min: 0, max: day, noNaN: true }),
    })
    check(
      fc.property(
        figures,
        given => !/NaN|Infinity|undefined|-/.test(progressFigures({ ...some, ...given, total: 500 })),
      ),
      tries(200),
    )
  })

  await group.test('is drawn in place on a terminal, and taken away at its end', async test => {
    const drawn: string[] = []
    const terminal = { ...openTerminal(false), draw: (line: string) => void drawn.push(line) }
    const progress = showProgress({ total: 2, things: 'symbols', units: 'rows', terminal })
    progress.at(1, 7)
    progress.note('waiting for the exchange')
    progress.end()
    test.match(drawn[0], '1/2 symbols')
    test.match(drawn[1], /█ ?.*░ 1\/2 symbols · 7 rows.* · waiting for the exchange$/)
    test.equal(drawn.at(-1), '')
  })

  await group.test('is a plain line elsewhere, and only now and then', async test => {
    const lines: string[] = []
    const terminal = {
      ...openTerminal(false),
      draw: undefined,
      aside: (line: string) => void lines.push(line),
    }
    const progress = showProgress({ total: 2, things: 'symbols', units: 'rows', terminal })
    progress.at(1, 7)
    test.same(lines, [])
    progress.note('waiting')
    progress.note('waiting')
    progress.end()
    test.equal(lines.length, 1)
  })
})

await t.test('a secret', async test => {
  const secret = new Secret('marker-5f2c')
  const shown = [
    String(secret),
    `to ${secret as unknown as string}`,
    JSON.stringify({ secret, list: [secret] }),
    inspect(secret),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    inspect(secret, { customInspect: false, showHidden: true, getters: true }),
    format('%s %o %O %j %d', secret, secret, secret, secret, secret),
    inspect(structuredClone(secret), { showHidden: true }),
    JSON.stringify(structuredClone(secret)),
    Object.entries(secret).join(),
    new Error(`cannot reach ${secret as unknown as string}`, { cause: secret }).stack ?? '',
    inspect(new Error('failed', { cause: secret })),
  ]
  for (const text of shown) test.notOk(text.includes('marker'), `it prints as ${text.slice(0, 60)}`)
  test.equal(String(secret), '[secret]')
  test.equal(secret.reveal(), 'marker-5f2c')

  process.env.CANDLEKEEP_TEST_SECRET = 'marker-77aa'
  test.teardown(() => delete process.env.CANDLEKEEP_TEST_SECRET)
  test.equal(readSecret('CANDLEKEEP_TEST_SECRET').secret?.reveal(), 'marker-77aa')
  process.env.CANDLEKEEP_TEST_SECRET = ''
  test.strictSame(readSecret('CANDLEKEEP_TEST_SECRET'), {}, 'an empty variable is none')
})

await t.test('a heartbeat that does not arrive is a warning without its address', async test => {
  const server = createServer((_, response) => void response.writeHead(404).end())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  test.teardown(() => void server.close())
  test.teardown(() => delete process.env.CANDLEKEEP_TEST_URL)
  const { port } = server.address() as AddressInfo
  const cases = [
    [
      `http://127.0.0.1:${port}/marker`,
      ['start', '75'].map(ping => `heartbeat ${ping} was refused: status 404`),
    ],
    ['http://127.0.0.1:2/marker', unheard('ECONNREFUSED')],
    ['marker', unheard('ERR_INVALID_URL')],
    ['http://u:marker@127.0.0.1/', unheard('its address cannot be used')],
    ['ftp://127.0.0.1/marker', unheard('its address cannot be used')],
    ['', []],
  ] as const
  for (const [url, expected] of cases) {
    process.env.CANDLEKEEP_TEST_URL = url
    const { log, warnings } = keptLog()
    const heartbeat = openHeartbeat('CANDLEKEEP_TEST_URL', log)
    heartbeat.started()
    await heartbeat.ended(75, 'report')
    test.same(warnings, expected, url)
  }
})

await t.test('a made-up clock', async test => {
  test.teardown(() => delete process.env.CANDLEKEEP_NOW)
  process.env.CANDLEKEEP_NOW = ''
  const real = clockFor(null).now()
  test.ok(real >= now && real <= Date.now(), 'none is the machine’s own')
  process.env.CANDLEKEEP_NOW = '2024-05-05T12:10:30Z'
  for (const url of ['http://127.0.0.1:1', 'http://localhost', 'http://[::1]:80']) {
    const madeUp = clockFor(url)
    test.ok(madeUp.now() >= now && madeUp.now() < now + day, url)
  }
  for (const url of [null, 'https://fapi.binance.com', 'http://127.0.0.1.example.com', 'http://'])
    test.match(
      thrownBy(() => clockFor(url)),
      { status: 78, hint: 'unset CANDLEKEEP_NOW' },
      String(url),
    )
  process.env.CANDLEKEEP_NOW = 'noon'
  test.match(
    thrownBy(() => clockFor('http://localhost')),
    { status: 78, message: 'CANDLEKEEP_NOW=noon is not a time' },
  )

  const aborted = AbortSignal.abort(new Stopped('interrupted', 'told so'))
  delete process.env.CANDLEKEEP_NOW
  await test.rejects(clockFor(null).sleep(day, aborted), { message: 'told so' }, 'no wait outlives its run')
  const controller = new AbortController()
  const wait = clockFor(null).sleep(day, controller.signal)
  controller.abort(new Stopped('deadline', 'in between'))
  await test.rejects(wait, { message: 'in between' })
})

await t.test('a run is stopped at its deadline, and by force when it does not heed that', async test => {
  mock.timers.enable({ apis: ['setTimeout'] })
  test.teardown(() => mock.timers.reset())
  const killed: Stopped[] = []
  const listeners = process.listenerCount('SIGTERM')
  const stopping = whenToStop(2 * minute, reason => killed.push(reason))
  mock.timers.tick(2 * minute - 1)
  test.equal(stopping.signal.aborted, false)
  mock.timers.tick(1)
  test.match(stopping.signal.reason, {
    outcome: 'deadline',
    status: 124,
    message: 'the deadline of 2 min has passed',
  })
  test.same(killed, [])
  mock.timers.tick(5_000)
  test.match(killed, [{ outcome: 'deadline', status: 124 }])
  stopping.end()
  test.equal(process.listenerCount('SIGTERM'), listeners, 'nothing is left behind')

  const far = whenToStop(300 * day, () => undefined)
  mock.timers.tick(day)
  test.equal(far.signal.aborted, false, 'a deadline beyond what a timer can hold does not come at once')
  far.end()
})

await t.test('the log', async group => {
  await group.test('is a file a run with a JSON object a line, and its warnings are shown', async test => {
    const folder = join(temporaryFolder(test), 'deep/logs')
    const { shown, show } = shownBy()
    const log = openLog(folder, 'daily_sync', clock, show)
    log.info('starts', { pid: 7, text: 'two\nlines', secret: new Secret('marker') })
    log.warn('slow')
    log.error('lost')
    log.close()
    log.info('after its end')
    test.equal(log.file, join(folder, 'daily_sync_2024-05-05_12-10-30.log'))
    const lines = readFileSync(log.file as string, 'utf8')
      .trimEnd()
      .split('\n')
    const head = { time: '2024-05-05T12:10:30.000Z', job: 'daily_sync' }
    test.same(
      lines.map(line => JSON.parse(line) as object),
      [
        { ...head, level: 'info', message: 'starts', pid: 7, text: 'two\nlines', secret: '[secret]' },
        { ...head, level: 'warn', message: 'slow' },
        { ...head, level: 'error', message: 'lost' },
      ],
    )
    test.same(shown, ['warn: slow', 'error: lost'])
    test.equal(statSync(log.file as string).mode & 0o007, 0, 'others cannot read it')
  })

  await group.test(
    'that cannot be opened, or whose disk is full, is said once and stops nothing',
    async test => {
      const folder = temporaryFolder(test)
      writeFileSync(join(folder, 'in-the-way'), '')
      symlinkSync('/dev/full', join(folder, 'job_2024-05-05_12-10-30.log'))
      const cases = { EEXIST: 'in-the-way', ENOTDIR: 'in-the-way/logs', ENOSPC: '.' }
      for (const [code, name] of Object.entries(cases)) {
        const { shown, show } = shownBy()
        const log = openLog(join(folder, name), 'job', clock, show)
        log.info('one')
        log.info('two')
        log.warn('three')
        log.close()
        test.equal(shown.length, 2)
        test.match(
          shown[0],
          new RegExp(`^warn: no log is kept of this run: .*/job_2024-05-05_12-10-30.log: ${code}$`),
        )
        test.equal(shown[1], 'warn: three')
      }
    },
  )

  await group.test('without a folder is the console only', async test => {
    const { shown, show } = shownBy()
    const log = openLog(undefined, 'job', clock, show)
    log.info('one')
    log.error('two')
    test.same([log.file, shown], [undefined, ['error: two']])
  })
})

await t.test('the lock', async test => {
  const state = join(temporaryFolder(test), 'state')
  const holder = { job: 'daily_sync', pid: 4711, since: now }
  const first = takeLock(state, 'candles', holder)
  const refused = thrownBy(() => takeLock(state, 'candles', { ...holder, pid: 4712 }))
  test.match(refused, { status: 75, hint: 'this run has changed nothing' })
  test.equal(
    refused.message,
    'another run holds the candles lock: daily_sync, pid 4711, since 2024-05-05 12:10 UTC',
  )
  const other = takeLock(state, 'other', holder)
  other.release()
  first.release()
  const next = takeLock(state, 'candles', { ...holder, pid: 4712 })
  test.match(
    thrownBy(() => takeLock(state, 'candles', holder)).message,
    'pid 4712',
    'the name is the new holder’s',
  )
  rmSync(join(state, 'locks/candles.holder.json'))
  test.match(thrownBy(() => takeLock(state, 'candles', holder)).message, 'it has only just started')
  next.release()

  rmSync(join(state, 'locks/candles.holder.json'), { force: true })
  mkdirSync(join(state, 'locks/candles.holder.json'))
  const nameless = takeLock(state, 'candles', holder)
  test.equal(thrownBy(() => takeLock(state, 'candles', holder)).status, 75, 'it holds without a name as well')
  nameless.release()
  const names = readdirSync(join(state, 'locks')).sort()
  test.same(
    names,
    ['candles.holder.json', 'candles.lock', 'other.holder.json', 'other.lock'],
    'nothing is left over',
  )
})

await t.test('the history', async group => {
  const ended = { outcome: 'done', exitStatus: 0, summary: 'all done', figures: { complete: 60 } } as const

  const runOnce = (state: string) => {
    const { history, warnings } = open(state)
    const { id } = history.begin('daily_sync', '/logs/one.log')
    history.finish(id, ended)
    history.close()
    return { id, warnings }
  }
  const recorded = {
    job: 'daily_sync',
    pid: process.pid,
    started_at: now,
    finished_at: now,
    outcome: 'done',
    exit_status: 0,
    summary: 'all done',
    figures: '{"complete":60}',
    log_file: '/logs/one.log',
  }

  await group.test('begins where there is none, and in an empty file', async test => {
    const absent = join(temporaryFolder(test), 'deep/state')
    const empty = temporaryFolder(test)
    writeFileSync(file(empty), '')
    for (const state of [absent, empty]) {
      test.strictSame(runOnce(state), { id: 1, warnings: [] })
      test.strictSame(runOnce(state).id, 2)
      test.match(runRows(state), [recorded, recorded])
    }
  })

  await group.test(
    'tells which run died without a word, and whether anything was ever stored',
    async test => {
      const state = temporaryFolder(test)
      const { history } = open(state)
      history.begin('daily_sync', undefined)
      history.begin('backup', undefined)
      test.equal(history.hasStored('daily_sync'), false)
      const { id: next } = history.begin('daily_sync', undefined)
      const outcomes = () => runRows(state).map(({ job, outcome }) => [job, outcome].join(' '))
      test.same(outcomes(), ['daily_sync killed', 'backup running', 'daily_sync running'])
      history.finish(next, { ...ended, outcome: 'partly' })
      test.equal(history.hasStored('daily_sync'), true)
      test.equal(history.hasStored('backup'), false)
      history.close()
    },
  )

  await group.test('is begun anew when it is garbage, and the old one is kept', async test => {
    const state = temporaryFolder(test)
    writeFileSync(file(state), 'no database'.repeat(1000))
    const { warnings } = runOnce(state)
    const aside = `${file(state)}.damaged-2024-05-05_12-10-30`
    test.same(warnings, [
      `the history was damaged (SQLITE_NOTADB): it is set aside as ${aside} and begun anew`,
    ])
    test.match(runRows(state), [recorded])
    test.equal(readFileSync(aside, 'utf8'), 'no database'.repeat(1000))
  })

  await group.test('records the run whichever of its pages is damaged', async test => {
    const state = temporaryFolder(test)
    const { history } = open(state)
    for (let n = 0; n < 300; n++) history.finish(history.begin('daily_sync', '/logs/one.log').id, ended)
    history.close()
    const sound = readFileSync(file(state))
    let damaged = 0
    for (let page = 0; page < sound.length; page += 4096) {
      for (const name of readdirSync(state)) rmSync(join(state, name))
      const bytes = Buffer.from(sound)
      bytes.fill(0x5a, page, page + 4096)
      writeFileSync(file(state), bytes)
      const { warnings } = runOnce(state)
      damaged += warnings.length
      test.match(runRows(state).at(-1), recorded, `page ${page / 4096 + 1}: ${warnings.join()}`)
      const asides = readdirSync(state).filter(name => /damaged-[\d_-]+$/.test(name))
      test.equal(asides.length, warnings.length)
    }
    test.ok(damaged > 3, `${damaged} of ${sound.length / 4096} pages were found damaged`)
  })

  await group.test('that is found damaged in the middle of a run still records that run', async test => {
    const state = temporaryFolder(test)
    runOnce(state)
    const { history, warnings } = open(state)
    const { id } = history.begin('daily_sync', '/logs/one.log')
    let attempts = 0
    history.transact(() => {
      if (attempts++ === 0) throw new Database.SqliteError('malformed', 'SQLITE_CORRUPT_INDEX')
    })
    history.finish(id, ended)
    history.close()
    test.match(warnings, [/^the history was damaged \(SQLITE_CORRUPT_INDEX\)/])
    test.match(runRows(state), [{ ...recorded, id: 2 }])
  })

  await group.test('is in memory for a run where it cannot be written', async test => {
    const state = temporaryFolder(test)
    mkdirSync(file(state))
    const { warnings } = runOnce(state)
    test.same(warnings, ['the history cannot be written (SQLITE_CANTOPEN): this run is kept in its log only'])

    const full = temporaryFolder(test)
    const { history, warnings: said } = open(full)
    const { id } = history.begin('daily_sync', undefined)
    let attempts = 0
    const answer = history.transact(database => {
      if (attempts++ === 0) throw new Database.SqliteError('no space', 'SQLITE_FULL')
      return database.prepare('SELECT count(*) FROM runs').pluck().get()
    })
    history.finish(id, ended)
    history.close()
    test.equal(answer, 0, 'the action that failed is done in memory')
    test.same(said, ['the history cannot be written (SQLITE_FULL): this run is kept in its log only'])
    test.match(runRows(full), [{ id, outcome: 'running' }])
  })

  await group.test('hands on what is not its own fault', async test => {
    const { history } = open(temporaryFolder(test))
    test.throws(() => history.transact(fail), { message: 'a defect' })
    history.close()
  })

  await group.test('of a newer candlekeep is left alone', async test => {
    const state = temporaryFolder(test)
    runOnce(state)
    const newer = new Database(file(state))
    newer.pragma('user_version = 99')
    newer.close()
    const before = readFileSync(file(state))
    const { warnings } = runOnce(state)
    test.match(warnings, [/the history has schema 99, newer than this program.*in its log only/])
    test.ok(before.equals(readFileSync(file(state))), 'not a byte has changed')
    test.same(readdirSync(state), ['ops.db'])
  })
})

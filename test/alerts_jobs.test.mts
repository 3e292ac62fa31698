import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { type Everything, startEverything } from './support/alerts/channels.ts'
import { routingKey } from './support/alerts/here.ts'
import { mailPassword } from './support/alerts/mail_server.ts'
import { type Services, shownBySlack, webhookSecret } from './support/alerts/services.ts'
import { expectStatus } from './support/command.ts'
import type { FaultRule } from './support/exchange/faults.ts'
import { temporaryFolder } from './support/workspace.ts'

const sync = 'daily_candle_sync'
const deliverer = fileURLToPath(new URL('../scripts/alerts/deliver.mts', import.meta.url))
const broken: FaultRule[] = [{ when: { path: 'klines' }, do: { kind: 'status', status: 500 } }]
const silence: FaultRule[] = [{ when: { path: 'klines' }, do: { kind: 'stall', ms: 600_000 } }]
const down = { status: 500, text: 'rollup_error' }
const day = 24 * 60

/** Most of the time is waiting for processes: the groups run side by side. */
const groups: Promise<unknown>[] = []
t.jobs = 3

const headlines = ({ slack }: Services) => slack.map(({ text }) => text)
const actions = ({ pagerduty }: Services) => pagerduty.map(({ event_action }) => event_action)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10)
}

/** A sync that fails, with alerts that nobody has delivered yet. */
async function failUnheard({ workspace, replay, at }: Everything, test: Test): Promise<void> {
  replay.setFaults(broken)
  const { CANDLEKEEP_NOW } = at(0).env
  const unset = await workspace.run(sync, [], { env: { CANDLEKEEP_NOW } })
  expectStatus(test, unset, 1)
  test.equal(unset.stderr, '', 'without a channel nothing is said of alerts')
}

/** How many deliveries the history has as sent. */
function sentCount(state: string): unknown {
  const database = new Database(join(state, 'ops.db'), { readonly: true })
  try {
    return database.prepare("SELECT count(*) FROM alert_deliveries WHERE outcome = 'sent'").pluck().get()
  } finally {
    database.close()
  }
}

/** A command in the frame that heeds nothing. */
function writeDeafJob(folder: string): string {
  const file = join(folder, 'deaf.mts')
  const [frame, alerts] = ['job/job.ts', 'alerts/alerting.ts'].map(name => {
    return new URL(`../scripts/${name}`, import.meta.url).href
  })
  writeFileSync(
    file,
    `import { job } from '${frame}'
     import { alerting } from '${alerts}'
     await job(
       {
         name: 'deaf', script: import.meta.filename, summary: '', flags: {}, locks: ['candles'], alerting,
         wishes: () => undefined, recorded: () => true, deadlineMs: () => 300,
       },
       () => new Promise(resolve => setTimeout(resolve, 600_000)),
     )`,
  )
  return file
}

groups.push(
  t.test('a job', async group => {
    await group.test('that fails tells of it by itself, and of its recovery', async test => {
      const everything = await startEverything(test)
      const { workspace, replay, services, mail, at } = everything
      replay.setFaults(broken)
      const failed = await workspace.run(sync, ['--json'], at(0))
      expectStatus(test, failed, 1)
      test.match(failed.json, { outcome: 'failed', exit_status: 1 })

      const place = `(${hostname()})`
      test.same(headlines(services), [`🔴 CRITICAL: daily_sync has failed ${place}`])
      test.match(shownBySlack(services.slack[0] as never), /BTCUSDT.*\n(.*\n)+.*❌ 0\/3 4h symbols/)
      test.match(services.pagerduty, [
        {
          event_action: 'trigger',
          payload: {
            summary: `CRITICAL: daily_sync has failed ${place}`,
            severity: 'critical',
            source: hostname(),
          },
        },
      ])
      test.match(mail.mails, [
        {
          from: 'ops@candlekeep.example',
          to: ['ops@candlekeep.example', 'boss@candlekeep.example'],
          headers: { subject: `[candlekeep] CRITICAL: daily_sync has failed ${place}` },
          text: /❌ 0\/3 4h symbols/,
          html: '<h3>🔴 CRITICAL: daily_sync has failed</h3>',
          secure: true,
        },
      ])

      replay.setFaults([])
      expectStatus(test, await workspace.run(sync, [], at(60)), 0)
      test.equal(services.slack.length, 1, 'it may fail again at once')
      expectStatus(test, await workspace.run(sync, [], at(120)), 0)
      expectStatus(test, await workspace.run(sync, [], at(180)), 0)
      test.equal(headlines(services)[1], `✅ RECOVERED: daily_sync is done again ${place}`)
      test.same(actions(services), ['trigger', 'resolve'])
      test.equal(services.pagerduty[0]?.dedup_key, services.pagerduty[1]?.dedup_key)
      const [alert, recovery] = mail.mails
      test.equal(mail.mails.length, 2)
      test.equal(recovery?.headers.references, alert?.headers.references, 'one conversation')
      test.same(services.faults, [])
    })

    await group.test('that flaps makes one alert and one recovery', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      for (let n = 0; n < 10; n++) {
        replay.setFaults(n % 2 === 0 ? broken : [])
        // each reads something again, so that it cannot be done without the exchange
        const ended = await workspace.run(sync, ['--lookback', '4'], at(5 * n))
        test.equal(ended.status, n % 2 === 0 ? 1 : 0)
      }
      test.equal(services.slack.length, 1)
      expectStatus(test, await workspace.run(deliverer, [], at(61)), 0)
      expectStatus(test, await workspace.run(deliverer, [], at(62)), 0)
      test.match(headlines(services), [/CRITICAL/, /RECOVERED/])
      test.same(actions(services), ['trigger', 'resolve'])
      test.equal(mail.mails.length, 2)
    })

    await group.test('tells of a failure also where its history cannot be used', async test => {
      const { workspace, replay, services, at } = await startEverything(test)
      replay.setFaults(broken)
      mkdirSync(workspace.state)
      writeFileSync(join(workspace.state, 'ops.db'), 'no history at all '.repeat(500))
      expectStatus(test, await workspace.run(sync, [], at(0)), 1)
      test.equal(services.slack.length, 1)
      for (const suffix of ['', '-wal', '-shm'])
        rmSync(join(workspace.state, `ops.db${suffix}`), { force: true })
      mkdirSync(join(workspace.state, 'ops.db'))
      const env = { ...at(2 * day).env, TMPDIR: temporaryFolder(test) }
      for (let n = 0; n < 3; n++) expectStatus(test, await workspace.run(sync, [], { env }), 1)
      test.equal(services.slack.length, 2, 'from a history in memory, and once')
      test.same(actions(services), ['trigger', 'trigger'])
    })

    await group.test('that is done only partly tells of it, and gets nobody up', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      replay.setFaults([{ when: { symbol: 'ETHUSDT' }, do: { kind: 'status', status: 500 } }])
      expectStatus(test, await workspace.run(sync, [], at(0)), 2)
      test.match(headlines(services), [/^🟠 WARNING: daily_sync is only partly done/])
      test.match(shownBySlack(services.slack[0] as never), 'ETHUSDT')
      test.same([services.pagerduty.length, mail.mails.length], [0, 1])
    })

    await group.test('leaves it to Alertmanager where that tells people', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      workspace.configure(sheet => {
        sheet.alerts = { ...sheet.alerts, by_jobs: false }
      })
      replay.setFaults(broken)
      expectStatus(test, await workspace.run(sync, [], at(0)), 1)
      test.same([services.tries, mail.mails], [{ slack: 0, pagerduty: 0 }, []])
      workspace.configure(sheet => {
        sheet.alerts = { ...sheet.alerts, by_jobs: true }
      })
      expectStatus(test, await workspace.run(sync, [], at(24 * 60 + 1)), 1)
      test.equal(services.slack.length, 1, 'it is said when it is said again')
    })

    await group.test('that is done tells nobody', async test => {
      const { workspace, services, mail, at } = await startEverything(test)
      expectStatus(test, await workspace.run(sync, [], at(0)), 0)
      expectStatus(test, await workspace.run(sync, ['--dry-run'], at(1)), 0)
      test.same([services.tries, mail.mails], [{ slack: 0, pagerduty: 0 }, []])
    })

    await group.test('that is stopped at its deadline tells of it', async test => {
      const { workspace, replay, services, at } = await startEverything(test)
      replay.setFaults(silence)
      workspace.configure(sheet => {
        sheet.sync.timeout_minutes = 0.02
        sheet.sync.request_timeout_seconds = 120
      })
      expectStatus(test, await workspace.run(sync, [], at(0)), 124)
      test.match(headlines(services), [/^🔴 CRITICAL: daily_sync did not end in time/])
      test.match(shownBySlack(services.slack[0] as never), 'the deadline of 1.2 s has passed')
      test.same(actions(services), ['trigger'])
    })

    await group.test('that does not heed its deadline is told of by another process', async test => {
      const { workspace, services, mail, at } = await startEverything(test)
      const ended = await workspace.run(writeDeafJob(workspace.folder), [], at(0))
      expectStatus(test, ended, 124)
      await until(
        () => services.slack.length === 1 && services.pagerduty.length === 1 && mail.mails.length === 1,
      )
      test.match(headlines(services), [/^🔴 CRITICAL: deaf did not end in time/])
      test.same(ended.stderr, '')
    })

    await group.test('that is killed is told of by the next run', async test => {
      const { workspace, replay, services, at } = await startEverything(test)
      replay.setFaults(silence)
      workspace.configure(sheet => (sheet.sync.request_timeout_seconds = 120))
      const running = workspace.start(sync, [], at(0))
      await until(() => replay.requests.some(({ symbol }) => symbol !== undefined))
      running.kill('SIGKILL')
      await running.ended
      replay.setFaults([])
      expectStatus(test, await workspace.run(sync, [], at(60)), 0)
      test.match(headlines(services), [/^🔴 CRITICAL: daily_sync was killed/])
      test.match(shownBySlack(services.slack[0] as never), `(pid ${running.pid}) died without a word`)
      expectStatus(test, await workspace.run(sync, [], at(120)), 0)
      test.match(headlines(services)[1], /^✅ RECOVERED: daily_sync is done again/)
    })

    await group.test('that somebody interrupts is nobody’s business', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      replay.setFaults(silence)
      workspace.configure(sheet => (sheet.sync.request_timeout_seconds = 120))
      const running = workspace.start(sync, [], at(0))
      await until(() => replay.requests.some(({ symbol }) => symbol !== undefined))
      running.kill('SIGINT')
      expectStatus(test, await running.ended, 130)
      replay.setFaults([])
      expectStatus(test, await workspace.run(sync, [], at(60)), 0)
      test.same([services.tries, mail.mails], [{ slack: 0, pagerduty: 0 }, []])
    })
  }),
)

groups.push(
  t.test('a channel', async group => {
    await group.test('that answers 500 three times gets the alert once', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      services.script.slack = [down, down, down]
      replay.setFaults(broken)
      const ended = await workspace.run(sync, [], at(0))
      expectStatus(test, ended, 1)
      test.same([services.tries.slack, services.slack.length], [4, 1])
      test.same([services.pagerduty.length, mail.mails.length], [1, 1])
      test.equal(ended.stderr, '')
    })

    await group.test('that never answers holds up neither the job nor the others', async test => {
      const { workspace, replay, services, mail, at } = await startEverything(test)
      services.script.slack = ['hang', 'hang', 'hang', 'hang']
      const silent = createTcpServer(() => undefined)
      await once(silent.listen(0, '127.0.0.1'), 'listening')
      test.teardown(() => silent.close())
      const { port } = silent.address() as AddressInfo
      replay.setFaults(broken)
      const { env } = at(0)
      const smtp = `smtp://marker:marker@127.0.0.1:${port}`
      const ended = await workspace.run(sync, [], { env: { ...env, CANDLEKEEP_SMTP_URL: smtp } })
      expectStatus(test, ended, 1)
      test.equal(services.pagerduty.length, 1)
      test.same(ended.stderr.trimEnd().split('\n').sort(), [
        'email is down: no answer in time; 1 alert is kept for a later run',
        'slack is down: no answer in time; 1 alert is kept for a later run',
      ])
      services.script.slack = []
      replay.setFaults([])
      expectStatus(test, await workspace.run(sync, [], at(5)), 0)
      test.same([services.slack.length, services.pagerduty.length, mail.mails.length], [1, 1, 1])
      test.match(headlines(services), [/^🔴 CRITICAL: daily_sync has failed/])
    })

    await group.test('that is down is caught up with when it is back', async test => {
      const everything = await startEverything(test)
      const { workspace, services, mail, at } = everything
      await failUnheard(everything, test)
      services.script.slack = [{ status: 404, text: 'no_service' }]
      mail.refuse = () => Object.assign(new Error('mailbox is full of marker'), { responseCode: 552 })
      const first = await workspace.run(deliverer, [], at(1))
      expectStatus(test, first, 1)
      test.match(
        first.stderr,
        'slack is down: it answered 404 (the webhook is gone or switched off); 1 alert',
      )
      test.match(first.stderr, 'email is down: it answered 552; 1 alert')
      const logged = workspace.logLines().filter(({ job, level }) => job === 'alerts' && level === 'warn')
      test.equal(logged.length, 2)
      mail.refuse = undefined
      expectStatus(test, await workspace.run(deliverer, [], at(1.5)), 0)
      test.equal(services.tries.slack, 1, 'it is left alone for a minute')
      expectStatus(test, await workspace.run(deliverer, [], at(15)), 0)
      expectStatus(test, await workspace.run(deliverer, [], at(16)), 0)
      test.same([services.slack.length, services.pagerduty.length, mail.mails.length], [1, 1, 1])
      test.match(mail.mails[0]?.text, 'it could not be delivered before')
    })

    await group.test('is told by hand, where the configuration is one', async test => {
      const { workspace, services, at } = await startEverything(test)
      const absent = join(workspace.folder, 'absent.json')
      const lost = await workspace.run(deliverer, ['--config', absent], at(0))
      test.same(
        [lost.status, lost.stdout, lost.stderr],
        [
          78,
          `❌ the configuration ${absent} does not exist\n   Name one with --config FILE or CANDLEKEEP_CONFIG.\n`,
          '',
        ],
      )
      const json = await workspace.run(deliverer, ['--config', absent, '--json'], at(0))
      test.match([json.status, json.json], [78, { job: 'alerts', exit_status: 78, error: /does not exist/ }])
      const unknown = await workspace.run(deliverer, ['--confg'], at(0))
      test.match([unknown.status, unknown.stdout, unknown.stderr], [64, /Did you mean --config\?/, ''])
      const help = await workspace.run(deliverer, ['--help', '--config', absent], at(0))
      test.match([help.status, help.stdout], [0, /^Usage: npx zx scripts\/alerts\/deliver\.mts \[flags\]$/m])
      test.match((await workspace.run(deliverer, ['--json'], at(0))).json, {
        outcome: 'done',
        exit_status: 0,
      })
      test.same(services.tries, { slack: 0, pagerduty: 0 })
    })

    await group.test('is told once by any number of processes', async test => {
      const everything = await startEverything(test)
      const { workspace, services, mail, at } = everything
      await failUnheard(everything, test)
      const options = at(1)
      const all = await Promise.all(Array.from({ length: 6 }, () => workspace.run(deliverer, [], options)))
      test.same(
        all.map(({ status, stderr }) => [status, stderr]),
        all.map(() => [0, '']),
      )
      test.same([services.slack.length, services.pagerduty.length, mail.mails.length], [1, 1, 1])
    })

    await group.test('is told later what a process was killed over', async test => {
      const everything = await startEverything(test)
      const { workspace, services, mail, at } = everything
      await failUnheard(everything, test)
      services.script.slack = ['hang']
      const running = workspace.start(deliverer, [], at(1))
      // what has arrived but is not yet put down as such would be sent again
      await until(() => services.tries.slack === 1 && sentCount(workspace.state) === 2)
      running.kill('SIGKILL')
      await running.ended
      expectStatus(test, await workspace.run(deliverer, [], at(1)), 0)
      test.equal(services.tries.slack, 1, 'for all that anybody knows it is still at it')
      expectStatus(test, await workspace.run(deliverer, [], at(4)), 0)
      expectStatus(test, await workspace.run(deliverer, [], at(8)), 0)
      test.equal(services.slack.length, 1)
      test.same([services.pagerduty.length, mail.mails.length], [1, 1])
    })

    await group.test('costs nothing where nothing is due', async test => {
      const { workspace, services, at } = await startEverything(test)
      expectStatus(test, await workspace.run(sync, [], at(0)), 0)
      const before = [workspace.logFiles(), readdirSync(workspace.state).sort()]
      const ended = await workspace.run(deliverer, [], at(day))
      test.same([ended.status, ended.stdout, ended.stderr], [0, '', ''])
      test.same([workspace.logFiles(), readdirSync(workspace.state).sort()], before)
      test.same(services.tries, { slack: 0, pagerduty: 0 })
    })
  }),
)

groups.push(
  t.test('no secret', async group => {
    /** All processes' command lines while `action` runs, as anybody on this machine can read them. */
    async function commandLinesDuring(action: () => Promise<unknown>): Promise<Set<string>> {
      const lines = new Set<string>()
      const looks = new AbortController()
      const looking = (async () => {
        while (!looks.signal.aborted) {
          for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
            try {
              lines.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
            } catch {
              // it has just ended
            }
          }
          await delay(20)
        }
      })()
      await action().finally(() => looks.abort())
      await looking
      return lines
    }

    for (const [name, working] of [
      ['that arrives', true],
      ['where nothing arrives', false],
    ] as const) {
      await group.test(`is in a log, history, report or list of processes ${name}`, async test => {
        const { workspace, replay, services, mail, at } = await startEverything(test)
        const heartbeat = createServer((_, response) =>
          response.writeHead(working ? 200 : 500).end('heartbeat-marker'),
        )
        await once(heartbeat.listen(0, '127.0.0.1'), 'listening')
        test.teardown(() => heartbeat.close())
        const { env } = at(0)
        const { port } = heartbeat.address() as AddressInfo
        const files = temporaryFolder(test)
        const keyFile = join(files, 'key')
        writeFileSync(keyFile, `${routingKey}\n`, { mode: 0o600 })
        const echo = { status: 400, text: `${webhookSecret} ${routingKey}` }
        if (!working) {
          services.script.slack = Array.from({ length: 20 }, () => echo)
          services.script.pagerduty = Array.from({ length: 20 }, () => echo)
          mail.refuse = () => Object.assign(new Error(`${mailPassword} marker`), { responseCode: 554 })
        }
        const secrets = {
          ...env,
          CANDLEKEEP_HEARTBEAT_URL: `http://127.0.0.1:${port}/heartbeat-marker`,
          CANDLEKEEP_PAGERDUTY_ROUTING_KEY: undefined,
          CANDLEKEEP_PAGERDUTY_ROUTING_KEY_FILE: keyFile,
        }
        replay.setFaults(broken)
        const deaf = writeDeafJob(workspace.folder)
        const said: string[] = []
        const commands = await commandLinesDuring(async () => {
          for (const [script, ...args] of [
            [sync, '--json'],
            [sync],
            [deaf],
            [deliverer],
            ['cheat_sheet', '--json'],
            ['cheat_sheet', '--validate', '--json'],
            ['cheat_sheet', '--test-alert'],
            ['cheat_sheet', '--test-alert', '--json'],
          ] as [string, ...string[]][]) {
            const { stdout, stderr } = await workspace.run(script, args, { env: secrets })
            said.push(stdout, stderr)
          }
          // the detached one has its time as well
          await until(() => services.tries.pagerduty >= 2)
        })
        const left = readdirSync(workspace.folder, { recursive: true, withFileTypes: true })
          .filter(file => file.isFile())
          .map(file => readFileSync(join(file.parentPath, file.name), 'latin1'))
        test.ok(
          said.join('').length > 500 && left.length > 4 && commands.size > 4,
          'there is something to look at',
        )
        test.ok([...commands].some(line => line.includes('scripts/alerts/deliver.mts')))
        for (const text of [...said, ...left, ...commands]) {
          const found = /.{0,60}(-marker-|marker|%40candlekeep).{0,20}/.exec(text)
          if (found !== null) test.fail(`a secret is shown: ${found[0]}`)
        }
        test.equal(services.slack.length > 0, working)
        test.equal(mail.mails.length > 0, working)
      })
    }
  }),
)

await Promise.all(groups)

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as fc from 'fast-check'
import t from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { filesOf } from '../provision/files.ts'
import { render } from '../provision/render.ts'
import { jobsOf, minutesFor } from '../provision/schedule.ts'
import { siteOf } from '../provision/site_of.ts'
import { check, runs } from './support/properties.ts'
import { temporaryFolder } from './support/workspace.ts'

const site = siteOf(sheet, [], {
  name: 'md-1',
  under: undefined,
  secrets: { CANDLEKEEP_SMTP_URL: "smtp://a'b$(id)" },
})

await t.test('Each job is due at its time in UTC, at a minute that cron has in every zone', test => {
  const jobs = jobsOf(site.sheet)
  const dueOf = (name: string) => jobs.find(job => job.name === name)
  test.match(dueOf('daily_sync'), { period: 86_400, offset: 3600 })
  test.match(dueOf('backup'), { period: 86_400, offset: 7200 })
  const { period = 0, offset = 0 } = dueOf('restore_drill') ?? {}
  const now = Date.parse('2026-11-25T12:00:00Z') / 1000
  const due = Math.floor((now - offset) / period) * period + offset
  test.equal(new Date(due * 1000).toISOString(), '2026-11-22T03:00:00.000Z', 'a Sunday')
  const zones = Intl.supportedValuesOf('timeZone')
  for (const job of jobs) {
    const minutes = new Set(minutesFor(job))
    for (const zone of zones) {
      for (const month of ['2026-01-07', '2026-07-08']) {
        const at = new Date(Date.parse(`${month}T00:00:00Z`) + job.offset * 1000)
        const local = Number(new Intl.DateTimeFormat('en', { timeZone: zone, minute: 'numeric' }).format(at))
        if (!minutes.has(local))
          test.fail(`${job.name} in ${zone}: minute ${local} is none of ${[...minutes].join()}`)
      }
    }
  }
  test.ok(zones.length > 300, `${zones.length} zones`)
  test.end()
})

await t.test(
  'at_utc.sh runs what is due once, makes up for what was missed, and tries again what failed',
  test => {
    const folder = temporaryFolder(test)
    const [state, jobs, bin] = ['state', 'jobs', 'bin'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ]
    for (const path of [jobs, bin]) mkdirSync(path)
    const program = (path: string, text: string) => {
      writeFileSync(path, text)
      chmodSync(path, 0o755)
    }
    program(join(bin, 'date'), '#!/bin/sh\necho "$NOW"\n')
    program(join(jobs, 'x.sh'), `#!/bin/sh\necho ran >>${folder}/ran\nexit "$STATUS"\n`)
    program(
      join(folder, 'at_utc.sh'),
      render('at_utc.sh', { managed: 'test', state, jobs, logs: join(folder, 'logs') }),
    )
    const tick = fc.record({
      // mostly a quarter of an hour, sometimes a night, sometimes a clock that goes back
      by: fc.oneof({ weight: 6, arbitrary: fc.constant(900) }, fc.integer({ min: -90_000, max: 200_000 })),
      status: fc.constantFrom(0, 0, 0, 1, 2, 75, 124),
    })
    check(
      fc.property(
        fc.constantFrom([86_400, 3600, 3], [3600, 1800, 0], [604_800, 270_000, 1]),
        fc.array(tick, { minLength: 1, maxLength: 12 }),
        ([period, offset, retries], ticks) => {
          rmSync(state, { recursive: true, force: true })
          let now = Date.parse('2026-11-25T00:10:00Z') / 1000
          let model = { due: 0, status: 0, tries: 0, ended: 0 }
          for (const { by, status } of ticks) {
            now += by
            const ahead = model.due > now || model.ended > now
            const seen = ahead ? { due: 0, status: 0, tries: 0, ended: 0 } : model
            const due = now - ((((now - offset) % period) + period) % period)
            const isNew = due > seen.due
            const again = seen.status !== 0 && seen.tries <= retries && now - seen.ended >= 3600
            const runsNow = isNew || again
            if (runsNow && status !== 75) {
              model = { due, status, tries: isNew ? 1 : seen.tries + 1, ended: now }
            }
            rmSync(join(folder, 'ran'), { force: true })
            const env = { PATH: `${bin}${delimiter}/usr/bin:/bin`, NOW: String(now), STATUS: String(status) }
            const args = [join(folder, 'at_utc.sh'), `${period}`, `${offset}`, `${retries}`, 'x']
            const ended = spawnSync('sh', args, { env, encoding: 'utf8' })
            if (existsSync(join(folder, 'ran')) !== runsNow || ended.stderr !== '') return false
            if (runsNow && ended.status !== status) return false
            if (readFileSync(join(folder, 'logs/cron.log'), 'utf8') !== '') return false
          }
          return true
        },
      ),
      runs(30),
    )
    test.end()
  },
)

await t.test('Every file of a host is what its program takes', test => {
  const files = filesOf(site)
  const folder = temporaryFolder(test)
  for (const { path, content } of files.filter(
    file => file.path.endsWith('.sh') || file.path.endsWith('environment'),
  )) {
    const copy = join(folder, 'script')
    writeFileSync(copy, content)
    for (const shell of ['dash', 'bash'])
      test.equal(spawnSync(shell, ['-n', copy]).status, 0, `${path} by ${shell}`)
    test.notMatch(content, /\{\{|\{%|undefined/)
  }
  const environment = files.find(({ path }) => path.endsWith('/environment'))
  test.match(environment, { mode: '0600', owner: 'user', secret: true })
  const copy = join(folder, 'environment')
  writeFileSync(copy, environment?.content ?? '')
  const said = spawnSync('sh', ['-c', `. ${copy}; printf %s "$CANDLEKEEP_SMTP_URL"`], { encoding: 'utf8' })
  test.equal(said.stdout, "smtp://a'b$(id)", 'a secret is what was given')
  const crontab = files.find(({ path }) => path === site.cron)?.content ?? ''
  const lines = crontab.split('\n').filter(line => /^[\d*]/.test(line))
  test.equal(lines.length, jobsOf(site.sheet).length)
  for (const line of lines)
    test.match(line, /^[\d,]+ \* \* \* \* candlekeep \/opt\/jobs\/at_utc\.sh \d+ \d+ \d+ [a-z_]+$/)
  test.ok(crontab.endsWith('\n'), 'cron passes over a last line that has no end')
  test.throws(() => render('crontab', {}), /undefined/)
  test.equal(readFileSync(copy, 'utf8').includes('[secret]'), false)
  test.end()
})

await t.test(
  'A wrapper keeps the exit status, tells a deadline from a kill, and excludes itself',
  async test => {
    const folder = temporaryFolder(test)
    const at = (name: string) => join(folder, name)
    for (const path of ['etc', 'install/current/node/bin', 'state', 'logs'])
      mkdirSync(at(path), { recursive: true })
    const program = (path: string, text: string) => {
      writeFileSync(at(path), text)
      chmodSync(at(path), 0o755)
    }
    writeFileSync(at('etc/environment'), "SECRET='a b'\n")
    const values = {
      managed: 'test',
      title: 'A test',
      switches: false,
      etc: at('etc'),
      install: at('install'),
      state: at('state'),
      logs: at('logs'),
      name: 'x',
      command: 'x_command',
      arguments: ['--flag', 'a b'],
      limit: 1,
      grace: 1,
      log_days: 90,
    }
    program('x.sh', render('job.sh', { ...values, environment: render('environment.sh', values) }))
    const run = (node: string) => {
      program('install/current/node/bin/node', `#!/bin/sh\n${node}\n`)
      return spawnSync('sh', [at('x.sh')], { encoding: 'utf8' })
    }
    const mark = at('state/killed_at_deadline/x_command')
    const log = () => readFileSync(at('logs/x.log'), 'utf8')

    test.equal(run('echo "$SECRET|$2|$3|$CANDLEKEEP_CONFIG"; exit 7').status, 7)
    test.match(log(), `a b|--flag|a b|${at('etc')}/cheat_sheet.json`)
    test.match(log(), /Z x starts\n[^]*Z x ends with status 7\n/)
    test.equal(run('kill -9 $$').status, 137, 'killed by somebody else')
    test.notOk(existsSync(mark))
    test.equal(run("trap '' TERM; while :; do sleep 0.1; done").status, 124, 'killed at the deadline')
    test.ok(existsSync(mark))

    program('install/current/node/bin/node', `#!/bin/sh\n: >${at('running')}\nsleep 0.8\n`)
    const first = spawn('sh', [at('x.sh')])
    const ended = once(first, 'exit')
    while (!existsSync(at('running'))) await delay(5)
    first.kill('SIGKILL')
    test.equal(
      spawnSync('sh', [at('x.sh')]).status,
      75,
      'the command still runs, though its wrapper was killed',
    )
    await ended
    await delay(1500)
    test.equal(run('exit 0').status, 0, 'and then no more')
    rmSync(at('etc/environment'))
    test.equal(run('exit 0').status, 78)
  },
)

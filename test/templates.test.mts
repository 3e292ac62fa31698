import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { filesOf, managed } from '../provision/files.ts'
import { servicesOf } from '../provision/monitoring.ts'
import { render } from '../provision/render.ts'
import { siteOf } from '../provision/site_of.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { temporaryFolder } from './support/workspace.ts'

// What the templates become, as files to read: `UPDATE_GOLDEN=1 npx tap test/templates.test.mts` writes them anew, and
// the difference is for a person to look at.

const golden = join(import.meta.dirname, 'golden')
const update = process.env['UPDATE_GOLDEN'] === '1'

const host = siteOf(sheet, [], {
  name: 'md-1',
  under: undefined,
  secrets: {
    CANDLEKEEP_SLACK_WEBHOOK_URL: 'https://hooks.slack.example/services/T0/B0/x',
    CANDLEKEEP_SMTP_URL: "smtps://it's:$(me) `you` \\ #%@mail.example",
  },
})
// a user of a fixed name: below a folder everything belongs to whoever runs this
const folder = {
  ...siteOf(sheet, [], { name: 'here', under: { root: '/srv/a b' }, secrets: {} }),
  user: 'ann',
}

const watching = siteOf(
  sheet,
  [
    {
      from: 'vars',
      vars: {
        provision: { roles: ['metrics', 'monitoring'] },
        monitoring: { exporter_listen: '[fd00::7]:9100' },
        alerts: { email: { to: ['ops@mail.example', 'boss@mail.example'] }, routes: { info: [] } },
      },
    },
  ],
  {
    name: 'mon-1',
    under: undefined,
    secrets: {
      CANDLEKEEP_SLACK_WEBHOOK_URL: 'https://hooks.slack.example/services/T0/B0/x',
      CANDLEKEEP_PAGERDUTY_ROUTING_KEY: 'key',
      CANDLEKEEP_SMTP_URL: 'smtps://ops:p%40ss@[2001:db8::1]',
      CANDLEKEEP_WATCHDOG_URL: 'https://hc.example/ping/"x"',
    },
  },
)
const watched = { instance: 'md-1', address: '10.0.0.7:9100', hasJobs: true }
const watcher = { ...watching, targets: [watched, ...watching.targets] }

for (const [name, site] of Object.entries({ host, folder, watcher })) {
  const daemons = servicesOf(site, managed)
  const all =
    site === watcher ? daemons.flatMap(({ files }) => files) : filesOf({ ...site, group: site.user })
  const files = all.filter(
    // conf/alerting_rules.yml is the same text
    ({ path }) => !['cheat_sheet.json', 'candlekeep.yml'].includes(basename(path)),
  )
  const nameOf = (path: string) =>
    path === site.cron
      ? 'crontab'
      : path === site.logrotate
        ? 'logrotate'
        : path.startsWith('/etc/default/')
          ? `default_${basename(path)}`
          : basename(path)

  await t.test(`The files of a ${name} are those that were looked at`, test => {
    const at = join(golden, name)
    if (update) {
      mkdirSync(at, { recursive: true })
      for (const { path, content } of files) writeFileSync(join(at, nameOf(path)), content)
    }
    for (const { path, content } of files)
      test.equal(content, readFileSync(join(at, nameOf(path)), 'utf8'), nameOf(path))
    test.same(readdirSync(at).sort(), files.map(({ path }) => nameOf(path)).sort(), 'and no others')
    test.end()
  })

  // it has none
  if (site === watcher) continue
  await t.test(
    `The programs of a ${name} have nothing that shellcheck knows to be wrong`,
    { skip: skipWithoutPackages({ shellcheck: 'shellcheck' }) },
    test => {
      const at = temporaryFolder(test)
      const programs = files.filter(({ mode }) => mode === '0755')
      for (const { path, content } of programs) writeFileSync(join(at, nameOf(path)), content)
      // what is read in by `.` is on the host only
      const options = ['--shell=dash', '--exclude=SC1091']
      const { stdout, status } = spawnSync('shellcheck', [...options, ...readdirSync(at)], {
        cwd: at,
        encoding: 'utf8',
      })
      test.equal(stdout, '')
      test.equal(status, 0)
      test.end()
    },
  )
}

await t.test('A secret arrives at a job as it was given', test => {
  const file = join(temporaryFolder(test), 'environment')
  writeFileSync(file, filesOf(host).find(({ path }) => path.endsWith('/environment'))?.content ?? '')
  const read = execFileSync('sh', ['-c', `. "$1"; printf %s "$CANDLEKEEP_SMTP_URL"`, 'sh', file], {
    encoding: 'utf8',
  })
  test.equal(read, host.secrets['CANDLEKEEP_SMTP_URL'])
  test.end()
})

await t.test('A name that no value has is an error, and so is a value that is no text', test => {
  test.throws(() => render('environment.sh', {}), /etc/)
  test.throws(() => render('environment.sh', { etc: undefined }))
  test.throws(() => render('crontab', { managed: null, scheduled: [] }), /would write null/)
  test.end()
})

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { alertmanagerConfig } from '../provision/alertmanager.ts'
import { holdBack } from '../provision/apt.ts'
import { parseListen } from '../provision/listen.ts'
import { requireReachable } from '../provision/monitoring.ts'
import { siteOf } from '../provision/site_of.ts'
import { checkConfig } from '../scripts/job/config.ts'
import { temporaryFolder } from './support/workspace.ts'

// What a host that watches others is refused, before anything is touched.

const on = (monitoring: object) => () =>
  siteOf(sheet, [{ from: 'vars', vars: { monitoring } }], { name: 'mon-1', under: undefined, secrets: {} })

await t.test('Daemons without passwords listen where not everybody can come', test => {
  for (const address of [
    '0.0.0.0',
    '8.8.8.8',
    '172.32.0.1',
    '192.169.0.1',
    '100.128.0.1',
    '[::]',
    '[2001:db8::1]',
  ])
    for (const name of ['exporter_listen', 'prometheus_listen', 'alertmanager_listen'])
      test.throws(
        on({ [name]: `${address}:9100` }),
        { status: 78, message: /can be reached by anybody/ },
        `${name} ${address}`,
      )
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.0.1',
    '100.64.0.1',
    '[::1]',
    '[fd00::7]',
  ])
    test.doesNotThrow(on({ exporter_listen: `${address}:9100` }), address)
  test.end()
})

await t.test('What is no address and port is named', test => {
  for (const text of ['300.1.1.1:9100', '10.0.0.1:70000', '[10.0.0.1]:9100', '[fd00::zz]:1', '[fe80]:9'])
    test.throws(on({ exporter_listen: text }), { status: 78, message: /exporter_listen/ }, text)
  for (const text of ['localhost:9100', '10.0.0.1', 'fd00::7:9100', ':9100', ''])
    test.throws(on({ exporter_listen: text }), { status: 78, message: /exporter_listen/ }, text)
  test.match(parseListen('[fd00::7]:9100'), {
    address: 'fd00::7',
    port: 9100,
    isLoopback: false,
    isPrivate: true,
  })
  test.match(parseListen('127.8.9.10:1'), { isLoopback: true, isPrivate: true })
  test.end()
})

await t.test('A loopback address is for a Prometheus on the same host', test => {
  const target = { instance: 'md-1', address: '127.0.0.1:9100', hasJobs: true }
  test.throws(() => requireReachable('mon-1', [target]), { status: 78, message: /mon-1 .* md-1/ })
  test.doesNotThrow(() => requireReachable('md-1', [target]))
  test.doesNotThrow(() => requireReachable('mon-1', [{ ...target, address: '10.0.0.7:9100' }]))
  test.end()
})

await t.test(
  'apt does not start what is to be configured first, by either of its ways, for as long as it runs',
  test => {
    const policy = join(temporaryFolder(test), 'policy-rc.d')
    const ask = (name: string) => `sh ${policy} ${name} start; echo ${name} $?`
    const names = [
      'prometheus',
      'prometheus.service',
      'prometheus-node-exporter.service',
      'cron',
      'cron.service',
    ]
    const script = [holdBack(['prometheus', 'prometheus-node-exporter'], policy), ...names.map(ask)].join(
      '\n',
    )
    const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' })
    test.equal(stdout, names.map(name => `${name} ${name.startsWith('cron') ? 0 : 101}\n`).join(''))
    const later = spawnSync('sh', ['-c', ask('prometheus')], { encoding: 'utf8' })
    test.equal(later.stdout, 'prometheus 0\n', 'one that was left behind counts for nothing')
    test.end()
  },
)

await t.test('Mail that Alertmanager could not send is refused', test => {
  const checked = checkConfig(
    structuredClone({
      ...sheet,
      alerts: { ...sheet.alerts, email: { ...sheet.alerts.email, to: ['a@b.example'] } },
    }),
    'test',
  )
  const place = { managed: '', folder: '/s', hello: 'mon-1' }
  const given = (url: string) => () => alertmanagerConfig(checked, { CANDLEKEEP_SMTP_URL: url }, place)
  for (const url of [
    'smtps://u:secret@mail.example:2465',
    'smtp://u:secret@mail.example:465',
    'mail.example:25',
  ])
    test.throws(given(url), { status: 78, message: /^(?!.*secret)/ }, url)
  // Alertmanager 0.25 would ask for STARTTLS within the TLS of port 465
  const requires = (url: string) => /smtp_require_tls: (\w+)/.exec(given(url)().text)?.[1]
  test.equal(requires('smtps://u:p@mail.example'), 'false')
  test.equal(requires('smtp://mail.example:25'), 'true')
  test.end()
})

import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import t from 'tap'
import sheet from '../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { servicesOf } from '../../provision/monitoring.ts'
import { serviceFacts, startService, stopService } from '../../provision/service.ts'
import { siteOf } from '../../provision/site_of.ts'
import { skipWithoutPackages } from '../support/debian.ts'
import { skipWithoutRoot } from '../support/full_disk.ts'
import { startSystemd } from '../support/systemd.ts'

// Services where systemd runs, as on most servers: a real one, in namespaces of its own. Not every machine that tests run
// on lets it start, so it is for the soak; other tests have hosts without it.

const soak = process.env['CANDLEKEEP_SOAK'] === '1'
const skip =
  skipWithoutRoot() ||
  skipWithoutPackages({
    systemd: '/lib/systemd/systemd',
    prometheus: 'prometheus',
    'prometheus-alertmanager': 'prometheus-alertmanager',
    'prometheus-node-exporter': 'prometheus-node-exporter',
  })

const site = siteOf(
  sheet,
  [{ from: 'vars', vars: { provision: { roles: ['jobs', 'metrics', 'monitoring'] } } }],
  { name: 'md-1', under: undefined, secrets: {} },
)
const services = servicesOf(site, 'a test')

await t.test(
  'What is run for services has nothing that shellcheck knows to be wrong',
  { skip: skipWithoutPackages({ shellcheck: 'shellcheck' }) },
  test => {
    for (const { name, listen } of services) {
      const scripts = [
        serviceFacts(site, name),
        startService(site, { name, listen, startWith: '' }).script,
        stopService(site, name).script,
      ]
      for (const script of scripts) {
        // meant: an `&&` that falls through to its `||`, a mode for the last folder only, what a trap sets for itself
        const options = ['--shell=dash', '--exclude=SC2015,SC2174,SC2154', '-']
        const { stdout, status } = spawnSync('shellcheck', options, { input: script, encoding: 'utf8' })
        test.equal(stdout, '')
        test.equal(status, 0)
      }
    }
    test.end()
  },
)

if (soak)
  await t.test('Under systemd', { skip }, async test => {
    const { sh } = await startSystemd(test)
    test.match(sh('systemctl is-system-running').output, /running|degraded/)
    // a user namespace, which its unit asks for, cannot be had within such a machine
    sh(`mkdir -p /etc/systemd/system/prometheus.service.d
      printf '[Service]\\nPrivateUsers=no\\n' >/etc/systemd/system/prometheus.service.d/test.conf
      mkdir -p ${site.install} ${site.sheet.paths.metrics}; systemctl daemon-reload`)
    for (const { path, content, mode, owner } of services.flatMap(({ files }) => files)) {
      const group = owner === 'prometheus' ? owner : 'root'
      const put = sh(
        `mkdir -p ${dirname(path)}; cat >${path}; chmod ${mode} ${path}; chown root:${group} ${path}`,
        content,
      )
      test.equal(put.status, 0, put.output)
    }
    for (const { name, listen } of services) {
      test.match(
        sh(serviceFacts(site, name)).output,
        new RegExp(`^${name} no ?$`, 'm'),
        `${name} does not run`,
      )
      const { script, input } = startService(site, { name, listen, startWith: 'first' })
      test.same(sh(script, input), { status: 0, output: '' }, `${name} is started`)
      test.equal(sh(serviceFacts(site, name)).output, `${name} yes first\n`)
      test.equal(sh(`systemctl is-enabled ${name}`).output, 'enabled\n', `${name} starts with the machine`)
    }

    const [, prometheus] = services
    const { name = '', listen = '' } = prometheus ?? {}
    const { script, input } = startService(site, { name, listen, startWith: 'second' })
    sh(`echo broken >${site.etc}/monitoring/prometheus.yml`)
    const failed = sh(script, input)
    test.equal(failed.status, 1)
    test.match(failed.output, /^prometheus does not listen on 127\.0\.0\.1:9090\n/)
    test.equal(sh(serviceFacts(site, name)).output, `${name} no first\n`, 'the next run starts it again')

    for (const service of services) {
      const stop = stopService(site, service.name).script
      test.same(sh(stop), { status: 0, output: '' })
      test.same(sh(stop), { status: 0, output: '' }, 'twice, too')
      test.match(sh(serviceFacts(site, service.name)).output, new RegExp(`^${service.name} no ?$`, 'm'))
      test.equal(sh(`systemctl is-enabled ${service.name}`).output, 'disabled\n')
    }
    test.same(
      sh(stopService(site, 'no-such').script),
      { status: 0, output: '' },
      'one that is gone is no error',
    )
  })

import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { daemons } from '../../provision/monitoring.ts'
import { giveRepository } from '../support/apt_repository.ts'
import { expectStatus } from '../support/command.ts'
import { differences } from '../support/host_snapshot.ts'
import { type Host, skipWithoutHosts, startHost } from '../support/hosts.ts'
import { provisioning, recapOf } from '../support/provisioned.ts'

// Debian's Prometheus, Alertmanager and node_exporter, put on hosts of the test and started by Debian's own scripts: one
// host runs the jobs, another one watches it.

const folder = '/etc/crypto-futures-agent/monitoring'
const secrets = {
  CANDLEKEEP_SLACK_WEBHOOK_URL: 'https://hooks.slack.example/services/T0/B0/marker-5d1c',
  CANDLEKEEP_PAGERDUTY_ROUTING_KEY: 'marker-77aa',
  CANDLEKEEP_SMTP_URL: 'smtp://ops:marker-90fe@mail.example:587',
}

await t.test('A host watches another', { skip: skipWithoutHosts() }, async group => {
  const watched = await startHost(group, { name: 'md-1' })
  const watcher = await startHost(group, { name: 'mon-1' })
  const hosts = [watched, watcher]
  for (const host of hosts) host.openNetwork()
  let roles = ['jobs', 'metrics']
  let scrape_seconds = 1
  let mailTo = 'ops@mail.example'
  const { run } = await provisioning(group, hosts, [], {
    varsOf: name => ({
      provision: { roles: name === 'md-1' ? roles : ['monitoring'] },
      monitoring: { exporter_listen: `${watched.address}:9100`, scrape_seconds },
      alerts: { email: { to: [mailTo] } },
    }),
  })
  const install = (args: string[] = []) => run('install', ['--no-run', ...args], { env: secrets })

  /** What listens on a host, but for its sshd. */
  const listening = async (host: Host) =>
    (await host.run('cat /proc/net/tcp /proc/net/tcp6'))
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === '0A')
      .map(([, local = '']) => readable(local))
      .filter(address => !address.endsWith(':22'))
      .sort()

  const ask = (query: string) => watcher.run(`promtool query instant http://127.0.0.1:9090 '${query}'`)
  async function answers(test: Test, query: string, what: string): Promise<void> {
    let said = ''
    for (let i = 0; i < 300 && said.trim() === ''; i++) {
      said = await ask(query)
      await delay(100)
    }
    test.ok(said.trim(), `${what}: ${query}`)
  }
  const pids = async () =>
    Object.fromEntries(
      await Promise.all(
        ['prometheus', 'prometheus-alertmanager'].map(async name => [
          name,
          await watcher.run(`cat /run/prometheus/${name}.pid`),
        ]),
      ),
    )

  await group.test('daemons of somebody else stay as they are', async test => {
    const ended = await install()
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /\[mon-1\] prometheus(?:-alertmanager)? is there already/)
    test.match(ended.stderr, /\[md-1\] prometheus-node-exporter is there already/)
    test.notOk(existsSync(join(watcher.root, folder)))
  })

  for (const host of hosts) {
    await host.run(`DEBIAN_FRONTEND=noninteractive apt-get -q -y purge ${daemons.join(' ')} 2>&1`)
    await giveRepository(group, host, [...daemons])
    // where this is not there, apt would start what it installs
    await host.run('rm -f /usr/sbin/policy-rc.d')
  }
  const bare = watcher.snapshot()

  await group.test('both are set up, and nobody else can reach what was started', async test => {
    const ended = await install()
    expectStatus(test, ended, 0)
    test.match(recapOf(ended, 'mon-1'), { failed: 0, skipped: 0 })
    test.match((await run('status')).stdout, /^mon-1 +– +none +– +– +– +– +–$/m)
    test.same(await listening(watched), [`${watched.address}:9100`])
    test.same(await listening(watcher), ['127.0.0.1:9090', '127.0.0.1:9093'])
    test.notOk(existsSync(join(watcher.root, '/etc/cron.d/crypto-futures-agent')), 'it has no jobs')
    for (const host of hosts) test.notOk(existsSync(join(host.root, '/usr/sbin/policy-rc.d')))
  })

  await group.test('what a job of the one writes is known to the other', async test => {
    await answers(test, 'up{job="candlekeep",instance="md-1"} == 1', 'it is asked')
    await answers(test, 'ALERTS{alertname="MetricsMissing",instance="md-1"}', 'no job has run yet')
    await watched.run(
      'runuser -u candlekeep -- env -u NODE_OPTIONS /opt/jobs/candlekeep.sh health_check >/dev/null 2>&1 || true',
    )
    await answers(test, 'candlekeep_info{instance="md-1"}', 'what it wrote is there')
    await answers(test, 'ALERTS{alertname="Watchdog",alertstate="firing"}', 'rules are looked at')
    const told = 'amtool --alertmanager.url=http://127.0.0.1:9093 alert query alertname=Watchdog'
    for (let i = 0; i < 300 && !(await watcher.run(told)).includes('Watchdog'); i++) await delay(100)
    test.match(await watcher.run(told), /Watchdog .* active/, 'Alertmanager is told')
  })

  await group.test(
    'secrets stand in files that nobody else reads, and in no log of the installer',
    async test => {
      const files = await watcher.run(
        `stat -c '%U:%G %a %n' ${folder}/secrets ${folder}/secrets/* ${folder}/alertmanager.yml`,
      )
      test.equal(
        files,
        [
          `root:prometheus 750 ${folder}/secrets`,
          ...['pagerduty_routing_key', 'slack_webhook_url', 'smtp_password'].map(
            name => `root:prometheus 640 ${folder}/secrets/${name}`,
          ),
          `root:prometheus 640 ${folder}/alertmanager.yml`,
          '',
        ].join('\n'),
      )
      const shown = await install(['--check', '--diff'])
      test.notMatch(shown.stdout + shown.stderr, /marker-/)
    },
  )

  await group.test('a second run changes nothing, with the secrets and without', async test => {
    for (const ended of [await install(), await run('install', ['--no-run'])]) {
      expectStatus(test, ended, 0)
      for (const { name } of hosts) test.match(recapOf(ended, name), { changed: 0, failed: 0 }, name)
    }
    test.match(readFileSync(join(watcher.root, folder, 'alertmanager.yml'), 'utf8'), /slack_webhook_url/)
  })

  await group.test(
    'what Alertmanager should say is not left undone without a word, where that takes secrets',
    async test => {
      mailTo = 'boss@mail.example'
      const config = join(watcher.root, folder, 'alertmanager.yml')
      const before = readFileSync(config, 'utf8')
      const said = /alertmanager\.yml is to change, which takes the secrets/
      test.match((await run('install', ['--no-run', '--check'])).stderr, said)
      const ended = await run('install', ['--no-run'])
      expectStatus(test, ended, 1)
      test.match(ended.stderr, said)
      test.equal(readFileSync(config, 'utf8'), before)
      expectStatus(test, await install(), 0)
      test.match(readFileSync(config, 'utf8'), 'to: "boss@mail.example"')
      const without = await run('install', ['--no-run'])
      expectStatus(test, without, 0)
      test.match(recapOf(without, 'mon-1'), { changed: 0 })
    },
  )

  await group.test(
    'what was changed by hand is named and mended, and a daemon that ended is started',
    async test => {
      appendFileSync(join(watcher.root, folder, 'prometheus.yml'), '# mine\n')
      await watched.run('service prometheus-node-exporter stop')
      const seen = await install(['--check'])
      expectStatus(test, seen, 2)
      test.match(seen.stdout, /\[mon-1\] => .*prometheus\.yml \(content\)/)
      test.match(seen.stdout, /\[md-1\] => service prometheus-node-exporter \(not running\)/)
      expectStatus(test, await install(), 0)
      test.same(await listening(watched), [`${watched.address}:9100`])
      test.match(recapOf(await install(['--check']), 'mon-1'), { changed: 0 })
    },
  )

  await group.test('only what reads a change is started anew', async test => {
    const before = await pids()
    scrape_seconds = 2
    expectStatus(test, await install(), 0)
    const after = await pids()
    test.not(after['prometheus'], before['prometheus'])
    test.equal(after['prometheus-alertmanager'], before['prometheus-alertmanager'])
  })

  await group.test('what Prometheus would not take is not put in its place', async test => {
    const before = [await pids(), readFileSync(join(watcher.root, folder, 'prometheus.yml'), 'utf8')]
    // a rule file of the operator's that is not sound is read by the same check
    await watcher.run(`echo 'groups: 7' >${folder}/rules/mine.yml`)
    scrape_seconds = 3
    const ended = await install()
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /\[mon-1\] .*prometheus\.yml[^]*mine\.yml/)
    test.same([await pids(), readFileSync(join(watcher.root, folder, 'prometheus.yml'), 'utf8')], before)
    await watcher.run(`rm ${folder}/rules/mine.yml`)
    expectStatus(test, await install(), 0)
  })

  await group.test('a run that was killed before a daemon was started is made up for', async test => {
    const before = await pids()
    await watcher.run('echo other >/opt/crypto-futures-agent/services/prometheus')
    test.match((await install(['--check'])).stdout, /service prometheus \(to be started anew\)/)
    expectStatus(test, await install(), 0)
    test.not((await pids())['prometheus'], before['prometheus'])
  })

  await group.test('a host that dies is told of, though nothing it wrote says so', async test => {
    await watched.run('kill -KILL $(cat /run/prometheus/prometheus-node-exporter.pid)')
    await answers(test, 'ALERTS{alertname="HostDown",instance="md-1"}', 'it waits for five minutes')
  })

  await group.test('a role that is taken away takes its daemon along', async test => {
    roles = ['jobs']
    const ended = await install()
    expectStatus(test, ended, 0)
    test.match(ended.stdout, /service prometheus-node-exporter \(no longer wanted\)/)
    test.same(await listening(watched), [])
    test.notOk(existsSync(join(watched.root, '/etc/default/prometheus-node-exporter')))
    test.notMatch(readFileSync(join(watcher.root, folder, 'prometheus.yml'), 'utf8'), /md-1/)
    test.match(recapOf(await install(), 'md-1'), { changed: 0 })
  })

  await group.test(
    'an Alertmanager that is new on a host is not left without secrets that the jobs have',
    async test => {
      roles = ['jobs', 'monitoring']
      const ended = await run('install', ['--no-run', '--check', '--limit', 'md-1'])
      expectStatus(test, ended, 1)
      test.match(ended.stderr, /it has secrets that are not given now: CANDLEKEEP_/)
      expectStatus(test, await install(['--check', '--limit', 'md-1']), 2)
      roles = ['jobs']
    },
  )

  await group.test('a port that is taken is told of, and not taken for ours', async test => {
    await watcher.run('service prometheus stop')
    const other = watcher.run(
      'exec timeout 60 perl -MIO::Socket::INET -e \'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 9090, Listen => 1, ReuseAddr => 1) or die; sleep 60\'',
    )
    const over = test.rejects(other, 'the other program is ended here')
    while (!(await listening(watcher)).includes('127.0.0.1:9090')) await delay(50)
    const ended = await install(['--limit', 'mon-1'])
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /another program listens on the port of 127\.0\.0\.1:9090/)
    await watcher.run('kill $(pidof perl)')
    await over
    expectStatus(test, await install(['--limit', 'mon-1']), 0)
  })

  await group.test('without --purge the packages stay ours, so that it can be set up again', async test => {
    expectStatus(test, await run('uninstall', ['--limit', 'mon-1']), 0)
    test.same(await listening(watcher), [])
    expectStatus(test, await install(['--limit', 'mon-1']), 0)
    test.same(await listening(watcher), ['127.0.0.1:9090', '127.0.0.1:9093'])
  })

  await group.test('nothing of it stays', async test => {
    expectStatus(test, await run('uninstall', ['--purge', '--yes', '--limit', 'mon-1']), 0)
    test.same(await listening(watcher), [])
    const left = differences(bare, watcher.snapshot()).map(line => line.slice(2))
    const traces =
      /^\/(?:var\/log|var\/lib\/(?:sudo|dpkg|apt|systemd|ucf)|var\/cache|etc\/rc\d\.d|root\/|home\/)/
    test.same(
      left.filter(line => !traces.test(line)),
      [],
    )
  })
})

/** `0100007F:2382` as `127.0.0.1:9090` (proc(5)). */
function readable(local: string): string {
  const [address = '', port = ''] = local.split(':')
  const bytes = (address.length === 8 ? address.match(/../g) : undefined)?.toReversed() ?? [address]
  return `${bytes.map(byte => (bytes.length === 4 ? Number.parseInt(byte, 16) : byte)).join('.')}:${Number.parseInt(port, 16)}`
}

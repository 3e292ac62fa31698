import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { expectStatus } from '../support/command.ts'
import { skipWithoutHosts, startHost } from '../support/hosts.ts'
import { runs } from '../support/properties.ts'
import { provisioning, recapOf } from '../support/provisioned.ts'
import { seededRandom } from '../support/random.ts'

// What goes wrong is said, the other hosts are done, and running it again completes.

const random = seededRandom(t)

await t.test('Hosts in trouble', { skip: skipWithoutHosts() }, async group => {
  const host = await startHost(group, { name: 'well' })
  const other = await startHost(group, { name: 'other' })
  const { run, start } = await provisioning(
    group,
    [host, other],
    [
      { name: 'sudo-asks', address: host.address, user: 'locked' },
      { name: 'nobody', address: '127.0.0.1:9' },
    ],
  )
  const install = (args: string[] = []) => run('install', ['--no-run', ...args])

  await group.test('a host that cannot be had does not stop the others', async test => {
    const ended = await install(['--limit', 'well,sudo-asks,nobody'])
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /\[sudo-asks\] sudo does not let this user become root without a password/)
    test.match(ended.stderr, /NOPASSWD/)
    test.match(ended.stderr, /\[nobody\] nothing listens there/)
    test.match(ended.stderr, /again: npx zx provision\/install\.mts .*--limit sudo-asks,nobody/)
    test.match(recapOf(ended, 'well'), { failed: 0, unreachable: 0 })
    test.match(recapOf(ended, 'nobody'), { unreachable: 1 })
    expectStatus(test, await install(['--limit', 'nobody']), 3)
    test.match(recapOf(await install(['--limit', 'well']), 'well'), { changed: 0, failed: 0 })
  })

  await group.test('a host key that is another is refused', async test => {
    host.ssh.configure(`Host ${other.address}\n  HostKeyAlias ${host.address}`)
    const ended = await install(['--limit', 'other'])
    expectStatus(test, ended, 3)
    test.match(ended.stderr, /its host key is not the one that is known/)
    expectStatus(test, await install(['--limit', 'other', '--accept-new']), 3)
    host.ssh.configure(`Host ${other.address}\n  HostKeyAlias not-known-yet`)
  })

  await group.test('killed at random moments, it completes when it is run again', async test => {
    for (let i = 0; i < runs(3, 30); i++) {
      await run('uninstall', ['--purge', '--yes', '--limit', 'well'])
      const running = start('install', ['--no-run', '--limit', 'well'])
      const ms = Math.floor(200 + random() * 5000)
      await delay(ms)
      running.kill('SIGKILL')
      await running.ended
      let ended = await install(['--limit', 'well'])
      // what the host was at when the installer died, it ends first
      for (let tries = 0; ended.status === 75 && tries < 30; tries++) {
        await delay(500)
        ended = await install(['--limit', 'well'])
      }
      expectStatus(test, ended, 0)
      const again = recapOf(await install(['--limit', 'well']), 'well')
      test.match(again, { changed: 0, failed: 0 }, `killed after ${ms} ms, it was completed`)
      test.match(
        await host.run('env -u NODE_OPTIONS /opt/jobs/candlekeep.sh health_check --help'),
        /Is it well/,
      )
    }
  })

  await group.test('of two at once, the second is told of the first', async test => {
    const inside = host.run(
      'exec 9<>/run/candlekeep-provision.lock; flock -n 9; echo "ann@desk, pid 7" >&9; sleep 6',
    )
    await delay(1500)
    const ended = await install(['--limit', 'well'])
    expectStatus(test, ended, 75)
    test.match(ended.stderr, /another installer is at work on it: ann@desk, pid 7/)
    await inside
    expectStatus(test, await install(['--limit', 'well']), 0)
  })

  await group.test(
    'a file system that cannot be written is named, and the old release goes on',
    async test => {
      await host.run(
        'chmod 600 /opt/jobs/backup.sh; mount --bind /opt/jobs /opt/jobs && mount -o remount,ro,bind /opt/jobs',
      )
      const ended = await install(['--limit', 'well'])
      expectStatus(test, ended, 1)
      test.match(ended.stderr, /Read-only file system/)
      test.match(ended.stderr, /remount it/)
      await host.run('umount /opt/jobs')
      expectStatus(test, await install(['--limit', 'well']), 0)
    },
  )

  await group.test('a link that is cut is noticed, and the rest is done when it is back', async test => {
    host.linkDown()
    expectStatus(test, await install(['--limit', 'well']), 3)
    host.linkUp()
    expectStatus(test, await install(['--limit', 'well']), 0)
  })
})

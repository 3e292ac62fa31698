import t from 'tap'
import { expectStatus } from '../support/command.ts'
import { skipWithoutHosts, startHost } from '../support/hosts.ts'
import { provisioning, recapOf } from '../support/provisioned.ts'

// A host is reached in whatever way `ssh` reaches it: by a name, through another host, at another port.

await t.test('Ways to a host', { skip: skipWithoutHosts() }, async group => {
  const host = await startHost(group, { name: 'there' })
  const { run } = await provisioning(
    group,
    [],
    [
      { name: 'by-name', address: 'a-name' },
      { name: 'by-jump', address: 'far-away' },
      { name: 'by-port', address: `${host.address}:2222`, user: 'ops' },
      { name: 'as-root', address: host.address, user: 'root' },
      { name: 'not-known', address: 'stranger' },
    ],
  )
  const { ssh } = host
  const check = (name: string, args: string[] = []) =>
    run('install', ['--check', '--no-run', '--limit', name, '--ssh-config', ssh.config, ...args])
  ssh.configure(
    [
      'Host a-name',
      `HostName ${host.address}`,
      'User ops',
      `HostKeyAlias ${host.address}`,
      'Host far-away',
      // an address that leads there only from the one in between, which here is the host itself
      'HostName 127.0.0.1',
      'User ops',
      `ProxyJump ops@${host.address}`,
      `HostKeyAlias ${host.address}`,
      'Host stranger',
      `HostName ${host.address}`,
      'User ops',
      'HostKeyAlias stranger',
    ].join('\n'),
  )

  for (const name of ['by-name', 'by-jump', 'as-root']) {
    await group.test(`${name}: what would change is said`, async test => {
      const ended = await check(name)
      expectStatus(test, ended, 2)
      test.match(recapOf(ended, name), { unreachable: 0, failed: 0 })
    })
  }

  await group.test('by another port', async test => {
    const nobody = await check('by-port')
    expectStatus(test, nobody, 3)
    test.match(nobody.stderr, /nothing listens there/)
    await host.run('/usr/sbin/sshd -p 2222')
    expectStatus(test, await check('by-port'), 2)
  })

  await group.test('one whose key is not known is refused, unless that is wished', async test => {
    const refused = await check('not-known')
    expectStatus(test, refused, 3)
    test.match(refused.stderr, /its host key is not known/)
    test.match(refused.stderr, /--accept-new/)
    expectStatus(test, await check('not-known', ['--accept-new']), 2)
    expectStatus(test, await check('not-known'), 2)
  })
})

import { appendFileSync, chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { expectStatus } from '../support/command.ts'
import { differences, type Snapshot } from '../support/host_snapshot.ts'
import { skipWithoutHosts, startHost } from '../support/hosts.ts'
import { provisioning, recapOf } from '../support/provisioned.ts'

// From a bare host to one that runs everything, and back; with a real sshd, sudo, cron and logrotate.

const state = '/var/lib/crypto-futures-agent'

/** What logins, sudo and the tools for users leave behind on any host. */
const traces =
  /^\/(?:var\/log|var\/lib\/sudo|var\/lib\/systemd|etc\/(?:passwd|shadow|group|gshadow)- |etc\/\.pwd\.lock|var\/lib\/logrotate|var\/cache|root\/|home\/)/

function changesOf(before: Snapshot, after: Snapshot): string[] {
  return differences(before, after).filter(line => !traces.test(line.slice(2)))
}

async function eventually(test: Test, what: string, is: () => boolean): Promise<void> {
  for (let i = 0; i < 1200 && !is(); i++) await delay(100)
  test.ok(is(), what)
}

await t.test('A bare host becomes one that runs everything', { skip: skipWithoutHosts() }, async group => {
  const host = await startHost(group, { name: 'md-1', zone: 'Asia/Kolkata' })
  const { run } = await provisioning(group, [host])
  const bare = host.snapshot()
  const file = (path: string) => join(host.root, path)

  await group.test('--check says what would change, and changes nothing', async test => {
    const ended = await run('install', ['--check', '--diff'])
    expectStatus(test, ended, 2)
    test.match(ended.stdout, /would change: \[md-1\] => \/opt\/jobs\/daily_sync\.sh \(new, 0755 root:root\)/)
    test.match(ended.stdout, /\+exec 9>>/, 'the differences are shown')
    test.same(changesOf(bare, host.snapshot()), [])
  })

  await group.test('it is set up, down to the first candles', async test => {
    const ended = await run('install')
    expectStatus(test, ended, 0)
    test.match(ended.stdout, /✅ 60\/60/)
    test.match(recapOf(ended, 'md-1'), { failed: 0, unreachable: 0 })
    const owner = await host.run(`stat -c '%U %a' ${state} /etc/crypto-futures-agent/environment`)
    test.equal(owner, 'candlekeep 751\ncandlekeep 600\n')
    test.equal(
      await host.run(`sqlite3 /var/app/crypto-futures-agent/data/agent.db 'PRAGMA integrity_check'`),
      'ok\n',
    )
  })

  await group.test('a second run changes nothing', async test => {
    const before = host.snapshot()
    const ended = await run('install')
    expectStatus(test, ended, 0)
    test.match(recapOf(ended, 'md-1'), { changed: 0, failed: 0 })
    test.same(changesOf(before, host.snapshot()), [])
  })

  await group.test('what was broken by hand is named, and mended', async test => {
    appendFileSync(file('/opt/jobs/backup.sh'), 'rm -rf /tmp/a\n')
    chmodSync(file('/etc/crypto-futures-agent/cheat_sheet.json'), 0o666)
    const seen = await run('install', ['--check', '--diff'])
    expectStatus(test, seen, 2)
    test.match(seen.stdout, /would change: \[md-1\] => \/opt\/jobs\/backup\.sh \(content\)/)
    test.match(seen.stdout, /cheat_sheet\.json \(mode 0666 → 0644\)/)
    test.match(seen.stdout, /^-rm -rf \/tmp\/a$/m)
    test.match(recapOf(seen, 'md-1'), { changed: 2 })
    const status = await run('status')
    expectStatus(test, status, 0)
    test.match(status.stdout, /md-1 .* 2 differ .*✅ done/)
    expectStatus(test, await run('install'), 0)
    test.notMatch(readFileSync(file('/opt/jobs/backup.sh'), 'utf8'), 'rm -rf /tmp/a')
  })

  await group.test('a real cron fires the jobs', async test => {
    await host.powerOff()
    await host.powerOn('2026-11-25 12:14:58')
    // those that use backups keep each other out: which of them was first at this tick, nobody knows
    const jobs = ['daily_sync', 'health_check']
    for (const job of jobs) {
      const stamp = file(`${state}/schedule/${job}`)
      await eventually(test, `${job} has run`, () => existsSync(stamp))
      const [due, status] = readFileSync(stamp, 'utf8').split(' ').map(Number) as [number, number]
      test.ok(job === 'health_check' ? status < 3 : status === 0, `${job} ended with ${status}`)
      test.equal(due % 1800, 0)
      test.match(
        readFileSync(file(`/var/log/crypto-futures-agent/${job}.log`), 'utf8'),
        /starts\n[^]*ends with status/,
      )
    }
  })

  await group.test('a real logrotate rotates what they say', async test => {
    await host.run('logrotate -f /etc/logrotate.d/crypto-futures-agent')
    test.ok(existsSync(file('/var/log/crypto-futures-agent/daily_sync.log.1')))
    test.equal(
      await host.run(`stat -c '%U %a' /var/log/crypto-futures-agent/daily_sync.log`),
      'candlekeep 640\n',
    )
  })

  await group.test('there is nothing to roll back to yet, and that changes nothing', async test => {
    const ended = await run('rollback')
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /there is no release to go back to/)
    test.match(recapOf(await run('install', ['--check']), 'md-1'), { changed: 0 })
  })

  await group.test('without --purge the data stays; with it, all is as before', async test => {
    expectStatus(test, await run('uninstall'), 0)
    test.notOk(existsSync(file('/opt/jobs')))
    test.notOk(existsSync(file('/etc/cron.d/crypto-futures-agent')))
    test.ok(existsSync(file('/var/app/crypto-futures-agent/data/agent.db')), 'the data stays')
    const refused = await run('uninstall', ['--purge'])
    expectStatus(test, refused, 64)
    test.ok(existsSync(file('/var/app/crypto-futures-agent/data/agent.db')), 'nobody could be asked')
    expectStatus(test, await run('uninstall', ['--purge', '--yes']), 0)
    test.same(changesOf(bare, host.snapshot()), [])
  })
})

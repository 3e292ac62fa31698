import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { giveRepository } from '../support/apt_repository.ts'
import { type Ended, expectStatus } from '../support/command.ts'
import { type Host, skipWithoutHosts, startHost } from '../support/hosts.ts'
import { copyProject } from '../support/project_copy.ts'
import { runs } from '../support/properties.ts'
import { provisioning, recapOf } from '../support/provisioned.ts'

// A host fails in the middle of an update: what is wrong is said, its old release goes on, the other host has the new
// one, and running it again completes.

const install = '/opt/crypto-futures-agent'
const aptWait = 6

/** Of apt: the first and the last are not waited for by its own `DPkg::Lock::Timeout`. */
const locks = ['/var/lib/apt/lists/lock', '/var/lib/dpkg/lock-frontend', '/var/cache/apt/archives/lock']

/** All the room there is: most of it at once. */
const fill =
  'fallocate -l $(($(df --output=avail -m / | tail -n 1) - 8))M /var/ballast.1; cat /dev/zero >/var/ballast.2 2>/dev/null || :'

/** For perl: holds a lock as apt does (fcntl) for so many seconds. */
const holdLock =
  "use Fcntl; my ($f, $s) = @ARGV; my $p = pack('ssx4qqix4', F_WRLCK, 0, 0, 0, 0); open(my $h, '+>>', $f) or die $!; fcntl($h, F_SETLK, $p) or die $!; sleep $s"

await t.test('An update of two hosts', { skip: skipWithoutHosts() }, async group => {
  const project = copyProject(group)
  const poor = await startHost(group, { name: 'poor' })
  const other = await startHost(group, { name: 'other' })
  const { run } = await provisioning(group, [poor, other], [], {
    project: project.folder,
    vars: { provision: { apt_wait_seconds: aptWait } },
  })
  const update = (args: string[] = []) => run('install', ['--no-run', ...args])
  const current = (of: Host) => of.run(`readlink ${install}/current`)

  let version = 0
  const nextVersion = () =>
    project.change('scripts/health_check.mts', text => `${text}\n// version ${++version}\n`)

  /** When something of this name is there, this happens at once; it is resolved when it has happened. */
  const assoon = (pattern: string, happens: string) =>
    poor.run(`until [ -e ${pattern} ]; do set -- ${pattern}; [ ! -e "$1" ] || break; done; ${happens}`)

  function expectFailed(test: Test, ended: Ended, status: number, ...said: RegExp[]): void {
    expectStatus(test, ended, status)
    for (const pattern of said) test.match(ended.stderr, pattern)
    test.match(recapOf(ended, 'other'), { failed: 0, unreachable: 0 }, 'the other host is done')
    test.match(ended.stderr, /again: npx zx provision\/install\.mts .*--limit poor/)
  }

  async function expectOldGoesOn(test: Test, old: string): Promise<void> {
    test.equal(await current(poor), old, 'its old release goes on')
    test.not(await current(other), old, 'the other one has the new release')
    const help = await poor.run('env -u NODE_OPTIONS /opt/jobs/candlekeep.sh health_check --help')
    test.match(help, /Is it well/, 'and can be run')
  }

  async function expectCompletes(test: Test): Promise<void> {
    let ended = await update()
    // a host that was cut off holds its lock until it knows that nobody is there any more
    for (let tries = 0; ended.status === 75 && tries < 100; tries++) {
      await delay(1000)
      ended = await update()
    }
    expectStatus(test, ended, 0)
    test.equal(await current(poor), await current(other), 'both have the new release')
    const again = await update(['--check'])
    expectStatus(test, again, 0)
    test.equal(
      await poor.run(
        `find ${install} /opt/jobs /etc -name '.unpack*' -o -name '.incom*' -o -name '*.dpkg-new'`,
      ),
      '',
    )
  }

  await group.test('a disk that is too small is told of before anything is sent', async test => {
    await poor.run('fallocate -l 1200M /var/ballast')
    expectFailed(test, await update(), 1, /\[poor\] .* are free where/, /Make room/)
    test.equal(await poor.run(`ls -A ${install} 2>/dev/null || :`), '')
    await poor.run('rm /var/ballast*')
  })

  await group.test('a disk that is full on the way keeps nothing of what was begun', async test => {
    await poor.run('fallocate -l 500M /var/ballast')
    const full = assoon(`${install}/store/.unpacking-node*`, fill)
    expectFailed(
      test,
      await update(),
      1,
      /\[poor\] node-.* could not be put there/,
      /No space left on device/,
    )
    await full
    test.equal(await poor.run(`ls -A ${install}/store`), '')
    await poor.run('rm /var/ballast*')
    await expectCompletes(test)
  })

  await group.test('packages are installed from a mirror, when another apt has ended', async test => {
    await giveRepository(test, poor, ['sqlite3'])
    for (const lock of locks.slice(0, runs(1, locks.length))) {
      await poor.run('dpkg --purge sqlite3')
      const held = poor.run(`perl -e "${holdLock.replaceAll('$', '\\$')}" ${lock} 3`)
      await delay(500)
      expectStatus(test, await update(['--limit', 'poor']), 0)
      await held
      test.match(await poor.run('sqlite3 --version'), /^3\./, lock)
    }
  })

  await group.test('an apt that does not end is told of, and nothing of the host was touched', async test => {
    const old = await current(poor)
    nextVersion()
    await poor.run('dpkg --purge sqlite3')
    const held = poor.run(`perl -e "${holdLock.replaceAll('$', '\\$')}" /var/lib/dpkg/lock-frontend 60`)
    await delay(500)
    expectFailed(test, await update(), 1, /\[poor\] packages sqlite3/, /Another apt is at work on the host/)
    await expectOldGoesOn(test, old)
    const ended = test.rejects(held, 'the other apt is ended here')
    await poor.run('pkill perl')
    await ended
    await expectCompletes(test)
  })

  await group.test('a mirror that cannot be reached is told of', async test => {
    const old = await current(poor)
    nextVersion()
    await poor.run('dpkg --purge sqlite3; mv /srv/debian /srv/away; rm -rf /var/lib/apt/lists/*_*')
    expectFailed(test, await update(), 1, /\[poor\] packages sqlite3/, /is its way to the mirror open/)
    await expectOldGoesOn(test, old)
    await poor.run('mv /srv/away /srv/debian')
    await expectCompletes(test)
  })

  await group.test('a read-only /etc is told of before the release is switched', async test => {
    const old = await current(poor)
    nextVersion()
    await poor.run('rm /etc/crypto-futures-agent/cheat_sheet.json')
    await poor.run('mount --bind /etc /etc && mount -o remount,ro,bind /etc')
    const ended = await update()
    expectFailed(test, ended, 1, /\[poor\] .*cheat_sheet\.json/, /Read-only file system/, /remount it/)
    test.match(recapOf(ended, 'poor'), { changed: 1, failed: 1 }, 'only that the release has come counts')
    test.equal(await current(poor), old)
    await poor.run('umount /etc')
    await expectCompletes(test)
  })

  await group.test('a disk without room for a file leaves the files as they were', async test => {
    const old = await current(poor)
    await poor.run(`chmod 600 /opt/jobs/*.sh; echo old >/opt/jobs/backup.sh; ${fill}`)
    const ended = await update()
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /\[poor\] .*backup\.sh[^]*No space left on device[^]*Make room/)
    test.equal(await poor.run('cat /opt/jobs/backup.sh'), 'old\n')
    test.equal(await current(poor), old)
    await poor.run('rm /var/ballast*')
    await expectCompletes(test)
  })

  await group.test('a host that stalls in the middle is left, and completed when it goes on', async test => {
    const old = await current(poor)
    nextVersion()
    const stalls = assoon(`${install}/releases/.unpacking-*`, 'kill -STOP -1')
    expectFailed(test, await update(), 3, /\[poor\] it does not answer/)
    await stalls
    await poor.run('kill -CONT -1')
    await expectOldGoesOn(test, old)
    await expectCompletes(test)
  })

  await group.test('a host that takes connections and says nothing is left, too', async test => {
    nextVersion()
    poor.stall()
    expectFailed(test, await update(), 3, /\[poor\] it does not answer/)
    poor.goOn()
    await expectCompletes(test)
  })

  await group.test(
    'a link that is cut in the middle is noticed, and the rest is done when it is back',
    async test => {
      const old = await current(poor)
      nextVersion()
      const cut = assoon(`${install}/releases/.unpacking-*`, 'ip link set eth0 down')
      expectFailed(test, await update(), 3, /\[poor\] it does not answer/)
      await cut
      await expectOldGoesOn(test, old)
      await poor.run('ip link set eth0 up')
      await expectCompletes(test)
    },
  )

  await group.test('what a run prepared that failed goes with the next, wanted or not', async test => {
    await poor.run('echo A=secret >/etc/crypto-futures-agent/environment.dpkg-new')
    const ended = await update(['--limit', 'poor'])
    expectStatus(test, ended, 0)
    test.match(recapOf(ended, 'poor'), { changed: 0, failed: 0 })
    test.equal(await poor.run('ls /etc/crypto-futures-agent'), 'cheat_sheet.json\nenvironment\n')
  })

  await group.test('a package that something else has come to need since stays with it', async test => {
    const control =
      'Package: theirs\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\nDepends: sqlite3\n'
    await poor.run(
      `mkdir -p /srv/theirs/DEBIAN && printf '${control.replaceAll('\n', '\\n')}' >/srv/theirs/DEBIAN/control && dpkg-deb -b /srv/theirs /srv/theirs.deb && dpkg -i /srv/theirs.deb`,
    )
    const ended = await run('uninstall', ['--purge', '--yes', '--limit', 'poor'])
    expectStatus(test, ended, 0)
    test.match(await poor.run('sqlite3 --version'), /^3\./)
    test.match(await poor.run("dpkg-query -W -f '${db:Status-Status}' theirs"), /^installed$/)
    test.equal(await poor.run('ls -d /opt/crypto-futures-agent 2>/dev/null || :'), '')
  })
})

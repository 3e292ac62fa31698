import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { type Arch, planRelease } from '../../provision/release/release.ts'
import { type Ended, expectStatus, runCommand } from '../support/command.ts'
import { type Host, skipWithoutHosts, startHost } from '../support/hosts.ts'
import { copyProject, type ProjectCopy } from '../support/project_copy.ts'
import { recapOf } from '../support/provisioned.ts'
import { temporaryFolder } from '../support/workspace.ts'

// Releases of a real host: one after the other, back and forth, and one that does not run there.

const project = fileURLToPath(new URL('../../', import.meta.url))
const arch = process.arch as Arch
const library = `/usr/lib/${arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libatomic.so.1`

/** A project that is at some state: the release that it is, and the commands of provisioning from there. */
type State = {
  id: string
  /** The name of the layer of its packages. */
  modules: string
  run: (command: string, args?: string[]) => Promise<Ended>
}

/** A copy of the project whose health check says in its help what state this is. */
async function stateOf(
  test: Test,
  host: Host,
  called: string,
  edit?: (copy: ProjectCopy) => Promise<void>,
): Promise<State> {
  const copy = copyProject(test)
  copy.change('scripts/health_check.mts', text => text.replace("summary: 'Is it well?", `$& (${called})`))
  await edit?.(copy)
  const inventory = join(copy.folder, 'inventory.json')
  const vars = { provision: { keep_releases: 2 }, backup: { warm: { path: null, mount: null } } }
  writeFileSync(inventory, JSON.stringify({ hosts: { 'md-1': { address: `ops@${host.address}`, vars } } }))
  const { id, modules } = await planRelease(arch, copy.folder)
  const flags = ['--inventory', inventory, '--ssh-config', host.ssh.config]
  // what is not as the lock file says does not come into this user's cache
  const cache = edit === undefined ? {} : { XDG_CACHE_HOME: temporaryFolder(test) }
  const env = { XDG_STATE_HOME: temporaryFolder(test), ...cache }
  return {
    id,
    modules: modules.name,
    run: (command, args = []) =>
      runCommand(join(copy.folder, `provision/${command}.mts`), [...flags, ...args], { env }),
  }
}

/** SQLite's binary is there by name, and nothing that a machine can run. For the lock file it is another package. */
async function breakBinary({ folder, change }: ProjectCopy): Promise<void> {
  const [all, installed] = [join(project, 'node_modules'), join(folder, 'node_modules')]
  const { modules } = await planRelease(arch, folder)
  const { file } = await modules.pack(new AbortController().signal)
  unlinkSync(installed)
  execFileSync('tar', ['-xzf', file, '-C', folder])
  // the packages that hosts do not have
  const others = readdirSync(all).filter(name => !existsSync(join(installed, name)))
  for (const name of others) symlinkSync(join(all, name), join(installed, name))
  writeFileSync(join(installed, `better-sqlite3/prebuilds/linux-${arch}.node`), 'no binary\n'.repeat(1000))
  change('package-lock.json', text => {
    const lock = JSON.parse(text)
    lock.packages['node_modules/better-sqlite3'].integrity = 'sha512-of what cannot run'
    return JSON.stringify(lock)
  })
}

await t.test('A host has one release after the other', { skip: skipWithoutHosts() }, async group => {
  const host = await startHost(group, { name: 'md-1' })
  const first = await stateOf(group, host, 'the first')
  const second = await stateOf(group, host, 'the second')
  const third = await stateOf(group, host, 'the third')
  const install = ({ run }: State) => run('install', ['--no-run'])
  const folder = join(host.root, 'opt/crypto-futures-agent')
  const releases = () => readdirSync(join(folder, 'releases')).sort()

  /** That this release is what runs, by its own word, the link and `status`. */
  const expectRunning = async (test: Test, state: State, called: string) => {
    test.equal(readlinkSync(join(folder, 'current')), `releases/${state.id}`)
    const help = await host.run('env -u NODE_OPTIONS /opt/jobs/candlekeep.sh health_check --help')
    test.match(help, `Is it well? (${called})`)
    const ended = await state.run('status')
    expectStatus(test, ended, 0)
    test.match(ended.stdout, new RegExp(`^md-1 +${state.id} +none `, 'm'), 'no drift from where it comes')
  }

  await group.test('the first and the second are installed, and both are kept', async test => {
    expectStatus(test, await install(first), 0)
    await expectRunning(test, first, 'the first')
    expectStatus(test, await install(second), 0)
    await expectRunning(test, second, 'the second')
    test.same(releases(), [first.id, second.id].sort())
    const seen = await first.run('status')
    expectStatus(test, seen, 0)
    test.match(seen.stdout, new RegExp(`^md-1 +${second.id} \\(here: ${first.id}\\) +1 differ `, 'm'))
    test.match(seen.stdout, `[md-1] current → ${first.id}, was ${second.id}`)
  })

  await group.test('a rollback makes the first run again, and another one the second', async test => {
    for (const [state, called] of [
      [first, 'the first'],
      [second, 'the second'],
      [first, 'the first'],
    ] as const) {
      const began = performance.now()
      const ended = await first.run('rollback')
      test.comment(`a rollback, from its start to its end: ${(performance.now() - began).toFixed(0)} ms`)
      expectStatus(test, ended, 0)
      test.match(ended.stdout, `current → ${state.id}`)
      test.match(recapOf(ended, 'md-1'), { changed: 1, failed: 0 })
      await expectRunning(test, state, called)
    }
    test.same(releases(), [first.id, second.id].sort(), 'none is lost by it')
  })

  await group.test('the third takes the place of the one that ran longest ago', async test => {
    expectStatus(test, await install(third), 0)
    await expectRunning(test, third, 'the third')
    test.same(releases(), [first.id, third.id].sort(), 'the first ran before it, after a rollback')
    expectStatus(test, await third.run('rollback'), 0)
    await expectRunning(test, first, 'the first')
    const targets = releases().flatMap(id =>
      ['node', 'node_modules'].map(name => readlinkSync(join(folder, 'releases', id, name))),
    )
    test.same(
      new Set(readdirSync(join(folder, 'store'))),
      new Set(targets.map(target => target.split('/')[3])),
      'the layers are those that they need',
    )
  })

  await group.test('one that does not run there is refused, and the old one goes on running', async test => {
    const broken = await stateOf(test, host, 'broken', breakBinary)
    test.not(broken.modules, first.modules, 'its packages are sent')
    const before = releases()
    const ended = await install(broken)
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /linux-\w+\.node: (?:file too short|invalid ELF header)/, 'it says why')
    test.match(ended.stderr, `release ${broken.id} does not run on this host`)
    test.match(recapOf(ended, 'md-1'), { failed: 1 })
    await expectRunning(test, first, 'the first')
    test.same(releases(), before, 'it has not come')
    expectStatus(test, await install(third), 0)
    await expectRunning(test, third, 'the third')
    test.notOk(readdirSync(join(folder, 'store')).includes(broken.modules), 'nor do its packages stay')
  })

  await group.test('where a library is missing, it is named, and nothing is switched to', async test => {
    const fourth = await stateOf(test, host, 'the fourth')
    const before = releases()
    await host.run(`mv ${library} ${library}.away`)
    const ended = await install(fourth)
    await host.run(`mv ${library}.away ${library}`)
    expectStatus(test, ended, 1)
    test.match(ended.stderr, /libatomic\.so\.1: cannot open shared object file/)
    test.match(ended.stderr, `release ${fourth.id} does not run on this host`)
    await expectRunning(test, third, 'the third')
    test.same(releases(), before)
    expectStatus(test, await install(fourth), 0)
    await expectRunning(test, fourth, 'the fourth')
  })
})

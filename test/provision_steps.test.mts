import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import t, { type Test } from 'tap'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { purgePackages } from '../provision/apt.ts'
import type { HostManifest } from '../provision/manifest.ts'
import { siteOf } from '../provision/site_of.ts'
import { recordStep, removeScript } from '../provision/steps.ts'
import { temporaryFolder } from './support/workspace.ts'

// What stood on a host before is kept, and comes back; by a real sh, also where a program of it fails.

/** A folder for a host, and a file of somebody else's in it, or a link. */
function ground(test: Test) {
  const root = temporaryFolder(test)
  const site = siteOf(sheet, [], { name: 'here', under: { root }, secrets: {} })
  const file = join(root, 'theirs')
  const bin = join(root, 'bin')
  mkdirSync(bin)
  /** From now on this program fails, as for want of room. */
  const breakProgram = (name: string) => {
    writeFileSync(join(bin, name), '#!/bin/sh\necho "No space left on device" >&2\nexit 1\n')
    chmodSync(join(bin, name), 0o755)
  }
  const run = (script: string, input = '') =>
    spawnSync('sh', ['-c', script], {
      input,
      encoding: 'utf8',
      env: { PATH: `${bin}${delimiter}${process.env['PATH']}` },
    })
  const before = { type: 'file', mode: '0644', owner: 'root', group: 'root' }
  const entry = { path: file, kind: 'file' as const, before }
  const manifest: HostManifest = { version: 1, entries: [entry], packages: [], user: null, services: [] }
  const record = () => {
    const { script, input } = recordStep(site, manifest, [file])
    return run(script, input)
  }
  const remove = () => run(`set -e\n${removeScript(site, entry)}`)
  return { site, file, breakProgram, record, remove }
}

await t.test('a file that ours takes the place of is kept, and comes back', test => {
  const { site, file, record, remove } = ground(test)
  writeFileSync(file, 'theirs', { mode: 0o640 })
  test.equal(record().status, 0)
  writeFileSync(file, 'ours')
  test.equal(record().status, 0, 'the second time, ours is not taken for theirs')
  test.equal(remove().status, 0)
  test.equal(readFileSync(file, 'utf8'), 'theirs')
  test.equal(lstatSync(file).mode & 0o777, 0o640)
  test.ok(existsSync(join(site.install, 'manifest.json')))
  test.end()
})

await t.test('so does a link', test => {
  const { file, record, remove } = ground(test)
  symlinkSync('/nowhere', file)
  test.equal(record().status, 0)
  test.equal(remove().status, 0)
  test.equal(readlinkSync(file), '/nowhere')
  test.end()
})

await t.test('where it cannot be kept, nothing is recorded, so that nothing is put in its place', test => {
  const { site, file, record, breakProgram } = ground(test)
  writeFileSync(file, 'theirs')
  breakProgram('cp')
  const { status, stderr } = record()
  test.not(status, 0)
  test.match(stderr, /No space left/)
  test.notOk(existsSync(join(site.install, 'manifest.json')))
  test.same(readdirSync(join(site.install, 'originals')), [])
  test.end()
})

await t.test('where it cannot come back, what stands there stays, and it is said', test => {
  const { site, file, record, remove, breakProgram } = ground(test)
  writeFileSync(file, 'theirs')
  test.equal(record().status, 0)
  writeFileSync(file, 'ours')
  breakProgram('cp')
  const { status, stderr } = remove()
  test.not(status, 0)
  test.match(stderr, /No space left/)
  test.equal(readFileSync(file, 'utf8'), 'ours')
  test.equal(readdirSync(join(site.install, 'originals')).length, 1, 'and the copy is there for the next try')
  test.end()
})

await t.test('a package is taken away only where it is known that nothing goes with it', test => {
  // what apt would do cannot be had here at will; `provision_trouble` asks the real one
  const cases = [
    { plan: 'echo "Purg libatomic1 [12]"', purged: true, status: 0 },
    { plan: 'echo "Remv gcc [12]"; echo "Purg libatomic1 [12]"', purged: false, status: 0 },
    { plan: 'echo "out of memory" >&2; exit 100', purged: false, status: 1 },
  ]
  for (const { plan, purged, status } of cases) {
    const folder = temporaryFolder(test)
    const program = (name: string, text: string) => {
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    program('apt-get', `[ "$1" != -s ] || { ${plan}; exit; }\necho "$@" >'${folder}/done'`)
    program('dpkg-query', 'exit 0')
    program('apt-mark', 'exit 0')
    const { script } = purgePackages(['libatomic1'], 0)
    const env = { PATH: `${folder}${delimiter}${process.env['PATH']}` }
    const ended = spawnSync('sh', ['-c', script], { encoding: 'utf8', env })
    test.equal(ended.status, status, ended.stdout + ended.stderr)
    test.equal(existsSync(join(folder, 'done')), purged, plan)
  }
  test.end()
})

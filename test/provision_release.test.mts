import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { activateStep, receiveLayerStep, receiveReleaseStep } from '../provision/release/install_steps.ts'
import {
  type Arch,
  type Layer,
  type Packed,
  planRelease,
  type Release,
} from '../provision/release/release.ts'
import { UserError } from '../scripts/job/errors.ts'
import { day, minute } from '../scripts/job/time.ts'
import { execute } from './support/agent_database.ts'
import { startMailServer } from './support/alerts/mail_server.ts'
import { type BareRoot, makeBareRoot } from './support/bare_root.ts'
import { type Ended, expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { ReplayClock } from './support/exchange/clock.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { skipWithoutRoot } from './support/full_disk.ts'
import { watchLoads } from './support/loaded_files.ts'
import { copyProject } from './support/project_copy.ts'
import { checkAsync, runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { startS3Double } from './support/s3/double.ts'
import { makeWorkspace, temporaryFolder, type Workspace } from './support/workspace.ts'

// A release is all that a bare Debian needs: what is packed runs there, what runs is packed, and the same is packed once.

skipWithoutPackages({
  libatomic1: '/usr/lib/x86_64-linux-gnu/libatomic.so.1',
  strace: 'strace',
  openssl: 'openssl',
})

const install = '/opt/crypto-futures-agent'
const random = seededRandom(t)
const { signal } = new AbortController()
const thisArch = process.arch as Arch
const release = await planRelease(thisArch)
const cacheOfAll = temporaryFolder(t)
useCache(cacheOfAll)

/** Of each layer, its files as they are packed. */
const packed = {
  node: await release.node.pack(signal),
  modules: await release.modules.pack(signal),
  app: await release.app.pack(signal),
}

await t.test('The layers', async group => {
  await group.test('hold files and folders of root that all can read, at one time, in order', async test => {
    for (const { file } of Object.values(packed)) {
      const { stdout, stderr } = spawnSync('tar', ['-tvzf', file, '--full-time', '--utc'], {
        encoding: 'utf8',
        maxBuffer: 1 << 26,
      })
      test.equal(stderr, '', 'tar has nothing to say')
      const odd = stdout
        .trimEnd()
        .split('\n')
        .filter(line => !/^(-rw-r--r--|drwxr-xr-x) 0\/0 +\d+ 1980-01-01 00:00:00 /.test(line))
      test.same(
        odd.map(line => line.replace(/ +\d+ 1980.*00 /, ' ')),
        file === packed.node.file ? ['-rwxr-xr-x 0/0 bin/node'] : [],
      )
    }
    for (const names of [namesIn(packed.modules), namesIn(packed.app)]) test.same(names, names.toSorted())
  })

  await group.test('have nothing that only provisioning, tests or compilers need', test => {
    const names = [...namesIn(packed.modules), ...namesIn(packed.app)]
    test.same(
      names.filter(name => /(^|\/)(zx|tar|tap|liquidjs|fast-check|bufferutil|node-linux[^/]*)\//.test(name)),
      [],
    )
    test.same(
      names.filter(name => name.startsWith('node_modules/') && /\.(ts|map|c|h|cpp)$/.test(name)),
      [],
    )
    test.same(
      names.filter(name => name.endsWith('.node')).map(name => basename(name)),
      [`linux-${thisArch}.node`],
    )
    test.same(
      names.filter(name => /demo|test\//.test(name) && name.startsWith('scripts/')),
      [],
    )
    test.same(
      names.filter(name => /^provision|^test|^templates|cheat_sheet\.json$/i.test(name)),
      [],
    )
    const withoutLicence = namesIn(packed.modules)
      .filter(
        name => name.endsWith('package.json') && /^node_modules\/(@[^/]+\/)?[^/]+\/package.json$/.test(name),
      )
      .map(name => name.replace('package.json', ''))
      .filter(
        folder =>
          readdirSync(folder).some(name => /^licen[cs]e/i.test(name)) &&
          !names.some(name => name.startsWith(folder) && /licen[cs]e/i.test(name)),
      )
    test.same(withoutLicence, [], 'each licence goes with its package')
    test.end()
  })

  await group.test('are small', test => {
    test.ok(packed.app.bytes < 1e6, `the scripts: ${packed.app.bytes}`)
    test.ok(packed.modules.bytes < 6e6, `the modules: ${packed.modules.bytes}`)
    test.ok(packed.node.bytes < 60e6, `Node: ${packed.node.bytes}`)
    test.end()
  })

  await group.test('have the same bytes whatever the times, modes and order of the files', async test => {
    const copy = copyProject(test)
    const scripts = readdirSync(join(copy.folder, 'scripts'), { recursive: true, encoding: 'utf8' })
    for (const name of scripts) {
      const file = join(copy.folder, 'scripts', name)
      if (!/\.m?ts$/.test(name)) continue
      const text = readFileSync(file)
      rmSync(file)
      writeFileSync(file, text, { mode: random() < 0.5 ? 0o700 : 0o600 })
      utimesSync(file, random() * 2e9, random() * 2e9)
    }
    const plan = await planRelease(thisArch, copy.folder)
    test.equal(plan.id, release.id)
    useCache(temporaryFolder(test))
    const again = await plan.app.pack(signal)
    useCache(cacheOfAll)
    test.same([again.sha256, again.bytes], [packed.app.sha256, packed.app.bytes])
  })
})

await t.test('The names', async group => {
  await group.test('change where the contents do, and only there', async test => {
    const copy = copyProject(test)
    const scripts = namesIn(packed.app).filter(name => /\.m?ts$/.test(name))
    const one = fc.constantFrom(...scripts)
    await checkAsync(
      fc.asyncProperty(one, fc.boolean(), async (path, removed) => {
        const before = readFileSync(join(copy.folder, path))
        if (removed) rmSync(join(copy.folder, path))
        else copy.change(path, text => `${text}\n// changed`)
        const changed = await planRelease(thisArch, copy.folder)
        writeFileSync(join(copy.folder, path), before)
        const restored = await planRelease(thisArch, copy.folder)
        return (
          changed.id !== release.id &&
          changed.app.name === changed.id &&
          changed.node.name === release.node.name &&
          (removed || changed.modules.name === release.modules.name) &&
          restored.id === release.id
        )
      }),
      runs(15),
    )
  })

  await group.test('of the modules follow the packages that hosts have, and no others', async test => {
    const copy = copyProject(test)
    const original = readFileSync(join(copy.folder, 'package-lock.json'), 'utf8')
    const nameAfter = async (
      edit: (packages: Record<string, { version: string; integrity?: string }>) => void,
    ) => {
      const lock = JSON.parse(original)
      edit(lock.packages)
      copy.change('package-lock.json', () => JSON.stringify(lock))
      return planRelease(thisArch, copy.folder)
    }
    const other = (name: string) =>
      nameAfter(packages => ((packages[name] as { version: string }).version = '99.0.0'))
    const inLayer = new Set(
      namesIn(packed.modules).flatMap(name => /^(node_modules\/.*)\/package\.json$/.exec(name)?.[1] ?? []),
    )
    const all = Object.keys(JSON.parse(original).packages).filter(
      name => name.startsWith('node_modules/') && !name.includes('node-linux'),
    )
    const [used, unused] = [all.filter(name => inLayer.has(name)), all.filter(name => !inLayer.has(name))]
    for (let i = 0; i < runs(8); i++) {
      const [one = '', none = ''] = [used, unused].map(
        names => names[Math.floor(random() * names.length)] as string,
      )
      test.not((await other(one)).modules.name, release.modules.name, one)
      test.equal((await other(none)).id, release.id, none)
    }
    const newer = await other(`node_modules/node-linux-${thisArch}`)
    test.same([newer.node.name, newer.modules.name], [`node-99.0.0-${thisArch}`, release.modules.name])
    test.not(newer.id, release.id)
  })

  await group.test('differ between the kinds of machine', async test => {
    const other = await planRelease(thisArch === 'x64' ? 'arm64' : 'x64')
    test.equal(
      new Set([release, other].flatMap(({ id, node, modules }) => [id, node.name, modules.name])).size,
      6,
    )
  })

  await group.test('are not given to what is not installed as the lock file says', async test => {
    const copy = copyProject(test)
    copy.change('package-lock.json', text => {
      const lock = JSON.parse(text)
      lock.packages['node_modules/leven'].version = '99.0.0'
      return JSON.stringify(lock)
    })
    const { modules } = await planRelease(thisArch, copy.folder)
    const error = await failureOf(modules)
    test.match(error.message, /leven is installed as \d.*, package-lock\.json has 99\.0\.0/)
    test.match(error.hint, /npm ci/)
  })
})

await t.test('The cache', async group => {
  await group.test('gives what it has, byte for byte', async test => {
    const before = readdirSync(join(cacheOfAll, 'candlekeep')).length
    for (const [name, { file, bytes, sha256 }] of Object.entries(packed)) {
      test.same(await release[name as keyof typeof packed].pack(signal), { file, bytes, sha256 })
      test.equal(execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64), sha256)
    }
    test.equal(readdirSync(join(cacheOfAll, 'candlekeep')).length, before)
  })

  await group.test('makes a damaged file anew', async test => {
    useCache(temporaryFolder(test))
    const { app } = release
    const { file, sha256 } = await app.pack(signal)
    const sound = readFileSync(file)
    for (let i = 0; i < runs(12); i++) {
      const at = Math.floor(random() * sound.length)
      if (random() < 0.3) truncateSync(file, at)
      else writeFileSync(file, Buffer.from(sound.map((byte, j) => (j === at ? byte ^ (1 << (i % 8)) : byte))))
      const again = await app.pack(signal)
      test.equal(again.sha256, sha256)
      test.ok(readFileSync(again.file).equals(sound), `damaged at ${at}`)
    }
    useCache(cacheOfAll)
  })

  await group.test(
    'serves several processes at once, and one that was killed leaves nothing to trust',
    async test => {
      const home = temporaryFolder(test)
      const program = `import { planRelease } from ${JSON.stringify(new URL('../provision/release/release.ts', import.meta.url).href)}
      const { modules } = await planRelease(${JSON.stringify(thisArch)})
      process.stdout.write((await modules.pack(new AbortController().signal)).sha256)`
      const start = () =>
        spawn(process.execPath, ['--input-type=module', '-e', program], {
          env: { ...process.env, XDG_CACHE_HOME: home },
        })
      for (let i = 0; i < runs(3); i++) {
        rmSync(join(home, 'candlekeep'), { recursive: true, force: true })
        const killed = start()
        setTimeout(() => killed.kill('SIGKILL'), 150 + random() * 700)
        const others = [start(), start()].map(async child => {
          let text = ''
          child.stdout.on('data', part => (text += part))
          await once(child, 'close')
          return text
        })
        test.same(await Promise.all(others), [packed.modules.sha256, packed.modules.sha256])
        const names = readdirSync(join(home, 'candlekeep')).filter(name => !name.startsWith('.'))
        test.same(names, [basename(packed.modules.file)])
      }
    },
  )

  await group.test(
    'forgets what nobody has asked for in a month, and what was never finished',
    async test => {
      useCache(temporaryFolder(test))
      const { file } = await release.app.pack(signal)
      const folder = join(file, '..')
      const old = `modules-000000000000.${'0'.repeat(64)}.tar.gz`
      const theirs = 'notes.txt'
      const names = [old, `modules-000000000001.${'0'.repeat(64)}.tar.gz`, '.modules-2.abcdefabcdef', theirs]
      for (const name of names) writeFileSync(join(folder, name), 'x')
      for (const name of [old, '.modules-2.abcdefabcdef', theirs]) {
        const time = (Date.now() - 31 * day) / 1000
        utimesSync(join(folder, name), time, time)
      }
      rmSync(file)
      await release.app.pack(signal)
      test.same(new Set(readdirSync(folder)), new Set([basename(file), names[1], theirs]))
      useCache(cacheOfAll)
    },
  )

  await group.test('that cannot be written says where it is and how to have it elsewhere', async test => {
    const place = join(temporaryFolder(test), 'a file')
    writeFileSync(place, '')
    useCache(place)
    const error = await failureOf(release.app)
    useCache(cacheOfAll)
    test.match(error.message, /^cannot pack 0\./)
    test.match(error.hint, /a file\/candlekeep; XDG_CACHE_HOME/)
  })

  await group.test('stops when it is told to, and leaves nothing', async test => {
    const home = temporaryFolder(test)
    useCache(home)
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('stop')), 300)
    await test.rejects(release.node.pack(controller.signal), { message: 'stop' })
    useCache(cacheOfAll)
    test.same(readdirSync(join(home, 'candlekeep')), [])
  })
})

await t.test('On a bare Debian', { skip: skipWithoutRoot() }, async group => {
  await group.test('a release does all that it is for', async test => {
    const root = makeBareRoot(test)
    installOn(root, test)
    const run = (script: string, args: string[], env: Record<string, string>) => {
      const program = [`${install}/current/node/bin/node`, `${install}/current/scripts/${script}.mts`]
      return finish([...root.runner(env), ...program, ...args])
    }
    mkdirSync(join(root.folder, 'work'))
    const help = await run('health_check', ['--help'], {})
    expectStatus(test, help, 0)
    await liveADay(test, join(root.folder, 'work'), '/work', run)
  })

  await group.test('that lacks a library, it is not put in place, and what is missing is named', test => {
    const root = makeBareRoot(test, ['libatomic1'])
    const { status, stderr } = root.sh(...receiving(release.node))
    test.equal(status, 0, stderr)
    test.equal(root.sh(...receiving(release.modules)).status, 0)
    const ended = root.sh(...receiving(release.app))
    test.equal(ended.status, 1)
    test.match(ended.stderr, /libatomic\.so\.1: cannot open shared object file/)
    test.match(ended.stderr, /release \S+ does not run on this host/)
    test.same(readdirSync(join(root.folder, install, 'releases')), [])
    test.end()
  })
})

await t.test('All that the commands load is in the layers', async test => {
  const watch = watchLoads(test)
  const run = (script: string, args: string[], env: Record<string, string>) =>
    finish([process.execPath, `scripts/${script}.mts`, ...args], {
      PATH: process.env.PATH ?? '',
      NODE_OPTIONS: watch.options,
      ...env,
    })
  const folder = temporaryFolder(test)
  await liveADay(test, folder, folder, run)
  for (const script of readdirSync('scripts').filter(name => name.endsWith('.mts') && name !== 'demo.mts'))
    expectStatus(test, await run(basename(script, '.mts'), ['--help'], {}), 0)
  const there = new Set([...namesIn(packed.modules), ...namesIn(packed.app)])
  const loaded = watch.loaded()
  test.ok(loaded.length > 400, `${loaded.length} files were loaded`)
  test.ok(
    loaded.some(name => name.endsWith('.node')),
    'and a binary',
  )
  for (const name of ['age-encryption', 'nodemailer', 'ccxt', '@aws-sdk/client-s3'])
    test.ok(
      loaded.some(path => path.startsWith(`node_modules/${name}/`)),
      name,
    )
  // what is for developers is here, so ccxt's look for proxies finds it; tap loads its own into every process
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>
  }
  const isForUsers = (path: string) => {
    const [name = ''] = /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []
    const { dev = false, optional = false } = packages[name] ?? {}
    return !dev && !optional
  }
  test.same(
    loaded.filter(path => !there.has(path) && isForUsers(path)),
    [],
  )
})

await t.test('Node for another kind of machine', async group => {
  const other = thisArch === 'x64' ? 'arm64' : 'x64'
  const { node, modules } = await planRelease(other)
  const version = node.name.split('-')[1]
  const reachable =
    spawnSync('npm', ['view', `node-linux-${other}@${version}`, 'version', '--fetch-retries=0']).status === 0
  const skip = reachable ? false : 'the npm registry cannot be reached'
  const machines = { x64: 0x3e, arm64: 0xb7 }

  await group.test('comes from the registry, and is for that machine', { skip }, async test => {
    const folder = temporaryFolder(test)
    for (const [layer, path] of [
      [node, 'bin/node'],
      [modules, `node_modules/better-sqlite3/prebuilds/linux-${other}.node`],
    ] as const) {
      const { file } = await layer.pack(signal)
      execFileSync('tar', ['-xzf', file, '-C', folder])
      // ELF header: e_machine
      test.same(bytesAt(join(folder, path), 18, 2).readUInt16LE(), machines[other])
    }
    test.same(bytesAt(join(folder, 'bin/node'), 0, 4).toString('latin1'), '\x7fELF')
  })

  await group.test('is refused where it is not what the lock file has', { skip }, async test => {
    const copy = copyProject(test)
    copy.change('package-lock.json', text => {
      const lock = JSON.parse(text)
      lock.packages[`node_modules/node-linux-${other}`].integrity = `sha512-${'A'.repeat(86)}==`
      return JSON.stringify(lock)
    })
    useCache(temporaryFolder(test))
    const error = await failureOf((await planRelease(other, copy.folder)).node)
    useCache(cacheOfAll)
    test.match(error.message, /what it gave is not what package-lock\.json has/)
  })

  await group.test('that cannot be had is a clear error', async test => {
    const [home, path] = [temporaryFolder(test), process.env.PATH]
    useCache(home)
    Object.assign(process.env, {
      npm_config_registry: 'http://127.0.0.1:9',
      npm_config_fetch_retries: '0',
      npm_config_cache: home,
    })
    const refused = await failureOf(node)
    for (const name of ['npm_config_registry', 'npm_config_fetch_retries', 'npm_config_cache'])
      delete process.env[name]
    process.env.PATH = '/nowhere'
    const without = await failureOf(node)
    process.env.PATH = path
    useCache(cacheOfAll)
    test.match(refused.message, /^cannot get Node \S+ \(node-linux-\w+\) from the npm registry: /)
    test.match(without.message, /from the npm registry: .*npm.*ENOENT/)
    for (const { hint } of [refused, without])
      test.match(hint, /^Run it once where the registry can be reached: it is kept in /)
    test.same(readdirSync(join(home, 'candlekeep')), [])
  })
})

type Run = (script: string, args: string[], env: Record<string, string>) => Promise<Ended>

/**
 * A first day with the real commands: a sync from the replay exchange, a backup to three tiers, the cold one encrypted, a
 * drill, damage, a recovery from the cold tier, and a mail. `seen`: the folder's name for the commands.
 */
async function liveADay(test: Test, folder: string, seen: string, command: Run): Promise<void> {
  const at = Date.parse('2026-11-24T09:00:00Z')
  const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
  const exchange = await startReplay({
    source: generatedSource({ symbols }),
    clock: new ReplayClock({ at, rate: 0 }),
  })
  const s3 = await startS3Double()
  const mail = await startMailServer(test)
  test.teardown(() => Promise.all([exchange.close(), s3.close()]))
  const identity = await generateX25519Identity()
  const recipient = await identityToRecipient(identity)
  const workspace: Workspace = makeWorkspace(test, { url: exchange.url, symbols, now: at, folder })
  workspace.configure(sheet => {
    const { bucket, url: endpoint, region } = s3
    const cold = { bucket, endpoint, region, path_style: true, age_recipients: [recipient] }
    sheet.backup = { warm: { path: 'warm', mount: null }, cold }
    sheet.health = { min_database_mb: 0, min_free_disk_ratio: 0 }
    sheet.alerts = {
      email: { to: ['ops@example.com'], from: 'alerts@example.com', smtp_env: 'CANDLEKEEP_SMTP_URL' },
    }
  })
  copyFileSync(mail.certificate, join(folder, 'ca.pem'))
  const env = {
    ...s3.env,
    CANDLEKEEP_CONFIG: join(seen, 'cheat_sheet.json'),
    CANDLEKEEP_SMTP_URL: mail.url,
    CANDLEKEEP_AGE_IDENTITY: identity,
    NODE_EXTRA_CA_CERTS: join(seen, 'ca.pem'),
  }
  let minutes = 0
  const run = async (script: string, args: string[] = [], status = 0) => {
    const CANDLEKEEP_NOW = new Date(at + minutes++ * minute).toISOString()
    expectStatus(test, await command(script, args, { ...env, CANDLEKEEP_NOW }), status)
  }

  await run('health_check', ['--notify'], 2)
  test.equal(mail.mails.length, 1, 'a mail says that there is no database yet')
  await run('symbols')
  await run('daily_candle_sync')
  execute(
    workspace.database,
    "CREATE TABLE trade_log (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO trade_log (note) VALUES ('bought')",
  )
  await run('backup')
  await run('restore_drill', ['--all'])
  await run('sla_audit', ['--month'])
  await run('health_check', ['--full'])
  writeFileSync(workspace.database, 'no database')
  await run('db_recovery', ['--yes', '--from', 'cold'])
  await run('cheat_sheet', ['--validate'])
}

/** Puts the release on a host as the installer does. */
function installOn(root: BareRoot, test: Test): void {
  for (const layer of [release.node, release.modules, release.app]) {
    const { status, stderr } = root.sh(...receiving(layer))
    test.equal(status, 0, `${layer.name} arrives ${stderr}`)
  }
  const { status, stderr } = root.sh(activateStep(install, release.id, 5).script)
  test.equal(status, 0, `it is switched to ${stderr}`)
}

/** The step that takes a layer in, and its input. */
function receiving(layer: Layer): [text: string, input: Buffer] {
  const { id, node, modules, app }: Release = release
  const [, { file, sha256 }] = Object.entries(packed).find(
    ([name]) => release[name as keyof typeof packed] === layer,
  ) as [string, Packed]
  const text =
    layer === app
      ? receiveReleaseStep(install, id, sha256, node.name, modules.name)
      : receiveLayerStep(install, layer.name, sha256)
  return [text, readFileSync(file)]
}

/** Runs a command to its end, with no environment but this. */
async function finish(
  [program = '', ...args]: string[],
  env: Record<string, string> = { PATH: process.env.PATH ?? '' },
): Promise<Ended> {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', part => (stdout += part))
  child.stderr.on('data', part => (stderr += part))
  const [status, killed] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { status, signal: killed, stdout, stderr, json: undefined }
}

function namesIn({ file }: Packed): string[] {
  const names = execFileSync('tar', ['-tzf', file], { encoding: 'utf8', maxBuffer: 1 << 26 })
    .trimEnd()
    .split('\n')
  return names.filter(name => !name.endsWith('/'))
}

async function failureOf(layer: Layer): Promise<UserError> {
  try {
    await layer.pack(signal)
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
  throw new Error('it was packed')
}

function bytesAt(file: string, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(openSync(file, 'r'), bytes, 0, length, position)
  return bytes
}

function useCache(folder: string): void {
  process.env.XDG_CACHE_HOME = folder
}

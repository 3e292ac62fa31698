import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { extract } from 'tar'
import { messageOf, UserError } from '../../scripts/job/errors.ts'
import { cached, cacheFolder, unfinished } from './cache.ts'
import { digestOf } from './digest.ts'
import type { LockFile } from './lock_file.ts'
import type { Layer } from './modules.ts'
import type { Arch } from './runtime_files.ts'
import { writeTarball } from './tarball.ts'

type NodePackage = { name: string; version: string; integrity: string | undefined }

/**
 * Node as nodejs.org has built it, from the npm package that package-lock.json names: the installed one, or for another
 * kind of machine than this one, the registry's.
 */
export function nodeLayer(projectRoot: string, lock: LockFile, arch: Arch): Layer {
  const name = `node-linux-${arch}`
  const locked = lock.get(`node_modules/${name}`)
  if (locked === undefined)
    throw new UserError(`package-lock.json has no ${name}`, {
      hint: 'Restore it: git checkout package-lock.json',
    })
  const wanted = { name, version: locked.version, integrity: locked.integrity }
  const layer = `node-${locked.version}-${arch}`
  const files = { files: ['LICENSE', 'bin/node'], programs: ['bin/node'] }
  const write = async (target: string, signal: AbortSignal) => {
    const installed = join(projectRoot, 'node_modules', name)
    if (isInstalled(installed, locked.version))
      await writeTarball({ folder: installed, ...files }, target, signal)
    else
      await withFetched(projectRoot, wanted, signal, folder =>
        writeTarball({ folder, ...files }, target, signal),
      )
  }
  return { name: layer, pack: signal => cached(layer, write, signal) }
}

function isInstalled(folder: string, version: string): boolean {
  const file = join(folder, 'package.json')
  return (
    existsSync(join(folder, 'bin/node')) &&
    existsSync(file) &&
    JSON.parse(readFileSync(file, 'utf8')).version === version
  )
}

/** Takes a package from the registry, with the registry and the proxy that npm is set up for. */
async function withFetched(
  projectRoot: string,
  { name, version, integrity = '' }: NodePackage,
  signal: AbortSignal,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = unfinished(name)
  const trouble = (message: string, cause?: unknown) =>
    new UserError(`cannot get Node ${version} (${name}) from the npm registry: ${message}`, {
      hint: `Run it once where the registry can be reached: it is kept in ${cacheFolder()}.`,
      cause,
    })
  try {
    mkdirSync(folder, { recursive: true })
    const args = ['pack', `${name}@${version}`, '--pack-destination', folder, '--silent']
    await promisify(execFile)('npm', args, { cwd: projectRoot, signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw trouble(lastLine(error), error)
    })
    const [packed = ''] = readdirSync(folder)
    const file = join(folder, packed)
    const [algorithm = '', digest] = integrity.split(/-(.*)/)
    if (algorithm === '' || (await digestOf(file, signal, algorithm, 'base64')) !== digest)
      throw trouble('what it gave is not what package-lock.json has')
    await extract({ file, cwd: folder, strip: 1, strict: true }, ['package/LICENSE', 'package/bin/node'])
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What npm said last, or that there is no npm. */
function lastLine(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  return said.split('\n').at(-1) || messageOf(error)
}

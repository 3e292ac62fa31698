import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { UserError } from '../../scripts/job/errors.ts'
import { type AppFile, appFiles } from './app.ts'
import { cached, type Packed } from './cache.ts'
import { shortDigest } from './digest.ts'
import { readLockFile } from './lock_file.ts'
import { type Layer, modulesLayer } from './modules.ts'
import { nodeLayer } from './node.ts'
import type { Arch } from './runtime_files.ts'
import { writeTarball } from './tarball.ts'

export type { Arch, Layer, Packed }

/** What a host runs: the project's files in INSTALL/releases/ID, and the two layers that it links to. */
export type Release = { id: string; node: Layer; modules: Layer; app: Layer; version: string }

const thisProject = join(import.meta.dirname, '../..')

/**
 * What a host of this architecture is to run. It reads and digests the project's files only: nothing is packed before
 * somebody calls `pack()`.
 */
export async function planRelease(arch: Arch, projectRoot = thisProject): Promise<Release> {
  const lock = readLockFile(projectRoot)
  const files = appFiles(projectRoot)
  const sources = files
    .filter(({ path }) => path.startsWith('scripts/'))
    .map(({ content }) => String(content))
  const node = nodeLayer(projectRoot, lock, arch)
  const modules = modulesLayer(projectRoot, lock, sources, arch)
  const { version } = lock.get('') ?? { version: '0.0.0' }
  const id = `${version}-${shortDigest([node.name, modules.name, ...files.map(sumOf)], 10)}`
  return { id, node, modules, app: appLayer(projectRoot, id, files), version }
}

const planned = new Map<Arch, Promise<Release>>()

/** The release of this project as it was when it was first asked for: the same for all hosts of a run. */
export function currentRelease(arch: Arch): Promise<Release> {
  const known = planned.get(arch) ?? planRelease(arch)
  planned.set(arch, known)
  return known
}

function sumOf({ path, content }: AppFile): string {
  return `${createHash('sha256').update(content).digest('hex')}  ${path}`
}

function appLayer(projectRoot: string, id: string, files: AppFile[]): Layer {
  const contents = { folder: projectRoot, files: files.map(({ path }) => path) }
  const sums = files.map(sumOf).join('\n')
  const write = async (target: string, signal: AbortSignal) => {
    await writeTarball(contents, target, signal)
    // the id says what is in it
    if (appFiles(projectRoot).map(sumOf).join('\n') === sums) return
    throw new UserError(`the files of ${projectRoot} were changed while they were packed`, {
      hint: 'Run it again when nothing is changed there any more.',
    })
  }
  return { name: id, pack: signal => cached(id, write, signal) }
}

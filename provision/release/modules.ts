import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../../scripts/job/errors.ts'
import { cached, type Packed } from './cache.ts'
import { shortDigest } from './digest.ts'
import { closure, type LockedPackage, type LockFile } from './lock_file.ts'
import { type Arch, runtimeFiles } from './runtime_files.ts'
import { writeTarball } from './tarball.ts'

/** A folder of files that hosts keep in INSTALL/store/NAME; the name says what is in it, so what is there need not be sent. */
export type Layer = { name: string; pack(signal: AbortSignal): Promise<Packed> }

/** The rules that choose the files are their own version. */
const ruleFiles = ['modules.ts', 'runtime_files.ts', 'reachable.ts', 'lock_file.ts']

/**
 * The packages that some scripts need, as package-lock.json has them. `sources`: the text of the scripts. A dependency
 * that none of them names is of no use on a host.
 */
export function modulesLayer(projectRoot: string, lock: LockFile, sources: string[], arch: Arch): Layer {
  const declared = Object.keys(lock.get('')?.dependencies ?? {})
  const packages = closure(
    lock,
    declared.filter(name => isNamed(name, sources)),
  )
  const contents = packages.map(folder => {
    const { version, integrity = '' } = lock.get(folder) as LockedPackage
    return `${folder} ${version} ${integrity}`
  })
  const rules = ruleFiles.map(name => readFileSync(join(import.meta.dirname, name), 'utf8'))
  const name = `modules-${shortDigest([arch, ...contents, ...rules], 12)}`
  const write = async (target: string, signal: AbortSignal) => {
    const files = packages.flatMap(folder => {
      const installed = join(projectRoot, folder)
      expectVersion(installed, (lock.get(folder) as LockedPackage).version)
      return runtimeFiles(installed, nameOf(folder), arch).map(path => `${folder}/${path}`)
    })
    await writeTarball({ folder: projectRoot, files }, target, signal)
  }
  return { name, pack: signal => cached(name, write, signal) }
}

/** Whatever imports a package has its name in quotes. */
function isNamed(name: string, sources: string[]): boolean {
  return sources.some(text =>
    [`'${name}'`, `"${name}"`, `'${name}/`, `"${name}/`].some(at => text.includes(at)),
  )
}

const nameOf = (folder: string) => folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)

function expectVersion(folder: string, version: string): void {
  const file = join(folder, 'package.json')
  const installed = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined
  if (installed === version) return
  throw new UserError(
    `${nameOf(folder)} is ${installed === undefined ? 'not installed' : `installed as ${installed}`}, package-lock.json has ${version}`,
    { hint: 'Bring node_modules up to date: npm ci' },
  )
}

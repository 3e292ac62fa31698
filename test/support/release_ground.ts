import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { receiveLayerStep, receiveReleaseStep } from '../../provision/release/install_steps.ts'
import { temporaryFolder } from './workspace.ts'

/** Text for sh, and the file that it reads. */
export type GroundStep = { text: string; input: string }

export type MadeRelease = { id: string; node: string; modules: string }

/** Small layers and releases, and the steps that bring them into a folder. */
export type Ground = {
  /** The packed form of a layer or a release, by its name. */
  packed(name: string): { file: string; sha256: string }
  receiveLayer(install: string, name: string): GroundStep
  receiveRelease(install: string, release: MadeRelease): GroundStep
}

/**
 * In place of Node: it looks for what the real check loads. That the real Node runs or does not is tested with real
 * releases, on a bare Debian.
 */
const nodeProgram = `#!/bin/sh
[ -z "\${NODE_OPTIONS-}" ] || { echo "there is NODE_OPTIONS" >&2; exit 9; }
[ -f node_modules/better-sqlite3/package.json ] || { echo "no better-sqlite3" >&2; exit 1; }
`

export function makeGround(test: Test): Ground {
  // steps wait until the disk has everything: a disk in memory has it at once
  if (existing('/dev/shm')) process.env['TMPDIR'] = '/dev/shm'
  const folder = temporaryFolder(test)
  const made = new Map<string, { file: string; sha256: string }>()
  const packed = (name: string) => {
    const known = made.get(name)
    if (known !== undefined) return known
    const file = join(folder, `${name}.tar.gz`)
    const from = join(folder, name)
    for (const [path, text] of Object.entries(filesOf(name))) {
      mkdirSync(join(from, dirname(path)), { recursive: true })
      writeFileSync(join(from, path), text, { mode: path === 'bin/node' ? 0o755 : 0o644 })
    }
    execFileSync('tar', ['-czf', file, '--mtime=@315532800', '-C', from, ...readdirSync(from)])
    const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
    made.set(name, { file, sha256 })
    return { file, sha256 }
  }
  return {
    packed,
    receiveLayer(install, name) {
      const { file, sha256 } = packed(name)
      return { text: receiveLayerStep(install, name, sha256), input: file }
    },
    receiveRelease(install, { id, node, modules }) {
      const { file, sha256 } = packed(id)
      return { text: receiveReleaseStep(install, id, sha256, node, modules), input: file }
    },
  }
}

function filesOf(name: string): Record<string, string> {
  // more than one block of what tar writes
  const large = `${name}\n`.repeat(3000)
  if (name.startsWith('node-')) return { 'bin/node': nodeProgram, LICENSE: large }
  if (name.startsWith('modules-'))
    return { 'node_modules/better-sqlite3/package.json': name, 'node_modules/a/b/c.js': large }
  return { 'package.json': name, 'scripts/a.mts': large, 'scripts/job/b.ts': name }
}

/** Runs a step to its end, undisturbed. */
export function runStep({ text, input }: GroundStep): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', text], {
    input: readFileSync(input),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', NODE_OPTIONS: '--require /nowhere' },
  })
  return { status, output: stdout + stderr }
}

/** What there is in an installation. */
export type Installed = {
  /** Where the link leads. */
  current: string | undefined
  /** What has its final name in store and releases, by that name (`store/node-1`), with all that is in it. */
  whole: Record<string, string>
  /** The ids that were activated, in order. */
  activated: string[]
  /** Whatever else there is. */
  temporary: string[]
}

export function lookInto(install: string): Installed {
  const names = (path: string) => readdirSync(join(install, path)).map(name => join(path, name))
  const top = existing(install) ? names('.') : []
  const within = ['store', 'releases'].filter(name => top.includes(name)).flatMap(names)
  const final = within.filter(path => !/\/\./.test(path))
  const others = top.filter(name => !['store', 'releases', 'current', 'activations'].includes(name))
  return {
    current: top.includes('current') ? readlinkSync(join(install, 'current')) : undefined,
    whole: Object.fromEntries(final.sort().map(path => [path, treeOf(join(install, path))])),
    activated: top.includes('activations')
      ? readFileSync(join(install, 'activations'), 'utf8')
          .split('\n')
          .filter(Boolean)
          .map(line => line.split(' ')[1] ?? '')
      : [],
    temporary: [...others, ...within.filter(path => /\/\./.test(path))],
  }
}

function existing(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Kinds, modes, targets of links and a digest of the contents below a path. */
function treeOf(path: string): string {
  const stat = lstatSync(path)
  const mode = (stat.mode & 0o7777).toString(8)
  if (stat.isSymbolicLink()) return `→ ${readlinkSync(path)}`
  if (stat.isFile()) return `${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  const entries = readdirSync(path).sort()
  return `${mode} {${entries.map(name => `${name}: ${treeOf(join(path, name))}`).join('; ')}}`
}

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { temporaryFolder } from './workspace.ts'

/** What a bare Debian host has that matters to us, and the one library of which it has no need itself. */
const packages = ['coreutils', 'dash', 'grep', 'gzip', 'libatomic1', 'libstdc++6', 'tar', 'util-linux']

/** A folder with the programs and libraries of a bare Debian, and nothing else of this machine. It goes with the test. */
export type BareRoot = {
  folder: string
  /** Runs a program there: it sees that folder as all there is, and an empty environment. */
  runner: (env?: Record<string, string>) => string[]
  /** Runs sh text there to its end, with a file as its input. */
  sh: (text: string, input?: string | Buffer) => { status: number | null; stdout: string; stderr: string }
}

/** `without`: packages that this host has not. */
export function makeBareRoot(test: Test, without: string[] = []): BareRoot {
  const folder = temporaryFolder(test)
  for (const name of ['dev', 'etc', 'proc', 'tmp', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64'])
    mkdirSync(join(folder, name), { recursive: true })
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(folder, name))
  writeFileSync(join(folder, 'etc/hosts'), '127.0.0.1 localhost\n')
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  const wanted = withDependencies(packages).filter(name => !without.includes(name))
  const script = `dpkg -L "$@" | grep -v '^/usr/share/' | sort -u |
    while read -r file; do if [ ! -d "$file" ] || [ -L "$file" ]; then echo "$file"; fi; done |
    tar -cPT - --transform='s,^/\\(bin\\|sbin\\|lib\\|lib64\\)/,/usr/\\1/,' 2>/dev/null | tar -xC '${folder}'`
  execFileSync('sh', ['-c', script, 'sh', ...wanted], { stdio: 'ignore' })
  const runner = (env: Record<string, string> = {}) => {
    const enter = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"'
    const given = Object.entries({ PATH: '/usr/bin:/bin', ...env }).map(([name, value]) => `${name}=${value}`)
    const apart = ['unshare', '--mount', '--pid', '--fork', '--kill-child']
    return [...apart, 'sh', '-ec', enter, folder, '/usr/bin/env', '-i', ...given]
  }
  const sh = (text: string, input: string | Buffer = '') => {
    const [program = 'sh', ...args]: string[] = [...runner(), 'sh', '-c', text]
    return spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1 << 28 })
  }
  return { folder, runner, sh }
}

/** Packages and all that they cannot do without, as Debian says. */
function withDependencies(names: string[]): string[] {
  const script = `dpkg-query -W -f '\${Package}|\${Pre-Depends}, \${Depends}\\n'`
  const lines = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).split('\n')
  const needs = new Map(
    lines.map(line => {
      const [name = '', list = ''] = line.split('|', 1).concat(line.slice(line.indexOf('|') + 1))
      return [
        name,
        [...list.matchAll(/(?:^|[,|] *)([a-z0-9][a-z0-9+.-]*)/g)].map(([, needed]) => needed as string),
      ]
    }),
  )
  const found = new Set<string>()
  const add = (name: string) => {
    if (found.has(name) || !needs.has(name)) return
    found.add(name)
    for (const needed of needs.get(name) ?? []) add(needed)
  }
  for (const name of names) add(name)
  // a program for setting packages up, and all of Perl with it
  return [...found].filter(name => !/^(debconf|perl.*|cdebconf|dpkg)$/.test(name))
}

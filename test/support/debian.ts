import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

/**
 * Sees to it that Debian packages are there whose programs a test uses, given as `package: program`, or as
 * `package: /path/of/a/file` where it has none. Root installs what is missing; for anybody else the reason to skip comes
 * back (for tap's `skip`), with the command to run. With `CI=true` nothing is skipped: what is missing there makes the
 * test fail.
 */
export function skipWithoutPackages(wanted: Record<string, string>): string | false {
  const missing = Object.keys(wanted).filter(name => !isThere(wanted[name] as string))
  if (missing.length === 0) return false
  const install = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0) return process.env.CI === 'true' ? false : `needs Debian packages: ${install}`
  const [program, ...args] = install.split(' ') as [string, ...string[]]
  // another test file may be installing at the same moment
  const patient = ['-o', 'DPkg::Lock::Timeout=300', '-q']
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, stdio: 'ignore' } as const
  withoutServices(() => {
    execFileSync(program, ['update', ...patient], options)
    execFileSync(program, [...args, ...patient], options)
  })
  return false
}

/** A reader of YAML that is not ours, for /usr/bin/python3: another Python that comes first in PATH may have none. */
export const debianYaml = { 'python3-yaml': '/usr/lib/python3/dist-packages/yaml/__init__.py' }

/** Debian starts the services of what it installs, unless this program ends with 101. */
function withoutServices(install: () => void): void {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    install()
  } finally {
    if (ours) rmSync(policy, { force: true })
  }
}

function isThere(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program)
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

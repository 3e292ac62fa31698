import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Host } from './hosts.ts'
import { temporaryFolder } from './workspace.ts'

/**
 * Gives a host, which has no way to Debian's mirrors, one of its own below /srv with these packages, as the mirrors of this
 * machine have them; nothing else can be had there.
 */
export async function giveRepository(test: Test, host: Host, packages: string[]): Promise<void> {
  const folder = temporaryFolder(test)
  // apt lets go of root's rights to download, and then may not write there
  const asRoot = ['-o', 'APT::Sandbox::User=root']
  execFileSync('apt-get', ['-q', ...asRoot, 'download', ...packages], { cwd: folder, stdio: 'pipe' })
  const entries = readdirSync(folder).map(name => {
    const file = join(folder, name)
    const data = readFileSync(file)
    const control = execFileSync('dpkg-deb', ['--field', file], { encoding: 'utf8' }).trimEnd()
    const digest = createHash('sha256').update(data).digest('hex')
    return `${control}\nFilename: ./${name}\nSize: ${data.length}\nSHA256: ${digest}\n`
  })
  writeFileSync(join(folder, 'Packages'), entries.join('\n'))
  cpSync(folder, join(host.root, 'srv/debian'), { recursive: true })
  await host.run('chmod -R a+rX /srv/debian')
  rmSync(join(host.root, 'etc/apt/sources.list'), { force: true })
  await host.run('rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*_*')
  writeFileSync(join(host.root, 'etc/apt/sources.list'), 'deb [trusted=yes] file:/srv/debian ./\n')
}

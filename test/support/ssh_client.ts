import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import t from 'tap'
import { temporaryFolder } from './workspace.ts'

/** How the tests of this process reach hosts: a key, known host keys and settings, none of them the user's own. */
export type SshClient = {
  key: string
  publicKey: string
  knownHosts: string
  /** For `ssh -F`. */
  config: string
  /** Adds to `config`, such as a host under another name; what comes first counts. */
  configure(lines: string): void
  /** The host key that a host is known by. */
  know(host: string, publicKey: string): void
  /** With this PATH, `ssh` reads `config` in place of the user's own. */
  env: { PATH: string }
}

let shared: SshClient | undefined

/** The same client for all hosts of a test file; it goes with that. */
export function sshClient(): SshClient {
  shared ??= makeSshClient(temporaryFolder(t))
  return shared
}

function makeSshClient(folder: string): SshClient {
  const [key, knownHosts, config, bin] = ['key', 'known_hosts', 'config', 'bin'].map(name =>
    join(folder, name),
  ) as [string, string, string, string]
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', key])
  let lines = [
    'Host *',
    `IdentityFile ${key}`,
    'IdentitiesOnly yes',
    'IdentityAgent none',
    `UserKnownHostsFile ${knownHosts}`,
    'GlobalKnownHostsFile /dev/null',
    'LogLevel ERROR',
    '',
  ].join('\n')
  const write = () => writeFileSync(config, lines)
  write()
  writeFileSync(knownHosts, '')
  mkdirSync(bin)
  writeFileSync(join(bin, 'ssh'), `#!/bin/sh\nexec /usr/bin/ssh -F '${config}' "$@"\n`)
  chmodSync(join(bin, 'ssh'), 0o755)
  return {
    key,
    publicKey: readFileSync(`${key}.pub`, 'utf8'),
    knownHosts,
    config,
    configure(added) {
      lines = `${added}\n${lines}`
      write()
    },
    know: (host, publicKey) => appendFileSync(knownHosts, `${host} ${publicKey.trim()}\n`),
    env: { PATH: `${bin}${delimiter}${process.env['PATH']}` },
  }
}

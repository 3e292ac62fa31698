import { UserError } from '../scripts/job/errors.ts'
import type { Address } from './address.ts'

/** Exit status of provisioning where a host could not be reached, or was lost. */
export const unreachableStatus = 3

/** A host could not be reached, or was lost on the way. */
export class Unreachable extends UserError {
  override name = 'Unreachable'
}

type Known = { said: RegExp; message: string; hint: (where: string) => string; reached?: true }

/** What ssh and sudo say, and what to do about it (OpenSSH and sudo, as of Debian 12). */
const known: Known[] = [
  {
    said: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    message: 'its host key is not the one that is known',
    hint: where =>
      `Somebody may be in between. If the host was set up anew: ssh-keygen -R ${where}, then --accept-new.`,
  },
  {
    said: /Host key verification failed|No \S+ host key is known/,
    message: 'its host key is not known',
    hint: () => 'Compare its fingerprint (ssh-keygen -lf on the host), then run again with --accept-new.',
  },
  {
    said: /a password is required|a terminal is required|no tty present|not in the sudoers file|may not run sudo/,
    message: 'sudo does not let this user become root without a password',
    hint: () =>
      'Connect as root, or give the user a line such as `ops ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d.',
    reached: true,
  },
  {
    said: /sudo: (?:command )?not found|not found: sudo|exec: sudo: not found/,
    message: 'there is no sudo on it',
    hint: () => 'Connect as root, or install sudo.',
    reached: true,
  },
  {
    said: /Permission denied \(/,
    message: 'it does not let this user in',
    hint: where => `\`ssh ${where}\` has to work without a password: is the key loaded (ssh-add -l)?`,
  },
  {
    said: /Could not resolve hostname/,
    message: 'its name is not known',
    hint: () => 'Is it spelt right? An address, or a Host of ~/.ssh/config, does too.',
  },
  {
    said: /Connection refused/,
    message: 'nothing listens there',
    hint: where => `Is sshd running, and this its port? \`ssh ${where}\` shows.`,
  },
  {
    said: /timed out|No route to host|Network is unreachable|Timeout, server/,
    message: 'it does not answer',
    hint: where => `Is it up, and is there a way to it? \`ssh ${where}\` shows.`,
  },
]

/** The error for a connection that did not come about or was lost; `said`: what ssh wrote. */
export function troubleOfConnection(said: string, address: Address | undefined): UserError {
  if (address === undefined) return new UserError(`sh ended${said === '' ? '' : `: ${said}`}`)
  const { user, host, port } = address
  const where = `${port === undefined ? '' : `-p ${port} `}${user === undefined ? '' : `${user}@`}${host}`
  const found = known.find(({ said: pattern }) => pattern.test(said))
  const last = said.split('\n').findLast(line => line.trim() !== '')
  if (found === undefined) {
    return new Unreachable(`the connection was lost${last === undefined ? '' : `: ${last}`}`, {
      hint: 'What was done stays; run it again to complete it.',
    })
  }
  const { message, hint, reached } = found
  const Kind = reached === true ? UserError : Unreachable
  return new Kind(`${message}${last === undefined ? '' : ` (${last.trim()})`}`, { hint: hint(where) })
}

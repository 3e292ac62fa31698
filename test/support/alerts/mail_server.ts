import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import type { Test } from 'tap'
import { temporaryFolder } from '../workspace.ts'

export type ReceivedMail = {
  from: string
  to: string[]
  /** By lower-case name, unfolded. */
  headers: Record<string, string>
  text: string
  html: string
  /** Whether it came through TLS. */
  secure: boolean
}

export type MailServer = {
  /** With user and password. */
  url: string
  /** The file for NODE_EXTRA_CA_CERTS that makes its certificate a good one. */
  certificate: string
  mails: ReceivedMail[]
  /** Passwords that it was told, right or wrong. */
  passwords: (string | null | undefined)[]
  /** What becomes of a mail: an error with a `responseCode`, or nothing. */
  refuse: (() => Error | undefined) | undefined
}

const mailUser = 'alerts@candlekeep.example'
export const mailPassword = 'smtp-marker-55c0 @:/%'

/** A real SMTP server with TLS (from the first byte, or by STARTTLS) that takes mail from one user only, and not for `nobody`. */
export async function startMailServer(
  test: Test,
  { secure = true, starttls = true } = {},
): Promise<MailServer> {
  const { key, certificate } = makeCertificate(temporaryFolder(test))
  const received: MailServer = { url: '', certificate, mails: [], passwords: [], refuse: undefined }
  const server = new SMTPServer({
    secure,
    key: readFileSync(key),
    cert: readFileSync(certificate),
    ...(starttls ? {} : { disabledCommands: ['STARTTLS'] }),
    // a password before TLS would be taken, and seen
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onAuth({ username, password }, _session, callback) {
      received.passwords.push(password)
      const right = username === mailUser && password === mailPassword
      callback(right ? null : new Error('wrong user or password'), { user: username })
    },
    onRcptTo({ address }, _session, callback) {
      callback(address.startsWith('nobody@') ? new Error('no such user') : null)
    },
    onData(stream, session, callback) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        const error = received.refuse?.()
        if (error !== undefined) return callback(error)
        const { mailFrom, rcptTo } = session.envelope
        received.mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          ...parseMail(Buffer.concat(parts).toString('latin1')),
          secure: session.secure,
        })
        callback()
      })
    },
  })
  // a client that breaks off is part of the tests
  server.on('error', () => undefined)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  test.teardown(() => new Promise<void>(resolve => server.close(resolve)))
  const { port } = server.server.address() as AddressInfo
  const login = `${encodeURIComponent(mailUser)}:${encodeURIComponent(mailPassword)}`
  received.url = `${secure ? 'smtps' : 'smtp'}://${login}@localhost:${port}`
  return received
}

/** A certificate for this machine that nobody but itself has signed. */
function makeCertificate(folder: string): { key: string; certificate: string } {
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3650']
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', certificate], {
    stdio: 'ignore',
  })
  return { key, certificate }
}

/** Headers and the two texts of a multipart mail (RFC 5322, RFC 2045). */
function parseMail(raw: string): Pick<ReceivedMail, 'headers' | 'text' | 'html'> {
  const [head, body] = split(raw)
  const headers = headersOf(head)
  const boundary = /boundary="?([^";]+)/.exec(headers['content-type'] ?? '')?.[1] ?? ''
  const parts = body.split(`--${boundary}`).map(part => split(part.replace(/^\r\n/, '')))
  const textOf = (type: string) => {
    const part = parts.find(([partHead]) => headersOf(partHead)['content-type']?.startsWith(type))
    return part === undefined ? '' : decoded(part[1], headersOf(part[0])['content-transfer-encoding'])
  }
  return { headers, text: textOf('text/plain'), html: textOf('text/html') }
}

function split(part: string): [head: string, body: string] {
  const end = part.indexOf('\r\n\r\n')
  return [part.slice(0, end), part.slice(end + 4)]
}

function headersOf(head: string): Record<string, string> {
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n')
  return Object.fromEntries(
    lines.map(line => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/s.exec(line) ?? []
      return [name.toLowerCase(), decodedWords(value)]
    }),
  )
}

/** `=?UTF-8?Q?…?=` and `?B?` (RFC 2047). */
function decodedWords(value: string): string {
  const joined = value.replace(/\?=\s+=\?/g, '?==?')
  return joined.replace(/=\?utf-8\?([QB])\?([^?]*)\?=/gi, (_, way: string, word: string) => {
    return way.toUpperCase() === 'B'
      ? decoded(word, 'base64')
      : decoded(word.replaceAll('_', ' '), 'quoted-printable')
  })
}

function decoded(text: string, encoding: string | undefined): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString()
  if (encoding !== 'quoted-printable') return Buffer.from(text, 'latin1').toString()
  const bytes = text
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

import type { SmtpServer } from '../job/smtp_server.ts'
import { second } from '../job/time.ts'
import type { Mail } from './email.ts'
import type { Verdict } from './post.ts'

const timeout = 10 * second

/**
 * Hands a mail in, once. The server's certificate is verified against the authorities that Node knows
 * (NODE_EXTRA_CA_CERTS adds one).
 */
export async function handIn(
  server: SmtpServer,
  { from, to, mail }: { from: string; to: string[]; mail: Mail },
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    signal.throwIfAborted()
    // 40 ms and some MB that most runs do without
    const { default: SmtpConnection } = await import('nodemailer/lib/smtp-connection')
    const { default: MailComposer } = await import('nodemailer/lib/mail-composer')
    const message = await new MailComposer({ from, to, ...mail }).compile().build()
    const { host, port, secure, credentials } = server
    const timeouts = {
      connectionTimeout: timeout,
      greetingTimeout: timeout,
      socketTimeout: timeout,
      dnsTimeout: timeout,
      socketCloseTimeout: 0,
    }
    const connection = new SmtpConnection({ host, port, secure, requireTLS: !secure, ...timeouts })
    const rejected = await new Promise<number>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('no answer in time', { cause: 'aborted' })))
      connection.once('error', reject)
      connection.once('end', () => reject(new Error('the connection ended')))
      const step = (next: () => void) => (error?: Error | null) => (error ? reject(error) : next())
      const send = step(() =>
        connection.send({ from, to }, message, (error, info) => {
          if (error) reject(error)
          else resolve(info.rejected.length)
        }),
      )
      connection.connect(step(() => (credentials ? connection.login(credentials, send) : send())))
    }).finally(() => {
      // late errors of a connection that is of no use any more have nobody to go to
      connection.on('error', () => undefined)
      connection.close()
    })
    return {
      sent: true,
      ...(rejected > 0 ? { but: `${rejected} of ${to.length} recipients were refused` } : {}),
    }
  } catch (error) {
    return { sent: false, ...failure(error) }
  }
}

type Failure = Error & { code?: string; originalCode?: string; responseCode?: number }

/** Why, in our words: the server's own can have anything in them. */
function failure(error: unknown): { why: string; again: boolean } {
  if (!(error instanceof Error)) return { why: 'it cannot be reached', again: true }
  const { code = '', originalCode = '', responseCode, message, cause } = error as Failure
  if (cause === 'aborted' || error.name === 'TimeoutError') return { why: 'no answer in time', again: true }
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(originalCode || code))
    return {
      why: `its certificate is not trusted (${originalCode || code}; NODE_EXTRA_CA_CERTS)`,
      again: false,
    }
  if (code === 'EAUTH') return { why: `it refused user and password${numbered(responseCode)}`, again: false }
  if (code === 'ETLS' || /STARTTLS/.test(message)) return { why: 'it does not offer TLS', again: false }
  if (responseCode !== undefined) return { why: `it answered ${responseCode}`, again: responseCode < 500 }
  if (code === 'ETIMEDOUT') return { why: 'no answer in time', again: true }
  const known = /^E[A-Z]+$/.test(originalCode) ? originalCode : code
  return { why: /^E[A-Z]+$/.test(known) ? known : 'it cannot be reached', again: true }
}

function numbered(code: number | undefined): string {
  return code === undefined ? '' : ` (${code})`
}

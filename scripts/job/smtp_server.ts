/** Where mail is handed in. */
export type SmtpServer = {
  host: string
  port: number
  /** TLS from the first byte; else by STARTTLS, which is demanded. There is no mail without TLS. */
  secure: boolean
  credentials: { user: string; pass: string } | undefined
}

/** Reads `smtps://USER:PASSWORD@HOST:PORT` or `smtp://…`; undefined for anything else. Options in it are not heeded. */
export function smtpServer(address: string): SmtpServer | undefined {
  const url = URL.parse(address)
  if (url === null || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '') return undefined
  const secure = url.protocol === 'smtps:'
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    credentials:
      url.username === '' ? undefined : { user: decoded(url.username), pass: decoded(url.password) },
  }
}

/** A password with a bare % in it is taken as it stands. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

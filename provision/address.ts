import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'

/** Where ssh connects to. */
export type Address = { user: string | undefined; host: string; port: number | undefined }

const form =
  /^(?:([A-Za-z_][A-Za-z0-9_.-]*)@)?(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_][A-Za-z0-9_.-]*))(?::(\d{1,5}))?$/

/**
 * Reads `[USER@]HOST[:PORT]`; an IPv6 address stands in brackets. What ssh or a shell could take for anything but a name
 * is refused: a UserError with exit status 64.
 */
export function parseAddress(text: string): Address {
  const [, user, ipv6, name, digits] = form.exec(text) ?? []
  const host = ipv6 ?? name
  const port = digits === undefined ? undefined : Number(digits)
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new UserError(`${JSON.stringify(text)} is no address of a host`, {
      hint: 'It is [USER@]HOST[:PORT], such as ops@203.0.113.7 or ops@[2001:db8::7]:2222.',
      status: exitStatus.usage,
    })
  }
  return { user, host, port }
}

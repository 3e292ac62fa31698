import { UserError } from '../scripts/job/errors.ts'

/** What a shell reads as it stands, also as the first word of a command. */
const plain = /^[A-Za-z0-9_/.:@+,-]+$/

/**
 * `value` as one word of POSIX sh, which no shell reads as anything else. What cannot be such a word is refused with
 * a UserError that does not show it, as it may be a secret. A word may still begin with a dash: that is for the
 * command to tell from a flag.
 */
export function quote(value: string): string {
  // a caller without types, or a template, may give anything: `undefined` must never become a folder of that name
  if (typeof value !== 'string')
    throw new UserError(`a value for the shell is not text but ${value === null ? 'null' : typeof value}`)
  if (value.includes('\0')) throw new UserError('a value for the shell holds a NUL, which no shell can take')
  if (!value.isWellFormed())
    throw new UserError('a value for the shell is not Unicode: half of a surrogate pair stands alone')
  return plain.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`
}

/**
 * A quoted word as the command in a crontab may hold it. There an unescaped `%` begins the standard input, in quotes
 * as well, and nothing can stand for the end of a line.
 */
export function quoteForCron(value: string): string {
  const word = quote(value)
  const control = /\p{Cc}/u.exec(value)
  if (control !== null)
    throw new UserError(`${JSON.stringify(value)} cannot stand in a crontab: it holds a control character`)
  // outside the quotes, so that no backslash of the value stands before ours
  return word.replaceAll('%', "'\\%'")
}

/** A path, or the beginning of a pattern, as a logrotate file may hold it. */
export function quoteForLogrotate(path: string): string {
  quote(path)
  if (!path.startsWith('/') || /["'\\*?[\]{}~]|\p{Cc}/u.test(path))
    throw new UserError(`${JSON.stringify(path)} cannot stand in a logrotate file`, {
      hint: 'It has to be absolute, without quotes, backslashes, control characters and any of * ? [ ] { } ~.',
    })
  return `"${path}"`
}

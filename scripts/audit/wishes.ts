import type { Config } from '../job/config.ts'
import { UserError } from '../job/errors.ts'
import { exitStatus } from '../job/exit_status.ts'
import { type FlagValues, integerFlag } from '../job/flags.ts'
import { keptDays } from '../job/history_retention.ts'
import { day, parseTime } from '../job/time.ts'
import { monthBefore, monthNamed } from './month.ts'
import type { Span } from './spans.ts'

export const auditFlags = {
  days: { value: 'N', help: 'so many days up to now, or up to --to (default: 30)' },
  from: { value: 'TIME', help: 'from then on: 2026-03-01, 2026-03-15T01:00Z, 30d …; UTC' },
  to: { value: 'TIME', help: 'up to, and without, then (default: now)' },
  html: { value: 'FILE', help: 'write a page with charts there, which needs nothing else' },
  markdown: { value: 'FILE', help: 'write the tables there' },
  month: {
    value: '[YYYY-MM]',
    help: 'a calendar month (the last one that is over): page and figures are kept, the summary is sent',
  },
  'unless-kept': { help: 'nothing where that month is kept already' },
} as const

export type AuditWishes = {
  asked: Span
  /** `2026-03`: the calendar month that is audited for keeping. */
  month: string | undefined
  /** Nothing is done where it is there. */
  unlessKept: boolean
  html: string | undefined
  markdown: string | undefined
}

export function wishesFrom(given: FlagValues<typeof auditFlags>, _: Config, now: number): AuditWishes {
  const { html, markdown } = given
  const unlessKept = given['unless-kept']
  if (given.month === undefined) {
    if (unlessKept) throw usage('--unless-kept goes with --month')
    return { asked: askedSpan(given, now), month: undefined, unlessKept, html, markdown }
  }
  for (const flag of ['days', 'from', 'to'] as const)
    if (given[flag] !== undefined) throw usage(`--month and --${flag} exclude each other`)
  const month = given.month === '' ? monthBefore(now) : monthNamed(given.month)
  if (month === undefined)
    throw usage(`--month ${JSON.stringify(given.month)} is not a month`, 'Write 2026-03.')
  if (month.to > now)
    throw usage(`--month ${month.name} is not over yet`, 'For a part of it: --from and --to.')
  return { asked: { from: month.from, to: month.to }, month: month.name, unlessKept, html, markdown }
}

function askedSpan({ days, from, to }: FlagValues<typeof auditFlags>, now: number): Span {
  const number = integerFlag('days', days, 1, keptDays)
  if (number !== undefined && from !== undefined) throw usage('--days and --from exclude each other')
  const end = to === undefined ? now : parseTime(to, now, '--to')
  const start = from === undefined ? end - (number ?? 30) * day : parseTime(from, now, '--from')
  if (start >= end) throw usage('there is no time between --from and --to')
  return { from: start, to: end }
}

function usage(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

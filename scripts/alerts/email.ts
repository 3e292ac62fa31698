import { createHash } from 'node:crypto'
import { formatTime } from '../job/time.ts'
import { type Batch, badges, circumstances, headline, type Place, summary } from './event.ts'
import { commandIn, escapeMarkup, linesOf, oneLine, within } from './text.ts'

const limits = { subject: 200, events: 50, lines: 100, line: 2000 }

export type Mail = {
  subject: string
  text: string
  html: string
  messageId: string
  /** What this mail belongs to: mail programs show an alert and its recovery as one conversation. */
  references: string[]
}

/** A mail for all of it. `domain`: that of the sender, for the message's id (RFC 5322, 3.6.4). */
export function mailFor({ events, place, now }: Batch, domain: string): Mail {
  const shown = events.slice(0, limits.events)
  const more = events.length - shown.length
  const where = `${place.host} · ${place.workspace} · ${formatTime(now)}`
  const closing = [...(more > 0 ? [`… and ${more} more`] : []), where]
  const parts = shown.map(event => ({
    title: `${badges[event.level]} ${oneLine(headline(event))}`,
    lines: [...circumstances(event, now), ...linesOf(event.details, limits.lines)].map(line => {
      return within(limits.line, line)
    }),
  }))
  return {
    subject: within(limits.subject, `[candlekeep] ${oneLine(summary(events))} (${place.host})`),
    text: [...parts.flatMap(({ title, lines }) => [title, ...lines.map(indent), '']), ...closing, ''].join(
      '\n',
    ),
    html: page([
      ...parts.map(({ title, lines }) => `<h3>${escaped(title)}</h3>\n${lines.map(htmlLine).join('\n')}`),
      `<hr>\n${closing.map(line => `<p>${escaped(line)}</p>`).join('\n')}`,
    ]),
    // the same mail sent twice, since its first arrival was not confirmed, is one mail
    messageId: idOf(events.map(event => `${event.key} ${event.kind} ${event.at}`).join('\n'), place, domain),
    references: shown.map(event => idOf(`${event.key} ${event.since}`, place, domain)),
  }
}

/** An id that is the same for the same thing at the same place. No mail has that of a conversation itself. */
function idOf(what: string, { host, workspace }: Place, domain: string): string {
  const digest = createHash('sha256').update(`${host}\n${workspace}\n${what}`).digest('hex')
  return `<candlekeep.${digest.slice(0, 32)}@${domain}>`
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1)
}

function page(parts: string[]): string {
  return `<!doctype html>\n<html><body style="font-family: sans-serif">\n${parts.join('\n')}\n</body></html>\n`
}

function htmlLine(line: string): string {
  const command = commandIn(line)
  return command === undefined ? `<p>${escaped(line)}</p>` : `<pre><code>${escaped(command)}</code></pre>`
}

function indent(line: string): string {
  return `  ${line}`
}

function escaped(text: string): string {
  return Array.from(text, escapeMarkup).join('')
}

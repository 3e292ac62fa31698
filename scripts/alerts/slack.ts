import { formatTime } from '../job/time.ts'
import { type AlertEvent, type Batch, badges, circumstances, headline, summary } from './event.ts'
import { type Level, worstOf } from './levels.ts'
import { post, type Verdict } from './post.ts'
import { commandIn, escapeMarkup, linesOf, oneLine, within } from './text.ts'

// Slack API, Block Kit reference: header 150 characters, section and context 3000, 50 blocks a message
const limits = { header: 150, section: 3000, sections: 20, all: 12_000, text: 3000 }

const colours: Record<Level, string> = {
  critical: '#d92d20',
  warning: '#f59e0b',
  info: '#2563eb',
  ok: '#16a34a',
}

/** A message for an incoming webhook (Slack API, incoming webhooks and secondary attachments). */
export function slackMessage({ events, place, now }: Batch) {
  const worstFirst = [...events].sort((a, b) => order(a) - order(b))
  const shown = worstFirst.slice(0, limits.sections)
  const room = Math.min(limits.section, Math.floor(limits.all / shown.length))
  const level = worstOf(events.map(event => event.level))
  const title = `${badges[level]} ${oneLine(summary(events))}`
  const more = events.length - shown.length
  const where = `${place.host} · ${place.workspace} · ${formatTime(now)}`
  const blocks = [
    { type: 'header', text: { type: 'plain_text', text: within(limits.header, title) } },
    ...shown.map(event => section(sectionText(event, events.length === 1, now, room))),
    ...(more > 0 ? [section(`… and ${more} more`)] : []),
    { type: 'context', elements: [{ type: 'mrkdwn', text: within(limits.section, where, escapeMarkup) }] },
  ]
  return {
    text: within(limits.text, `${title} (${place.host})`, escapeMarkup),
    attachments: [{ color: colours[level], blocks }],
  }
}

function section(text: string) {
  return { type: 'section', text: { type: 'mrkdwn', text } }
}

/** What the header says already is not said again. */
function sectionText(event: AlertEvent, alone: boolean, now: number, room: number): string {
  const title = `${badges[event.level]} ${oneLine(headline(event))}`
  const heading = alone ? [] : [`*${within(400, title, escapeMarkup)}*`]
  const lines = [...circumstances(event, now), ...linesOf(event.details, 30)].map(line => {
    const command = commandIn(line)?.replaceAll('`', "'")
    const written = within(room / 2, command ?? line, escapeMarkup)
    return command === undefined ? written : `\`${written}\``
  })
  const text = [...heading, ...lines]
  // whole lines, so that no entity and no code is cut in two
  while (text.length > 1 && text.join('\n').length > room - 2) text.splice(-2, 2, '…')
  return text.join('\n') || '–'
}

function order({ level, id }: AlertEvent): number {
  return ['critical', 'warning', 'info', 'ok'].indexOf(level) * 1e15 + id
}

/** What Slack answers to a message that it does not take (Slack API, incoming webhooks: handling errors). */
const complaints: Record<string, string> = {
  no_service: 'the webhook is gone or switched off',
  no_active_hooks: 'the webhook is gone or switched off',
  no_team: 'the workspace is gone',
  team_disabled: 'the workspace is gone',
  invalid_token: 'the webhook is not valid',
  channel_not_found: 'the channel is gone',
  channel_is_archived: 'the channel is archived',
  action_prohibited: 'an admin has restricted the webhook',
  posting_to_general_channel_denied: 'an admin has restricted the channel',
  invalid_payload: 'invalid_payload',
  invalid_blocks: 'invalid_blocks',
  no_text: 'no_text',
  too_many_attachments: 'too_many_attachments',
}

export async function sendToSlack(url: string, batch: Batch, signal: AbortSignal): Promise<Verdict> {
  return post(url, slackMessage(batch), signal, (status, text) => {
    if (status === 200 && text === 'ok') return { sent: true }
    const known = Object.hasOwn(complaints, text) ? ` (${complaints[text]})` : ''
    return { sent: false, why: `it answered ${status}${known}` }
  })
}

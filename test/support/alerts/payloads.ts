type Json = Record<string, unknown>

/** What is wrong with a message for an incoming webhook, as Slack's reference has it; an empty list: nothing. */
export function slackFaults(message: unknown): string[] {
  if (!isObject(message)) return ['the message is not an object']
  const { text, attachments } = message
  const list = Array.isArray(attachments) ? (attachments as unknown[]) : []
  return [
    // a webhook keeps the name that it was given, and heeds no other
    ...unknownKeys(message, ['text', 'attachments', 'username'], 'message'),
    ...(text === undefined && list.some(isLegacy) ? [] : textFaults(text, 4000, 'text')),
    ...(list.length === 1 ? [] : ['there must be one attachment']),
    ...list.flatMap(attachmentFaults),
  ]
}

/** What is wrong with an event, as the reference of PagerDuty's Events API v2 has it. */
export function pagerdutyFaults(event: unknown): string[] {
  if (!isObject(event)) return ['the event is not an object']
  const { routing_key, event_action, dedup_key, payload, client_url, links } = event
  const isTrigger = event_action === 'trigger'
  const known = ['routing_key', 'event_action', 'dedup_key', 'payload', 'client', 'client_url', 'links']
  return [
    ...unknownKeys(event, known, 'event'),
    ...(client_url === undefined || isAddress(client_url) ? [] : ["'client_url' is no address"]),
    ...(links === undefined ? [] : linkFaults(links)),
    ...(isText(routing_key, 32) && routing_key.length === 32
      ? []
      : ["Length of 'routing_key' is incorrect (should be 32 characters)"]),
    ...(isTrigger || event_action === 'resolve' ? [] : ["'event_action' is invalid"]),
    ...(isText(dedup_key, 255) ? [] : ["'dedup_key' is missing or too long"]),
    ...(isTrigger ? payloadFaults(payload) : []),
  ]
}

function linkFaults(links: unknown): string[] {
  if (!Array.isArray(links)) return ["'links' is not a list"]
  return (links as unknown[]).flatMap(link =>
    isObject(link) && isAddress(link['href']) && isText(link['text'], 1024)
      ? unknownKeys(link, ['href', 'text'], 'link')
      : ['a link has no href or no text'],
  )
}

function attachmentFaults(attachment: unknown): string[] {
  if (!isObject(attachment)) return ['an attachment is not an object']
  if (isLegacy(attachment)) return legacyFaults(attachment)
  const { color, blocks } = attachment
  if (!Array.isArray(blocks) || blocks.length === 0 || blocks.length > 50) return ['there are 1 to 50 blocks']
  return [
    ...unknownKeys(attachment, ['color', 'blocks'], 'attachment'),
    ...(typeof color === 'string' && /^#[0-9a-f]{6}$/.test(color) ? [] : ['color is not #rrggbb']),
    ...(blocks as unknown[]).flatMap(blockFaults),
  ]
}

/** Slack API, "Secondary message attachments": fields in place of blocks. */
function isLegacy(attachment: unknown): boolean {
  return isObject(attachment) && attachment['blocks'] === undefined && attachment['fallback'] !== undefined
}

function legacyFaults(attachment: Json): string[] {
  const { title, title_link, text, fallback, color, mrkdwn_in, callback_id, footer } = attachment
  const known = ['title', 'title_link', 'text', 'fallback', 'color', 'mrkdwn_in', 'callback_id', 'footer']
  const marked = Array.isArray(mrkdwn_in) ? (mrkdwn_in as unknown[]) : []
  return [
    ...unknownKeys(attachment, known, 'attachment'),
    ...textFaults(title, 1000, 'title'),
    ...(isAddress(title_link) ? [] : ['title_link is no address']),
    ...(isText(text, 8000) ? textFaults(withoutLinks(text), 8000, 'attachment text') : ['attachment text']),
    // "should not contain any markup"
    ...(isText(fallback, 1000) && !/[*<>]/.test(fallback) ? [] : ['fallback is missing, or has markup']),
    ...(typeof color === 'string' && /^#[0-9a-f]{6}$/.test(color) ? [] : ['color is not #rrggbb']),
    ...(marked.every(field => ['pretext', 'text', 'fields', 'fallback'].includes(String(field)))
      ? []
      : ['mrkdwn_in names another field']),
    ...(callback_id === '' ? [] : ['callback_id is for messages with buttons']),
    ...(typeof footer === 'string' && footer.length <= 300 ? [] : ['footer has at most 300 characters']),
  ]
}

function blockFaults(block: unknown): string[] {
  if (!isObject(block)) return ['a block is not an object']
  switch (block.type) {
    case 'header':
      return [
        ...unknownKeys(block, ['type', 'text'], 'header'),
        ...objectFaults(block.text, ['plain_text'], 150),
      ]
    case 'section':
      return [
        ...unknownKeys(block, ['type', 'text'], 'section'),
        ...objectFaults(block.text, ['mrkdwn', 'plain_text'], 3000),
      ]
    case 'context': {
      const elements = Array.isArray(block.elements) ? (block.elements as unknown[]) : []
      return [
        ...unknownKeys(block, ['type', 'elements'], 'context'),
        ...(elements.length >= 1 && elements.length <= 10 ? [] : ['a context has 1 to 10 elements']),
        ...elements.flatMap(element => objectFaults(element, ['mrkdwn', 'plain_text'], 3000)),
      ]
    }
    default:
      return [`unknown block ${String(block.type)}`]
  }
}

function objectFaults(object: unknown, types: string[], most: number): string[] {
  if (!isObject(object)) return ['a text object is not an object']
  const { type, text } = object
  return [
    ...unknownKeys(object, ['type', 'text'], 'text object'),
    ...(types.includes(String(type)) ? [] : [`a text object of type ${String(type)}`]),
    ...(type === 'mrkdwn'
      ? textFaults(text, most, 'mrkdwn')
      : isText(text, most)
        ? []
        : ['plain text length']),
  ]
}

/** Slack API, "Formatting text": &, < and > have to be entities; anything else with them is a link or a mention. */
function textFaults(text: unknown, most: number, name: string): string[] {
  if (!isText(text, most)) return [`${name} has 1 to ${most} characters`]
  return /[<>]|&(?!(amp|lt|gt);)/.test(text) ? [`${name} is not escaped: ${text}`] : []
}

/** `<https://…|label>` is a link. */
function withoutLinks(text: string): string {
  return text.replace(/<https?:\/\/[^\s<>|]+\|[^<>|]+>/g, 'a link')
}

function payloadFaults(payload: unknown): string[] {
  if (!isObject(payload)) return ["'payload' is missing or blank"]
  const known = [
    'summary',
    'source',
    'severity',
    'timestamp',
    'component',
    'group',
    'class',
    'custom_details',
  ]
  const { summary, source, severity, timestamp, component, group, custom_details } = payload
  return [
    ...unknownKeys(payload, known, 'payload'),
    ...(isText(summary, 1024) ? [] : ["'payload.summary' is missing or too long"]),
    ...(isText(source, 1024) ? [] : ["'payload.source' is missing or blank"]),
    ...(['critical', 'error', 'warning', 'info'].includes(String(severity))
      ? []
      : ["'payload.severity' is invalid"]),
    ...(timestamp === undefined || (typeof timestamp === 'string' && !Number.isNaN(Date.parse(timestamp)))
      ? []
      : ["'payload.timestamp'"]),
    ...[component, group, payload.class].flatMap(field =>
      field === undefined || typeof field === 'string' ? [] : ['a field is no text'],
    ),
    ...(isObject(custom_details) ? [] : ["'payload.custom_details' is not an object"]),
  ]
}

function isAddress(value: unknown): boolean {
  return isText(value, 2048) && /^https?:$/.test(URL.parse(value)?.protocol ?? '')
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= most
}

function unknownKeys(object: Json, known: string[], name: string): string[] {
  return Object.keys(object).flatMap(key =>
    known.includes(key) ? [] : [`${name} has an unknown key ${key}`],
  )
}

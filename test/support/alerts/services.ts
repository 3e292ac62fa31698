import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { pagerdutyFaults, slackFaults } from './payloads.ts'

export type SlackMessage = {
  text: string
  attachments: {
    color: string
    blocks: { type: string; text?: { text: string }; elements?: { text: string }[] }[]
  }[]
}

/** What Alertmanager sends, which knows no blocks. */
export type LegacySlackMessage = {
  attachments: [{ color: string; title: string; title_link: string; text: string }]
}

export type PagerdutyEvent = {
  routing_key: string
  event_action: 'trigger' | 'resolve'
  dedup_key: string
  payload?: {
    summary: string
    severity: string
    source: string
    class?: string
    custom_details: Record<string, unknown>
  }
  links?: { href: string; text: string }[]
}

/** An answer in place of the documented one; `hang`: none, ever. `taken`: what was sent is taken all the same. */
export type Answer =
  | { status: number; headers?: Record<string, string>; text?: string; taken?: boolean }
  | 'hang'

export type Services = {
  /** The webhook's address; its last part is the secret. */
  slackUrl: string
  pagerdutyUrl: string
  /** What was taken, in order. */
  slack: SlackMessage[]
  pagerduty: PagerdutyEvent[]
  /** Requests, also those that were answered otherwise. */
  tries: { slack: number; pagerduty: number }
  /** What was wrong with what was sent. */
  faults: string[]
  /** The next answers to each, before it answers as documented again. */
  script: { slack: Answer[]; pagerduty: Answer[] }
}

export const webhookSecret = 'webhook-marker-83b1'

/**
 * Slack's incoming webhooks and PagerDuty's Events API v2 on this machine. They check what they are sent against the
 * documented form and answer as documented: Slack `ok`, `no_service`, `invalid_blocks` …; PagerDuty 202 or 400.
 */
export async function startServices(test: Test): Promise<Services> {
  const services: Services = {
    slackUrl: '',
    pagerdutyUrl: '',
    slack: [],
    pagerduty: [],
    tries: { slack: 0, pagerduty: 0 },
    faults: [],
    script: { slack: [], pagerduty: [] },
  }
  // an idle connection that the server ends looks like a fault to a client
  const server = createServer({ keepAliveTimeout: 300_000 }, (request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const which = request.url === '/v2/enqueue' ? 'pagerduty' : 'slack'
      services.tries[which]++
      const scripted = services.script[which].shift()
      if (scripted === 'hang') return
      const text = Buffer.concat(parts).toString()
      const documented =
        scripted === undefined || scripted.taken ? respond(services, request, text) : undefined
      const answer = scripted ?? documented ?? { status: 500 }
      response.writeHead(answer.status, answer.headers).end(answer.text)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  test.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  services.slackUrl = `${address}/services/T0/B0/${webhookSecret}`
  services.pagerdutyUrl = `${address}/v2/enqueue`
  return services
}

function respond(services: Services, request: IncomingMessage, text: string): Exclude<Answer, 'hang'> {
  const isJson = request.method === 'POST' && request.headers['content-type'] === 'application/json'
  const body = isJson ? parsed(text) : undefined
  if (request.url === '/v2/enqueue') {
    const errors = pagerdutyFaults(body)
    services.faults.push(...errors)
    if (errors.length > 0)
      return json(400, { status: 'invalid event', message: 'Event object is invalid', errors })
    const event = body as PagerdutyEvent
    services.pagerduty.push(event)
    return json(202, { status: 'success', message: 'Event processed', dedup_key: event.dedup_key })
  }
  if (request.url !== `/services/T0/B0/${webhookSecret}`) return { status: 404, text: 'no_service' }
  if (body === undefined) return { status: 400, text: 'invalid_payload' }
  const faults = slackFaults(body)
  services.faults.push(...faults)
  if (faults.length > 0) return { status: 400, text: 'invalid_blocks' }
  services.slack.push(body as SlackMessage)
  return { status: 200, text: 'ok' }
}

function json(status: number, body: object) {
  return { status, headers: { 'content-type': 'application/json' }, text: JSON.stringify(body) }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** All that a reader of a Slack message sees, line by line. */
export function shownBySlack({ attachments }: SlackMessage): string {
  const blocks = attachments.flatMap(attachment => attachment.blocks)
  const parts = blocks.flatMap(({ text, elements = [] }) => (text === undefined ? elements : [text]))
  return parts.map(part => part.text).join('\n')
}

import type { ReceivedMail } from '../alerts/mail_server.ts'
import type { LegacySlackMessage, PagerdutyEvent } from '../alerts/services.ts'

/** An alert of a host, as a message told of it. */
type Told = { alert: string; instance: string; state: 'firing' | 'resolved' }

/** Of a rule what its messages are known by. */
export type Rule = { name: string; annotations: { summary: string; runbook_url: string } }

/**
 * Reads Alertmanager's messages back. Each line has to be one that the rules lead to: a message that a person could not
 * make sense of throws.
 */
export class MessageReader {
  readonly #rules: Rule[]

  constructor(rules: Rule[]) {
    this.#rules = rules
  }

  slack({ attachments: [attachment] }: LegacySlackMessage): Told[] {
    const { title, title_link: link, text, color } = attachment
    const [, badge, alert = ''] = /^(🔴|🟠|🔵|✅ resolved:) (\w+)$/u.exec(title) ?? []
    const lines = text.split('\n')
    if (lines.pop() !== `<${link}|what to do>` || link !== this.#runbookOf(alert))
      throw unreadable('Slack', attachment)
    const told = lines.flatMap((line): Told[] => {
      const [, resolved, firing] = /^(?:✅ resolved: (.+)|\*(.+)\*)$/u.exec(line) ?? []
      const summary = resolved ?? firing
      if (summary === undefined) return []
      return [this.#told(alert, summary, resolved === undefined ? 'firing' : 'resolved')]
    })
    if (
      told.length === 0 ||
      isOver(told) !== (badge === '✅ resolved:') ||
      isOver(told) !== (color === green)
    )
      throw unreadable('Slack', attachment)
    return told
  }

  pagerduty({ event_action, payload, links = [] }: PagerdutyEvent): Told[] {
    if (payload === undefined || links[0]?.href !== this.#runbookOf(payload.class ?? ''))
      throw unreadable('PagerDuty', { payload, links })
    const alert = payload.class ?? ''
    const { firing = '', resolved = '' } = payload.custom_details as Record<string, string>
    const told: Told[] = [
      ...linesOf(firing).map(line => this.#told(alert, line.split('. ')[0] as string, 'firing')),
      ...linesOf(resolved).map(line => this.#told(alert, line, 'resolved')),
    ]
    if (told.length === 0 || isOver(told) !== (event_action === 'resolve'))
      throw unreadable('PagerDuty', payload)
    return told
  }

  mail({ headers, text }: ReceivedMail): Told[] {
    const subject = /^\[candlekeep\] (critical|warning|info|resolved): (\w+) \(([\w, -]+)\)$/
    const [, state, alert = '', instances = ''] = subject.exec(headers['subject'] ?? '') ?? []
    const lines = text.trimEnd().split(/\r?\n/)
    if (lines.pop() !== this.#runbookOf(alert)) throw unreadable('mail', { headers, text })
    const told = lines.flatMap((line, i): Told[] => {
      const [, resolved] = /^resolved at [\d-]{10} [\d:]{5} UTC: (.+)$/.exec(line) ?? []
      if (resolved !== undefined) return [this.#told(alert, resolved, 'resolved')]
      const isFiring = /^since [\d-]{10} [\d:]{5} UTC$/.test(lines[i + 2] ?? '')
      return isFiring ? [this.#told(alert, line, 'firing')] : []
    })
    const named = told.map(({ instance }) => instance)
    if (
      isOver(told) !== (state === 'resolved') ||
      instances.split(', ').toSorted().join() !== named.toSorted().join()
    )
      throw unreadable('mail', { headers, text })
    return told
  }

  #told(alert: string, summary: string, state: Told['state']): Told {
    const ofAlert = this.#rules.filter(({ name }) => name === alert)
    const found = ofAlert.map(rule => patternOf(rule.annotations.summary).exec(summary)?.groups?.['instance'])
    const instance = found.find(name => name !== undefined)
    if (instance === undefined) throw unreadable(`a summary of ${alert}`, summary)
    return { alert, instance, state }
  }

  #runbookOf(alert: string): string | undefined {
    return this.#rules.find(({ name }) => name === alert)?.annotations.runbook_url
  }
}

const green = '#16a34a'

function isOver(told: Told[]): boolean {
  return told.every(({ state }) => state === 'resolved')
}

function linesOf(text: string): string[] {
  return text.split('\n').filter(line => line !== '')
}

/** What a summary looks like once Prometheus has filled in its template. */
function patternOf(summary: string): RegExp {
  const parts = summary.split(/(\{\{.*?\}\})/)
  const pattern = parts.map(part => {
    if (!part.startsWith('{{')) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    return part.includes('$labels.instance') ? '(?<instance>[\\w.:-]+)' : '.+'
  })
  return new RegExp(`^${pattern.join('')}$`)
}

function unreadable(what: string, message: unknown): Error {
  return new Error(`${what} cannot be read: ${JSON.stringify(message, null, 2)}`)
}

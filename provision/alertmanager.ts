import { join } from 'node:path'
import type { CheatSheet } from '../scripts/job/config_types.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { type SmtpServer, smtpServer } from '../scripts/job/smtp_server.ts'
import { shortDigest } from './release/digest.ts'
import { render } from './render.ts'

const severities = [
  { severity: 'critical', badge: '🔴', colour: '#d92d20' },
  { severity: 'warning', badge: '🟠', colour: '#f59e0b' },
  { severity: 'info', badge: '🔵', colour: '#2563eb' },
] as const

/** Names of the files that Alertmanager reads secrets from. */
export const secretFiles = ['slack_webhook_url', 'pagerduty_routing_key', 'smtp_password'] as const

/** A file that Alertmanager reads a secret from. */
type SecretFile = { path: string; value: string }

export type AlertmanagerConfig = { text: string; secrets: SecretFile[] }

/**
 * Alertmanager's configuration (0.25 and later): who is told what, as the cheat sheet has it. A channel whose secret is
 * not given is left out, as the jobs do. `folder`: where its secrets are to be; `hello`: its host's name, for SMTP.
 */
export function alertmanagerConfig(
  sheet: CheatSheet,
  given: Record<string, string>,
  place: Place,
): AlertmanagerConfig {
  return configOf(sheet, given, place, alertmanagerShape(sheet, Object.keys(given), place))
}

/**
 * A digest of all that Alertmanager's configuration says but for the secrets themselves, where those of these names are
 * given: by it an installer that is given none knows whether the one on a host is as it should be.
 */
export function alertmanagerShape(sheet: CheatSheet, names: string[], place: Place): string {
  const { slack, email, pagerduty, heartbeat } = sheet.alerts
  const standIns = {
    [slack.webhook_env]: 'https://slack.invalid/secret',
    [pagerduty.routing_key_env]: 'secret',
    [email.smtp_env]: 'smtp://user:secret@mail.invalid:587',
    [heartbeat.watchdog_url_env]: 'https://heartbeat.invalid/secret',
  }
  const given = Object.fromEntries(Object.entries(standIns).filter(([name]) => names.includes(name)))
  return shortDigest([configOf(sheet, given, place, '').text], 16)
}

type Place = { managed: string; folder: string; hello: string }

function configOf(
  { alerts, monitoring }: CheatSheet,
  given: Record<string, string>,
  { managed, folder, hello }: Place,
  madeFrom: string,
): AlertmanagerConfig {
  const { heartbeat, slack, email, pagerduty, routes } = alerts
  const names = [slack.webhook_env, pagerduty.routing_key_env, email.smtp_env, heartbeat.watchdog_url_env]
  const smtp = email.to.length === 0 ? undefined : smtpOf(given[email.smtp_env], email.smtp_env)
  const secrets = new Map<string, SecretFile>()
  const keep = (name: (typeof secretFiles)[number], value: string | undefined) => {
    if (value !== undefined) secrets.set(name, { path: join(folder, name), value })
  }
  keep('slack_webhook_url', given[slack.webhook_env])
  keep('pagerduty_routing_key', given[pagerduty.routing_key_env])
  keep('smtp_password', smtp?.credentials?.pass)
  const fileOf = (name: (typeof secretFiles)[number]) => secrets.get(name)?.path ?? ''
  const receivers = severities.map(kind => {
    const channels: string[] = routes[kind.severity]
    const isTold = (channel: string, secret: unknown) => channels.includes(channel) && secret !== undefined
    return {
      ...kind,
      slack: isTold('slack', given[slack.webhook_env]),
      pagerduty: isTold('pagerduty', given[pagerduty.routing_key_env]),
      email: isTold('email', smtp) ? email.to.join(', ') : false,
    }
  })
  const text = render('monitoring/alertmanager', {
    managed,
    hello,
    made_from: madeFrom,
    // by this line an installer that is given no secrets knows which ones are there
    secrets: names.filter(name => Object.hasOwn(given, name)).join(' '),
    smtp:
      smtp === undefined
        ? false
        : {
            smarthost: `${smtp.host.includes(':') ? `[${smtp.host}]` : smtp.host}:${smtp.port}`,
            from: email.from ?? email.to[0],
            starttls: smtp.secure ? 'false' : 'true',
            user: smtp.credentials?.user ?? false,
            password_file: fileOf('smtp_password'),
          },
    group_wait_seconds: monitoring.group_wait_seconds,
    group_interval_seconds: monitoring.group_interval_seconds,
    repeat_minutes: Math.ceil(alerts.repeat_hours * 60),
    watchdog_url: given[heartbeat.watchdog_url_env] ?? false,
    receivers,
    slack_file: fileOf('slack_webhook_url'),
    pagerduty_file: fileOf('pagerduty_routing_key'),
    pagerduty_url: pagerduty.url,
  })
  return { text, secrets: [...secrets.values()] }
}

function smtpOf(address: string | undefined, name: string): SmtpServer | undefined {
  if (address === undefined) return undefined
  const server = smtpServer(address)
  if (server === undefined)
    throw refused(`${name} is neither smtps://USER:PASSWORD@HOST:465 nor smtp://USER:PASSWORD@HOST:587`)
  // net/smtp of Alertmanager begins with TLS on that port only
  if (server.secure !== (server.port === 465))
    throw refused(`${name}: Alertmanager speaks smtps:// on port 465, and smtp:// on others`)
  return server
}

function refused(message: string): UserError {
  return new UserError(message, {
    hint: 'Change the secret: the jobs take both as well.',
    status: exitStatus.configuration,
  })
}

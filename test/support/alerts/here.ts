import type { Test } from 'tap'
import { alerting } from '../../../scripts/alerts/alerting.ts'
import type { AlertingContext, Condition } from '../../../scripts/job/alerting.ts'
import { loadConfig } from '../../../scripts/job/config.ts'
import { History } from '../../../scripts/job/history.ts'
import { minute } from '../../../scripts/job/time.ts'
import { keptLog } from '../kept_log.ts'
import { makeWorkspace, type Workspace } from '../workspace.ts'
import type { Services } from './services.ts'

export const routingKey = 'pagerduty-marker-9f3e-0123456789'

/** The environment that configures Slack and PagerDuty. */
export function channelEnvironment({ slackUrl }: Services): Record<string, string> {
  return { CANDLEKEEP_SLACK_WEBHOOK_URL: slackUrl, CANDLEKEEP_PAGERDUTY_ROUTING_KEY: routingKey }
}

export type AlertsHere = {
  workspace: Workspace
  context: AlertingContext
  warnings: string[]
  /** Milliseconds that were waited, one after the other; nobody really waited. */
  waits: number[]
  /** Sets the clock, in minutes since the start. */
  at: (minutes: number) => void
  see: (severity: Condition['severity'], given?: Partial<Condition>) => void
  deliver: () => Promise<void>
  /** Ends it before the test does. */
  done: () => void
}

/** Alerting in the test's own process, with a clock that the test sets and waits that take no time. */
export function alertsHere(
  test: Test,
  services: Services,
  start = Date.parse('2024-05-05T12:00:00Z'),
): AlertsHere {
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:9' })
  workspace.configure(sheet => (sheet.alerts = alertsFor(services)))
  const environment = channelEnvironment(services)
  Object.assign(process.env, environment)
  test.teardown(() => Object.keys(environment).forEach(name => delete process.env[name]))

  let now = start
  const { log, warnings } = keptLog()
  const waits: number[] = []
  const clock = { now: () => now, sleep: (ms: number) => Promise.resolve(void waits.push(ms)) }
  const config = loadConfig(workspace.file)
  const history = History.open(config.paths.state, log, clock)
  test.teardown(() => history.close())
  const context = { config, history, clock, log }
  return {
    workspace,
    context,
    warnings,
    waits,
    at: minutes => void (now = start + minutes * minute),
    see(severity, given = {}) {
      const title = severity === 'ok' ? 'all is well' : `it is ${severity}`
      alerting.observe([{ key: 'health:freshness', severity, title, details: [], ...given }], context)
    },
    deliver: () => alerting.deliver(context),
    done: () => history.close(),
  }
}

/** The part of the configuration that leads to the services of the test. */
export function alertsFor({ pagerdutyUrl }: Services, to: string[] = []) {
  return {
    pagerduty: { routing_key_env: 'CANDLEKEEP_PAGERDUTY_ROUTING_KEY', url: pagerdutyUrl },
    email: { to, from: null, smtp_env: 'CANDLEKEEP_SMTP_URL' },
  }
}

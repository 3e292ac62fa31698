import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import sheet from '../../../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import { servicesOf, type Target } from '../../../provision/monitoring.ts'
import type { Service } from '../../../provision/site.ts'
import { siteOf } from '../../../provision/site_of.ts'
import { temporaryFolder } from '../workspace.ts'
import { freeAddresses, startDaemon } from './daemon.ts'
import type { Rule } from './messages.ts'
import type { People } from './people.ts'
import { withShortWaits } from './shortened.ts'

/** A rule as Prometheus has it. */
type KnownRule = Rule & {
  group: string
  type: 'alerting' | 'recording'
  query: string
  labels: { severity?: string }
  lastEvaluation: string
}

export type Station = {
  /** What Alertmanager could not do. */
  complaints: () => string
  /** The rules as they are for a host, with their true waits. */
  rulesText: string
  rules: () => Promise<KnownRule[]>
  /** Alerts that fire or are about to. */
  alerts: () => Promise<{ labels: Record<string, string>; state: string }[]>
  /** Values of an expression, now. */
  query: (expression: string) => Promise<{ metric: Record<string, string>; value: number }[]>
}

const managed = 'a test'

/**
 * Prometheus and Alertmanager that watch `targets` and tell `people`: with the files that a host of the role "monitoring"
 * gets, but for their waits. What is counted over hours is counted over `window` seconds.
 */
export async function startStation(
  test: Test,
  { targets, people, window }: { targets: Target[]; people: People; window: number },
): Promise<Station> {
  const folder = temporaryFolder(test)
  const [prometheusListen = '', alertmanagerListen = ''] = await freeAddresses(2)
  const vars = {
    provision: { roles: ['monitoring'] },
    monitoring: {
      prometheus_listen: prometheusListen,
      alertmanager_listen: alertmanagerListen,
      scrape_seconds: 1,
      group_wait_seconds: 1,
      group_interval_seconds: 1,
    },
    alerts: {
      pagerduty: { url: people.services.pagerdutyUrl },
      email: { to: ['ops@candlekeep.example', 'boss@candlekeep.example'] },
    },
  }
  const site = siteOf(sheet, [{ from: 'the test', vars }], {
    name: 'station',
    under: { root: folder },
    secrets: people.secrets,
  })
  const services = servicesOf({ ...site, targets }, managed)
  let rulesText = ''
  for (const { path, content, mode } of services.flatMap(({ files }) => files)) {
    const isRules = path.endsWith('/rules/candlekeep.yml')
    if (isRules) rulesText = content
    const place = path.startsWith(folder) ? path : join(folder, path)
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, isRules ? withShortWaits(content, window) : content, {
      mode: Number.parseInt(mode, 8),
    })
  }
  const alertmanager = await startDaemon(
    test,
    'prometheus-alertmanager',
    [...argumentsOf(services, 'prometheus-alertmanager'), `--storage.path=${join(folder, 'alertmanager')}`],
    { listen: alertmanagerListen, path: '/-/ready', env: { SSL_CERT_FILE: people.mail.certificate } },
  )
  const prometheus = await startDaemon(
    test,
    'prometheus',
    [
      ...argumentsOf(services, 'prometheus'),
      `--storage.tsdb.path=${join(folder, 'prometheus')}`,
      // in its first seconds it knows of no Alertmanager, and would tell of the same again a minute later
      '--rules.alert.resend-delay=5s',
    ],
    { listen: prometheusListen, path: '/-/ready' },
  )
  const ask = async (path: string) => {
    const response = await fetch(`${prometheus.url}/api/v1/${path}`)
    const answer = (await response.json()) as { status: string; data: unknown; error?: string }
    if (answer.status !== 'success') throw new Error(`Prometheus: ${path}: ${answer.error}`)
    return answer.data
  }
  return {
    rulesText,
    complaints: alertmanager.complaints,
    async rules() {
      const { groups } = (await ask('rules')) as {
        groups: { name: string; rules: Omit<KnownRule, 'group'>[] }[]
      }
      return groups.flatMap(({ name: group, rules }) => rules.map(rule => ({ ...rule, group })))
    },
    async alerts() {
      return ((await ask('alerts')) as { alerts: Awaited<ReturnType<Station['alerts']>> }).alerts
    },
    async query(expression) {
      const { result } = (await ask(`query?query=${encodeURIComponent(expression)}`)) as {
        result: { metric: Record<string, string>; value: [number, string] }[]
      }
      return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }))
    },
  }
}

/** What Debian's unit gives the daemon: the words of ARGS in its file of /etc/default. */
export function argumentsOf(services: Service[], name: string): string[] {
  const file = services
    .find(service => service.name === name)
    ?.files.find(({ path }) => path === `/etc/default/${name}`)
  const words = /^ARGS="(.*)"$/m.exec(file?.content ?? '')?.[1]
  if (words === undefined) throw new Error(`there are no arguments for ${name}`)
  return words.split(' ')
}

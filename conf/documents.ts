import { readFileSync } from 'node:fs'
import { jobsOf } from '../provision/schedule.ts'
import type { CheatSheet } from '../scripts/job/config_types.ts'

/** Documents with parts that are made from the cheat sheet. */
export const documents = [
  'docs/OPERATIONS_24_7_INFRASTRUCTURE.md',
  'docs/QUICK_REFERENCE_24_7_OPERATIONS.md',
  'docs/S2_1_SUMARIO_EXECUTIVO_OPERACOES_24_7.md',
  'ARTIFACTS_S2_1_DELIVERED.md',
]

/** `<!-- cheat sheet: NAME -->`, what is made anew, and the end of it. */
const part = /(<!-- cheat sheet: (\w+) -->\n)[^]*?(<!-- end -->)/g

/**
 * A document with its parts as the cheat sheet and the rules have them: tables of Markdown. A name that is not known is an
 * error.
 */
export function withParts(text: string, sheet: CheatSheet, rules: string): string {
  return text.replaceAll(part, (_, begin: string, name: string, end: string) => {
    const make = Object.hasOwn(parts, name) ? parts[name as keyof typeof parts] : undefined
    if (make === undefined) throw new Error(`there is no part ${name} for documents`)
    return `${begin}${make(sheet, rules)}\n${end}`
  })
}

/** Reads a document of the project. */
export function documentText(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
}

const parts = { schedule, agenda, targets, metas, limits, tiers, retries, alerts, routes, places }

function table(header: string[], rows: string[][]): string {
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

function line(cells: string[]): string {
  return `| ${cells.join(' | ')} |`
}

function schedule(sheet: CheatSheet): string {
  const rows = jobsOf(sheet).map(
    ({ name, title, command, arguments: given, timeoutMinutes, retries: again }) => [
      `\`${name}\``,
      title,
      `\`${[command, ...given].join(' ')}\``,
      `${timeoutMinutes} min`,
      again === 0 ? '–' : again === 1 ? 'once, an hour later' : `${again} times, an hour later each time`,
    ],
  )
  return table(['job', 'what and when', 'command', 'stopped after', 'tried again where it failed'], rows)
}

function agenda({ schedule: when }: CheatSheet): string {
  return table(
    ['O quê', 'Quando (UTC)'],
    [
      ['Sincronização de velas', `todos os dias às ${when.daily_sync}`],
      ['Cópia de segurança em todas as camadas', `todos os dias às ${when.backup}`],
      ['Cópia rápida, se algo mudou', `a cada ${when.hot_snapshot_minutes} minutos`],
      ['Verificação de saúde', `a cada ${when.health_check_hours} horas`],
      ['Ensaio de restauração', 'uma vez por semana'],
      ['Auditoria das metas', 'uma vez por mês'],
    ],
  )
}

function targets({ sla }: CheatSheet): string {
  return table(
    ['promise', 'target', 'measured as'],
    [
      [
        'availability',
        `${sla.availability_percent} %`,
        'share of 30 days in which the data was fresh and the database sound',
      ],
      ['RPO', `< ${sla.rpo_hours} h`, 'age of the newest proven backup, at each moment'],
      ['RTO', `< ${sla.rto_minutes} min`, 'from the start of a recovery to a proven database in its place'],
      ['freshness', `< ${sla.freshness_hours} h`, 'age of the last sync that counts'],
      ['sync', `< ${sla.sync_minutes} min`, 'duration of the daily sync'],
    ],
  )
}

function metas({ sla }: CheatSheet): string {
  return table(
    ['Promessa', 'Meta', 'Como se mede'],
    [
      [
        'Disponibilidade',
        `${String(sla.availability_percent).replace('.', ',')} %`,
        'parte de 30 dias com dados frescos e banco íntegro',
      ],
      ['RPO (perda máxima)', `< ${sla.rpo_hours} h`, 'idade da cópia provada mais nova, a cada momento'],
      [
        'RTO (tempo de volta)',
        `< ${sla.rto_minutes} min`,
        'do início da recuperação ao banco provado no lugar',
      ],
      ['Frescor dos dados', `< ${sla.freshness_hours} h`, 'idade da última sincronização que conta'],
      ['Sincronização', `< ${sla.sync_minutes} min`, 'duração da sincronização diária'],
    ],
  )
}

function limits({ health, monitoring, sync }: CheatSheet): string {
  return table(
    ['limit', 'is', 'key'],
    [
      ['data and last sync, critical', `${health.max_data_age_hours} h`, '`health.max_data_age_hours`'],
      [
        'last sync, warning of Prometheus',
        `${monitoring.stale_warning_hours} h`,
        '`monitoring.stale_warning_hours`',
      ],
      ['newest proven backup', `${health.max_backup_age_hours} h`, '`health.max_backup_age_hours`'],
      ['database at least', `${health.min_database_mb} MB`, '`health.min_database_mb`'],
      ['shrunk by at most', percent(health.max_shrink_ratio), '`health.max_shrink_ratio`'],
      ['free disk at least', percent(health.min_free_disk_ratio), '`health.min_free_disk_ratio`'],
      ['symbols of a sync that counts', percent(sync.min_success_ratio), '`sync.min_success_ratio`'],
      ['weight of Binance that is used', percent(sync.weight_budget_ratio), '`sync.weight_budget_ratio`'],
      [
        'last drill that proved a tier',
        `${monitoring.drill_max_age_days} d`,
        '`monitoring.drill_max_age_days`',
      ],
    ],
  )
}

function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(6))} %`
}

function tiers({ backup: { hot, warm, cold } }: CheatSheet): string {
  return table(
    ['tier', 'where', 'keeps'],
    [
      ['hot', `\`${hot.path}\` of the workspace`, `${hot.hourly_keep} hours and ${hot.retention_days} days`],
      ['warm', warm.path === null ? '–' : `\`${warm.path}\``, `${warm.retention_days} days`],
      [
        'cold',
        `S3, storage class ${cold.storage_class}${cold.bucket === null ? ' (once `backup.cold.bucket` is set)' : ''}`,
        `${cold.retention_days} days`,
      ],
    ],
  )
}

function retries({ sync: { retry, request_timeout_seconds } }: CheatSheet): string {
  return table(
    ['what', 'asked again'],
    [
      [
        `no answer within ${request_timeout_seconds} s, a connection that breaks`,
        waits(retry.timeout.backoff_seconds),
      ],
      [
        'too many requests (429)',
        `${waits(retry.rate_limit.backoff_seconds)}, and up to ${retry.rate_limit.jitter_seconds} s more; Binance's own \`Retry-After\` wins`,
      ],
      ['an error of the server, an answer that is cut off', waits(retry.server_error.backoff_seconds)],
      ['a row that fails validation', 'never; it goes to quarantine'],
    ],
  )
}

function waits(seconds: number[]): string {
  return `${seconds.length} times, after ${seconds.join(', ')} s`
}

/** From the rules themselves: alerts, their severities, and what they say. */
function alerts(_: CheatSheet, rules: string): string {
  const found = rules.matchAll(
    /- alert: (\w+)[^]*?severity: (\w+)(?:\n +name: (\w+))?[^]*?summary: ["']([^\n]*)["']\n[^]*?runbook_url: \S+\/(\w+\.md)/g,
  )
  const rows = new Map(
    Array.from(found, ([, alert = '', severity = '', job, summary = '', page = '']) => [
      alert,
      [`[${alert}](runbooks/${page})`, severity, words(summary, job)],
    ]),
  )
  return table(['alert', 'severity', 'says'], [...rows.values()])
}

/** Templates of Prometheus as a reader may take them. */
function words(summary: string, job: string | undefined): string {
  const general = job === undefined ? summary : summary.replace(job, 'a job')
  const text = general
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => (name === 'instance' ? 'the host' : '…'))
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, '…')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function routes({ alerts: { routes: to } }: CheatSheet): string {
  const names = { pagerduty: 'PagerDuty', slack: 'Slack', email: 'e-mail' }
  return table(
    ['severity', 'goes to'],
    (['critical', 'warning', 'info'] as const).map(severity => [
      severity,
      to[severity].map(channel => names[channel]).join(', ') || 'nobody',
    ]),
  )
}

function places({ paths, provision }: CheatSheet): string {
  return table(
    ['path', 'is'],
    [
      [`\`${paths.workspace}\``, "the agent's workspace"],
      [`\`${paths.workspace}/${paths.database}\``, 'its database'],
      [`\`${paths.state}\``, 'the history `ops.db`, locks, scratch'],
      [`\`${paths.logs}\``, 'a log a run, and one a job of cron'],
      [`\`${paths.metrics}\``, '`candlekeep.prom`, for node_exporter'],
      [`\`${paths.jobs}\``, 'what cron calls, and `candlekeep.sh` for people'],
      [
        `\`${paths.install}\``,
        `releases (the newest ${provision.keep_releases} stay), \`current\`, the record of what was put there`,
      ],
      ['`/etc/crypto-futures-agent`', 'the cheat sheet and the secrets of the jobs'],
      ['`/etc/cron.d/crypto-futures-agent`', 'the crontab'],
      ['`/etc/logrotate.d/crypto-futures-agent`', 'rotation of the logs of cron'],
    ],
  )
}

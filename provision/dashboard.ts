import type { CheatSheet } from '../scripts/job/config_types.ts'
import { candleTable } from '../scripts/job/metric_families.ts'
import { overdueJobs } from './alerting_rules.ts'
import { datasource, grafanaPanel, grafanaRow } from './dashboard/grafana.ts'
import { limitsOf } from './dashboard/limits.ts'
import { morning } from './dashboard/morning.ts'
import { backups, candles, jobs, machine } from './dashboard/on_call.ts'
import type { Row } from './dashboard/panel.ts'

/**
 * The Grafana dashboard for hosts with this cheat sheet, as a file to import: the row of the morning, then those of whoever is on
 * call. All of its limits are the cheat sheet's.
 */
export function grafanaDashboard(sheet: CheatSheet): string {
  const limits = limitsOf(sheet)
  const runbooks = sheet.monitoring.runbooks_url
  const rows = [
    morning(limits),
    candles(limits, candleTable(sheet.sync.interval)),
    backups(limits),
    machine(limits),
    jobs(overdueJobs(sheet)),
  ]
  const board = {
    id: null,
    uid: 'candlekeep',
    title: 'candlekeep',
    description:
      'Written by `npm run generate` from provision/dashboard and the cheat sheet. Times are in UTC; what is red has a runbook among the links of its panel.',
    tags: ['candlekeep'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    timezone: 'utc',
    refresh: '1m',
    time: { from: 'now-7d', to: 'now' },
    timepicker: {},
    fiscalYearStartMonth: 0,
    weekStart: '',
    links: [linkTo('Runbooks', `${runbooks}/README.md`)],
    annotations: { list: [] },
    templating: { list: [whichPrometheus, whichHosts] },
    panels: panelsOf(rows, runbooks),
  }
  return `${JSON.stringify(board, null, 2)}\n`
}

function linkTo(title: string, url: string) {
  return {
    type: 'link',
    title,
    url,
    icon: 'doc',
    tooltip: '',
    tags: [],
    targetBlank: true,
    asDropdown: false,
    includeVars: false,
    keepTime: false,
  }
}

const whichPrometheus = {
  type: 'datasource',
  name: 'datasource',
  label: 'Prometheus',
  query: 'prometheus',
  current: {},
  options: [],
  refresh: 1,
  regex: '',
  hide: 0,
  includeAll: false,
  multi: false,
}

const hosts = 'label_values(candlekeep_info, instance)'

const whichHosts = {
  type: 'query',
  name: 'instance',
  label: 'Host',
  datasource,
  definition: hosts,
  query: { query: hosts, refId: 'hosts' },
  current: { text: ['All'], value: ['$__all'] },
  options: [],
  // with each change of the time that is shown: hosts come and go
  refresh: 2,
  regex: '',
  sort: 1,
  hide: 0,
  includeAll: true,
  // also of hosts that have written no metrics yet, and of Alertmanager itself
  allValue: '.*',
  multi: true,
}

/** Lays the panels out, line by line. */
function panelsOf(rows: Row[], runbooks: string) {
  const panels: object[] = []
  let y = 0
  for (const { title, lines } of rows) {
    panels.push(grafanaRow(title, panels.length + 1, y))
    y += 1
    for (const line of lines) {
      let x = 0
      for (const panel of line.panels) {
        const place = { x, y, w: panel.width, h: line.height }
        panels.push(grafanaPanel(panel, panels.length + 1, place, runbooks))
        x += panel.width
      }
      y += line.height
    }
  }
  return panels
}

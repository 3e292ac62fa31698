import type { Column, Limit, Name, Panel, Unit } from './panel.ts'

// What Grafana 9 to 12 read: the classic schema of dashboards. Options are those of the panels' own editors.

export type Place = { x: number; y: number; w: number; h: number }

/** The variable that people choose their Prometheus with. */
export const datasource = { type: 'prometheus', uid: '${datasource}' }

/** A panel as Grafana has it. `runbooks`: the folder of the alerts' pages. */
export function grafanaPanel(panel: Panel, id: number, place: Place, runbooks: string) {
  const { kind, title, description, queries } = panel
  return {
    id,
    type: types[kind],
    title,
    description,
    gridPos: place,
    datasource,
    links: panel.runbooks.map(alert => ({
      title: `Runbook: ${alert}`,
      url: `${runbooks}/${alert}.md`,
      targetBlank: true,
    })),
    targets: queries.map(({ expr, legend }, at) => ({
      refId: letter(at),
      datasource,
      editorMode: 'code',
      expr,
      // of a range, the last value would still stand there after its series has ended
      ...(isOverTime(panel) ? { range: true, instant: false } : { range: false, instant: true }),
      ...(kind === 'table' ? { format: 'table' } : { format: 'time_series', legendFormat: legend }),
    })),
    fieldConfig: fieldConfigOf(panel),
    options: options[kind],
    transformations: kind === 'table' ? transformationsOf(panel.columns ?? []) : [],
    ...(kind === 'table' ? { options: { ...options.table, sortBy: sortingOf(panel.columns ?? []) } } : {}),
  }
}

/** A title over what follows. */
export function grafanaRow(title: string, id: number, y: number) {
  return { id, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] }
}

function isOverTime({ kind }: Panel): boolean {
  return kind === 'graph' || kind === 'timeline'
}

function letter(at: number): string {
  return String.fromCodePoint(65 + at)
}

const types = {
  stat: 'stat',
  graph: 'timeseries',
  table: 'table',
  bars: 'bargauge',
  timeline: 'state-timeline',
} as const

const lastValue = { calcs: ['lastNotNull'], fields: '', values: false }
const legend = { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] }

const options = {
  stat: {
    reduceOptions: lastValue,
    orientation: 'auto',
    textMode: 'auto',
    colorMode: 'background',
    graphMode: 'none',
    justifyMode: 'auto',
  },
  graph: { legend, tooltip: { mode: 'multi', sort: 'desc' } },
  table: { showHeader: true, cellHeight: 'sm', footer: { show: false, reducer: ['sum'] } },
  bars: {
    reduceOptions: lastValue,
    orientation: 'horizontal',
    displayMode: 'basic',
    valueMode: 'text',
    showUnfilled: true,
    minVizWidth: 8,
    minVizHeight: 16,
  },
  timeline: {
    legend,
    tooltip: { mode: 'single', sort: 'none' },
    mergeValues: true,
    showValue: 'never',
    alignValue: 'left',
    rowHeight: 0.8,
  },
}

const units: Record<Unit, { unit: string; decimals?: number }> = {
  // `1 day, 2 hours`: as many parts as decimals, and one
  age: { unit: 'dtdurations', decimals: 1 },
  duration: { unit: 's' },
  bytes: { unit: 'bytes' },
  ratio: { unit: 'percentunit', decimals: 1 },
  count: { unit: 'short', decimals: 0 },
  status: { unit: 'none', decimals: 0 },
}

function fieldConfigOf({ kind, unit, names = [], limits, none, columns = [] }: Panel) {
  const byLimits = kind !== 'graph'
  return {
    defaults: {
      ...(unit === undefined ? {} : units[unit]),
      color: { mode: byLimits ? 'thresholds' : 'palette-classic' },
      mappings: mappingsOf(names),
      thresholds: thresholdsOf(limits ?? [{ from: Number.NEGATIVE_INFINITY, colour: 'text' }]),
      ...(none === undefined ? {} : { noValue: none }),
      ...customOf(kind, limits !== undefined),
    },
    overrides: columns.map(overrideOf),
  }
}

function customOf(kind: Panel['kind'], limited: boolean): object {
  if (kind === 'timeline') return { custom: { lineWidth: 0, fillOpacity: 80 } }
  if (kind === 'table') return { custom: { align: 'auto', cellOptions: { type: 'auto' }, filterable: true } }
  if (kind !== 'graph') return {}
  return {
    custom: {
      drawStyle: 'line',
      lineInterpolation: 'linear',
      lineWidth: 1,
      fillOpacity: 0,
      showPoints: 'never',
      spanNulls: false,
      axisPlacement: 'auto',
      thresholdsStyle: { mode: limited ? 'dashed' : 'off' },
    },
  }
}

function thresholdsOf(limits: Limit[]) {
  const steps = limits.map(({ from, colour }) => ({
    color: colour,
    // JSON has no infinity; Grafana takes null for it in the first step
    value: Number.isFinite(from) ? from : null,
  }))
  return { mode: 'absolute', steps }
}

function mappingsOf(names: Name[]) {
  if (names.length === 0) return []
  const named = names.map(
    ({ value, text, colour }, index) => [value, { text, color: colour, index }] as const,
  )
  return [{ type: 'value', options: Object.fromEntries(named) }]
}

/** Colours the cells of a column that has something to say by colour. */
function overrideOf({ title, unit, names = [], limits }: Column) {
  const shown: [id: string, value: unknown][] = unit === undefined ? [] : Object.entries(units[unit])
  const mapped: typeof shown = names.length === 0 ? [] : [['mappings', mappingsOf(names)]]
  const limited: typeof shown = limits === undefined ? [] : [['thresholds', thresholdsOf(limits)]]
  const coloured: typeof shown =
    mapped.length + limited.length === 0
      ? []
      : [['custom.cellOptions', { type: 'color-background', mode: 'basic' }]]
  return {
    matcher: { id: 'byName', options: title },
    properties: [...shown, ...mapped, ...limited, ...coloured].map(([id, value]) => ({ id, value })),
  }
}

/** One row for what has the same labels, and only the columns that are wanted. */
function transformationsOf(columns: Column[]) {
  const fields = columns.flatMap(({ of, title }) => fieldsOf(of).map(field => [field, title] as const))
  return [
    { id: 'merge', options: {} },
    { id: 'filterFieldsByName', options: { include: { names: fields.map(([field]) => field) } } },
    {
      id: 'organize',
      options: {
        excludeByName: {},
        indexByName: Object.fromEntries(fields.map(([field], at) => [field, at])),
        renameByName: Object.fromEntries(fields),
      },
    },
  ]
}

/** Grafana's names of a column: a value is `Value #A`, and `Value` where only one query has an answer. */
function fieldsOf(of: string): string[] {
  if (!/^[A-Z]$/.test(of)) return [of]
  return of === 'A' ? ['Value', 'Value #A'] : [`Value #${of}`]
}

function sortingOf(columns: Column[]) {
  return columns
    .filter(({ highestFirst }) => highestFirst === true)
    .map(({ title }) => ({ displayName: title, desc: true }))
}

import { CustomChart, LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent, MarkAreaComponent, MarkLineComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { day, formatTime, hour, minute, second } from '../job/time.ts'
import type { Piece } from './ages.ts'
import type { Audit } from './audit.ts'
import type { Coverage } from './coverage.ts'
import { formatDay } from './describe.ts'
import { html, Markup } from './html.ts'
import type { Incident } from './incidents.ts'
import type { Span } from './spans.ts'

use([CustomChart, LineChart, ScatterChart, GridComponent, MarkAreaComponent, MarkLineComponent, SVGRenderer])

const usualWidth = 900
// the page says what these are, in light and in dark
const colours = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  line: 'var(--line)',
  accent: 'var(--accent)',
  bad: 'var(--bad)',
  badArea: 'var(--bad-area)',
  full: 'var(--cell-full)',
  part: 'var(--cell-part)',
  none: 'var(--cell-none)',
  blank: 'var(--cell-blank)',
}

/** Draws a chart as SVG. `label`: what it shows, for those who do not see it. */
function draw(height: number, label: string, option: object, width = usualWidth): Markup {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({
      animation: false,
      useUTC: true,
      textStyle: { color: colours.ink, fontFamily: 'system-ui, sans-serif' },
      ...option,
    })
    return new Markup(accessible(chart.renderToSVGString(), label, width))
  } finally {
    chart.dispose()
  }
}

/**
 * What is there for a mouse and a script is left out: the page has neither. It grows and shrinks with the screen, as long as its
 * texts can be read.
 */
function accessible(svg: string, label: string, width: number): string {
  const bare = svg
    .replaceAll(/ (ecmeta_\w+|class|pointer-events)="[^"]*"/g, '')
    .replace(/<style[^>]*>.*?<\/style>/s, '')
    .replace(/<svg width="\d+" height="\d+"/, '<svg')
  const bounds = `min-width: ${Math.round(width * 0.75)}px; max-width: ${Math.round(width * 1.25)}px`
  return bare.replace('<svg', html`<svg role="img" aria-label="${label}" style="${bounds}"`.text)
}

function timeAxis({ from, to }: Span) {
  return {
    type: 'time',
    min: from,
    max: to,
    axisLine: { lineStyle: { color: colours.muted } },
    axisTick: { lineStyle: { color: colours.muted } },
    axisLabel: {
      color: colours.muted,
      fontSize: 11,
      hideOverlap: true,
      formatter: (time: number) =>
        to - from > 3 * day ? formatDay(time).slice(5) : formatTime(time).slice(11, 16),
    },
    splitLine: { show: false },
  }
}

function valueAxis(name: string) {
  return {
    name,
    nameTextStyle: { color: colours.muted, align: 'left' },
    axisLabel: { color: colours.muted },
    splitLine: { lineStyle: { color: colours.line } },
  }
}

const margins = { left: 56, right: 24, top: 34, bottom: 34 }

/** An age over the time, with its limit; the times when it was above that are marked. */
export function ageChart(
  { covered }: Audit,
  {
    pieces,
    limit,
    above,
    label,
  }: { pieces: readonly Piece[]; limit: number; above: readonly Span[]; label: string },
): Markup {
  const points = pieces.flatMap(({ from, to, youngest, oldest }, i) => [
    // a gap in what is known is one in the line
    ...(i > 0 && pieces[i - 1]?.to !== from ? [[from, null]] : []),
    [from, youngest / hour],
    [to, oldest / hour],
  ])
  const highest = Math.max(limit, ...pieces.map(({ oldest }) => oldest)) / hour
  return draw(260, label, {
    grid: margins,
    xAxis: timeAxis(covered),
    yAxis: { type: 'value', min: 0, max: niceTop(highest), ...valueAxis('hours') },
    series: [
      {
        type: 'line',
        data: points,
        showSymbol: false,
        // many teeth side by side would be one block
        lineStyle: { color: colours.accent, width: pieces.length > 200 ? 0.6 : 1.5 },
        itemStyle: { color: colours.accent },
        markLine: {
          symbol: 'none',
          label: { formatter: 'target', position: 'insideEndTop', color: colours.bad },
          lineStyle: { color: colours.bad, type: 'dashed' },
          data: [{ yAxis: limit / hour }],
        },
        markArea: {
          itemStyle: { color: colours.badArea },
          data: above.map(({ from, to }) => [{ xAxis: from }, { xAxis: to }]),
        },
      },
    ],
  })
}

/** Above all that is shown, and round. */
function niceTop(highest: number): number {
  const step = 10 ** Math.floor(Math.log10(highest))
  return Math.ceil((highest * 1.08) / (step / 2)) * (step / 2)
}

const outcomeSymbols = {
  done: { symbol: 'circle', color: colours.full },
  partly: { symbol: 'triangle', color: colours.part },
  other: { symbol: 'diamond', color: colours.none },
}

/** How long each sync took; the scale is logarithmic, since one that ran into its deadline took a thousand times as long. */
export function syncChart({ covered, syncs, rules }: Audit): Markup {
  const kinds = Object.entries(outcomeSymbols).map(([kind, look]) => {
    const data = syncs.timed
      .filter(({ outcome }) => (outcome === 'done' || outcome === 'partly' ? outcome : 'other') === kind)
      .map(({ startedAt, tookMs }) => [startedAt, Math.max(tookMs, second / 10) / second])
    return {
      type: 'scatter',
      symbol: look.symbol,
      symbolSize: 9,
      itemStyle: { color: look.color, opacity: 1 },
      data,
    }
  })
  const shortest = Math.min(1, ...syncs.timed.map(({ tookMs }) => Math.max(tookMs, second / 10) / second))
  const longest = Math.max(rules.syncMs, ...syncs.timed.map(({ tookMs }) => tookMs)) / second
  return draw(260, 'How long each sync took', {
    grid: margins,
    xAxis: timeAxis(covered),
    yAxis: {
      type: 'log',
      min: 10 ** Math.floor(Math.log10(shortest)),
      max: 10 ** Math.ceil(Math.log10(longest * 1.2)),
      ...valueAxis('seconds'),
    },
    series: [
      ...kinds,
      {
        type: 'line',
        data: [],
        markLine: {
          symbol: 'none',
          label: {
            formatter: `target, ${rules.syncMs / minute} min`,
            position: 'insideEndTop',
            color: colours.bad,
          },
          lineStyle: { color: colours.bad, type: 'dashed' },
          data: [{ yAxis: rules.syncMs / second }],
        },
      },
    ],
  })
}

const cellWidth = 26

type Cell = { text: string; fill: string; ink?: string }

/** Cells of days by lines; what is not as it should be has a sign in it, so that it is not told by colour alone. */
function cellChart(
  label: string,
  days: readonly number[],
  lines: readonly { name: string; cells: readonly (Cell | undefined)[] }[],
  lineHeight: number,
): Markup {
  const names = lines.map(({ name }) => name)
  const left = 16 + 7.4 * Math.max(...names.map(name => name.length), 4)
  const cells = lines.flatMap((line, row) =>
    line.cells.flatMap((cell, column) => (cell === undefined ? [] : [{ column, row, ...cell }])),
  )
  const option = {
    grid: { left, right: 12, top: 30, bottom: 6 },
    xAxis: {
      type: 'category',
      position: 'top',
      data: days.map(at => formatDay(at).slice(5)),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: colours.muted, hideOverlap: true },
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: names,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: colours.ink, interval: 0, fontSize: 11 },
    },
    series: [
      {
        type: 'custom',
        data: cells.map(({ column, row }) => [column, row]),
        renderItem({ dataIndex }: { dataIndex: number }, api: DrawApi) {
          const { column, row, text, fill, ink } = cells[dataIndex] as (typeof cells)[number]
          const [x, y] = api.coord([column, row])
          const [wide, high] = api.size([1, 1])
          const shape = {
            x: x - wide / 2 + 0.5,
            y: y - high / 2 + 0.5,
            width: wide - 1,
            height: high - 1,
            r: 2,
          }
          const rect = { type: 'rect', shape, style: { fill } }
          if (text === '') return rect
          const style = {
            text,
            x,
            y,
            fill: ink ?? colours.ink,
            align: 'center',
            verticalAlign: 'middle',
            font: 'bold 10px system-ui, sans-serif',
          }
          return { type: 'group', children: [rect, { type: 'text', style }] }
        },
      },
    ],
  }
  return draw(40 + lines.length * lineHeight, label, option, left + 12 + days.length * cellWidth)
}

const inkOnNone = 'var(--cell-none-ink)'
const inkOnPart = 'var(--cell-part-ink)'

/** How the sync and the backup of each tier went, day by day. */
export function dayChart({ syncs, tiers }: Audit): Markup {
  const days = [
    ...new Set([...syncs.days, ...tiers.flatMap(tier => tier.days)].map(({ due }) => formatDay(due))),
  ]
  days.sort((a, b) => (a < b ? -1 : 1))
  const syncCells = new Map(
    syncs.days.map(({ due, state }): [string, Cell] => {
      const cell: Cell = {
        complete: { text: '', fill: colours.full },
        counted: { text: '~', fill: colours.part, ink: inkOnPart },
        missed: { text: '×', fill: colours.none, ink: inkOnNone },
        pending: { text: '', fill: colours.blank },
      }[state]
      return [formatDay(due), cell]
    }),
  )
  const tierLines = tiers.map(tier => {
    const covered = new Map(tier.days.map(one => [formatDay(one.due), one.covered]))
    const cells = days.map((name): Cell | undefined => {
      const has = covered.get(name)
      if (has === undefined) return undefined
      return has ? { text: '', fill: colours.full } : { text: '×', fill: colours.none, ink: inkOnNone }
    })
    return { name: `${tier.tier} backup`, cells }
  })
  const lines = [{ name: 'daily sync', cells: days.map(name => syncCells.get(name)) }, ...tierLines]
  const times = days.map(name => Date.parse(name))
  return cellChart('Daily syncs and backups by tier, day by day', times, lines, 26)
}

/** Which candles are stored, by symbol and day. */
export function coverageChart({ days, symbols }: Coverage): Markup {
  const lines = symbols.map(({ symbol, cells }) => ({
    name: symbol,
    cells: cells.map(({ stored, expected }): Cell => {
      if (expected === 0) return { text: '', fill: colours.blank }
      if (stored >= expected) return { text: '', fill: colours.full }
      if (stored === 0) return { text: '0', fill: colours.none, ink: inkOnNone }
      return { text: String(stored), fill: colours.part, ink: inkOnPart }
    }),
  }))
  return cellChart('Stored candles by symbol and day', days, lines, 15)
}

/** When what happened, a line a kind. */
export function incidentChart({ covered, incidents }: Audit): Markup {
  const kinds = [...new Set(incidents.map(({ kind }) => kind))]
  const least = (covered.to - covered.from) / 400
  const bars = incidents.map(({ kind, from, until }: Incident) => {
    const begin = Math.max(from, covered.from)
    // what was short is to be seen all the same
    return [kinds.indexOf(kind), begin, Math.max(Math.min(until ?? covered.to, covered.to), begin + least)]
  })
  return draw(50 + kinds.length * 34, 'Incidents over the time', {
    grid: { left: 140, right: 24, top: 8, bottom: 34 },
    xAxis: timeAxis(covered),
    yAxis: {
      type: 'category',
      inverse: true,
      data: kinds,
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: colours.ink },
      splitLine: { show: true, lineStyle: { color: colours.line } },
    },
    series: [
      {
        type: 'custom',
        renderItem(_: unknown, api: DrawApi) {
          const [x, y] = api.coord([api.value(1), api.value(0)])
          const [end] = api.coord([api.value(2), api.value(0)])
          const shape = { x, y: y - 8, width: end - x, height: 16, r: 3 }
          return { type: 'rect', shape, style: { fill: colours.none } }
        },
        encode: { x: [1, 2], y: 0 },
        data: bars,
      },
    ],
  })
}

/** What ECharts gives to a function that draws an item: its values, and where they are. */
type DrawApi = {
  value(dimension: number): number
  coord(point: [number, number]): [number, number]
  size(of: [number, number]): [number, number]
}

import manifest from '../../package.json' with { type: 'json' }
import { formatTime } from '../job/time.ts'
import type { Audit } from './audit.ts'
import { ageChart, coverageChart, dayChart, incidentChart, syncChart } from './charts.ts'
import type { Coverage } from './coverage.ts'
import {
  dayTable,
  describeSpan,
  describeTarget,
  formatDay,
  formatShare,
  headline,
  incidentTable,
  overallVerdict,
  recoveryTable,
  syncTable,
  type Table,
  targetTitles,
  tierTable,
} from './describe.ts'
import { html, Markup } from './html.ts'
import { pageStyle } from './page_style.ts'
import { lengthOf, type Span } from './spans.ts'
import type { Target } from './targets.ts'

export type PageContext = {
  host: string
  /** What the agent's database has of the candles, or why that is not known. */
  coverage: Coverage | { why: string }
  now: number
}

const verdicts: Record<Target['verdict'], string> = {
  met: '✓ met',
  missed: '✗ missed',
  unknown: '? not known',
}

/**
 * The audit as one HTML page that needs nothing else: no script, no network, charts drawn as SVG with tables behind them. The
 * policy in its head sees to it that nothing can be loaded or run, whatever is in its texts.
 */
export function renderPage(audit: Audit, context: PageContext): string {
  const { asked, targets, notes } = audit
  const { host, now } = context
  const verdict = overallVerdict(audit)
  const title = `SLA audit of ${host}, ${formatDay(asked.from)} to ${formatDay(asked.to - 1)}`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new Markup(pageStyle)}</style>
</head>
<body>
<main>
<header>
<h1>SLA audit of ${host}</h1>
<p class="muted">${describeSpan(asked)}</p>
</header>
<p class="verdict ${verdict}">${sentence(headline(audit))}</p>
<ul class="cards" aria-label="Targets">
${targets.map(target => card(target, audit))}
</ul>
${charts(audit, context.coverage)}
${incidents(audit)}
${section('Recoveries and drills', '', [stackTable(recoveryTable(audit))])}
<section>
<h2>Notes</h2>
${notes.length === 0 ? html`<p>There is nothing that has to be known beside the figures.</p>` : html`<ul>${notes.map(note => html`<li>${note}</li>`)}</ul>`}
</section>
<footer class="muted">candlekeep ${manifest.version}, ${formatTime(now)}</footer>
</main>
</body>
</html>
`.text
}

function card(target: Target, audit: Audit): Markup {
  const { measured, target: promised, details } = describeTarget(target, audit)
  return html`<li>
<h2>${targetTitles[target.name]}</h2>
<span class="badge ${target.verdict}">${verdicts[target.verdict]}</span>
<span class="figure">${measured}</span>
<p>Promised: ${promised}</p>
${details.map(detail => html`<p class="muted">${sentence(detail)}</p>`)}
</li>
`
}

function charts(audit: Audit, coverage: PageContext['coverage']): Markup[] {
  const { covered, availability, rpo, syncs, rules } = audit
  if (lengthOf([covered]) === 0)
    return [section('Charts', 'The history has nothing of this time: there is nothing to draw.', [])]
  return [
    section('Freshness', 'How long ago the last sync ended that counts. Marked: when the data was stale.', [
      figure(
        ageChart(audit, {
          pieces: availability.syncAges,
          limit: rules.fresh.syncMs,
          above: availability.stale,
          label: 'Age of the last sync over the time',
        }),
      ),
      behind(spanTable('Stale data', availability.stale)),
    ]),
    section(
      'Recovery point',
      'How old the newest proven backup was. Marked: when it was older than promised.',
      [
        figure(
          ageChart(audit, {
            pieces: rpo.ages,
            limit: rules.rpoMs,
            above: rpo.above,
            label: 'Age of the newest proven backup over the time',
          }),
        ),
        behind(spanTable('Backup too old', rpo.above)),
      ],
    ),
    section('Syncs', 'How long each sync took, on a logarithmic scale.', [
      figure(syncChart(audit)),
      legend([
        ['--cell-full', '● complete'],
        ['--cell-part', '▲ partly'],
        ['--cell-none', '◆ failed or stopped'],
      ]),
      behind(syncTable(audit)),
    ]),
    section(
      'Days',
      `${syncs.completeDays} of ${syncs.judgedDays} days have a complete sync. A day begins when the job is due.`,
      [
        ...(audit.syncs.days.length === 0 ? [] : [figure(dayChart(audit))]),
        legend([
          ['--cell-full', 'complete, or a proven backup'],
          ['--cell-part', '~ counts, some symbols incomplete'],
          ['--cell-none', '× missed'],
          ['--cell-blank', 'not over yet'],
        ]),
        stackTable(tierTable(audit)),
        behind(dayTable(audit)),
      ],
    ),
    candles(coverage),
  ]
}

function candles(coverage: PageContext['coverage']): Markup {
  if ('why' in coverage) return section('Candles', `What is stored cannot be shown: ${coverage.why}.`, [])
  const { days, symbols, stored, expected } = coverage
  if (days.length === 0 || symbols.length === 0)
    return section('Candles', 'No candle of this time is expected to be stored.', [])
  const share =
    expected === 0 ? 'None is expected' : `${formatShare(stored / expected)} of those expected are there`
  return section('Candles', `What is stored now, by symbol and day: ${share}.`, [
    figure(coverageChart(coverage)),
    legend([
      ['--cell-full', 'all'],
      ['--cell-part', 'some: how many'],
      ['--cell-none', 'none'],
      ['--cell-blank', 'none is expected'],
    ]),
    behind({
      title: 'Stored candles by symbol and day',
      head: ['Symbol', ...days.map(formatDay)],
      rows: symbols.map(({ symbol, trades, cells }) => [
        trades ? symbol : `${symbol} (does not trade)`,
        ...cells.map(cell => `${cell.stored}/${cell.expected}`),
      ]),
    }),
  ])
}

function incidents(audit: Audit): Markup {
  if (audit.incidents.length === 0) return section('Incidents', 'Nothing cost a target.', [])
  return section('Incidents', 'What cost a target, and which.', [
    figure(incidentChart(audit)),
    stackTable(incidentTable(audit)),
  ])
}

function section(title: string, text: string, parts: readonly Markup[]): Markup {
  return html`<section>
<h2>${title}</h2>
${text === '' ? '' : html`<p class="muted">${text}</p>`}
${parts}
</section>
`
}

/** A box that scrolls in itself, by keyboard too, where it is wider than the screen. */
function figure(chart: Markup): Markup {
  return html`<figure><div class="scroll" tabindex="0" role="group" aria-label="Chart">${chart}</div></figure>
`
}

function legend(entries: [variable: string, text: string][]): Markup {
  const items = entries.map(
    ([variable, text]) => html`<li><i style="background: var(${variable})"></i>${text}</li>`,
  )
  return html`<ul class="legend">${items}</ul>
`
}

/** The figures of a chart, for whoever wants them. */
function behind(table: Table): Markup {
  return html`<details><summary>${table.title}: the table</summary>
<div class="scroll" tabindex="0" role="group" aria-label="${table.title}">${gridTable(table)}</div></details>
`
}

function gridTable({ head, rows }: Table): Markup {
  if (rows.length === 0) return html`<p>None.</p>`
  return html`<table class="grid"><thead><tr>${head.map(title => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${rows.map(
    cells => html`<tr>${cells.map(cell => html`<td>${cell}</td>`)}</tr>
`,
  )}</tbody></table>`
}

/** A table whose rows become blocks on a narrow screen. */
function stackTable({ head, rows }: Table): Markup {
  if (rows.length === 0) return html`<p>None.</p>`
  const row = (cells: string[]) =>
    html`<tr>${cells.map((cell, i) => html`<td data-label="${head[i] ?? ''}">${cell}</td>`)}</tr>
`
  return html`<table class="stack"><thead><tr>${head.map(title => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${rows.map(row)}</tbody></table>
`
}

function spanTable(title: string, spans: readonly Span[]): Table {
  return {
    title,
    head: ['From', 'To'],
    rows: spans.map(({ from, to }) => [formatTime(from), formatTime(to)]),
  }
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

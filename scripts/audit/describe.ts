import { formatDuration, formatTime } from '../job/time.ts'
import { count } from '../job/words.ts'
import { type AgeFigures, figuresOf } from './ages.ts'
import type { Audit } from './audit.ts'
import type { Incident } from './incidents.ts'
import { describeRecovery } from './recoveries.ts'
import { lengthOf, type Span } from './spans.ts'
import type { SyncDay } from './syncs.ts'
import type { Target, TargetName } from './targets.ts'

// What the report, the Markdown and the page all say, in the same words.

export const targetTitles: Record<TargetName, string> = {
  availability: 'Availability',
  rpo: 'Recovery point (RPO)',
  rto: 'Recovery time (RTO)',
  freshness: 'Freshness',
  sync: 'Sync duration',
}

/** `4 of 5 targets met · missed: freshness`. */
export function headline({ targets }: Pick<Audit, 'targets'>): string {
  const of = (verdict: Target['verdict']) =>
    targets.filter(target => target.verdict === verdict).map(({ name }) => targetTitles[name])
  const [met, missed, unknown] = [of('met'), of('missed'), of('unknown')]
  if (met.length === targets.length) return `all ${targets.length} targets met`
  return [
    `${met.length} of ${targets.length} targets met`,
    ...(missed.length === 0 ? [] : [`missed: ${missed.join(', ')}`]),
    ...(unknown.length === 0 ? [] : [`not to be judged: ${unknown.join(', ')}`]),
  ].join(' · ')
}

/** The worst of the verdicts, where some could be judged. */
export function overallVerdict({ targets }: Pick<Audit, 'targets'>): Target['verdict'] {
  if (targets.some(({ verdict }) => verdict === 'missed')) return 'missed'
  return targets.some(({ verdict }) => verdict === 'met') ? 'met' : 'unknown'
}

/** `2026-03-01 00:00 UTC to 2026-04-01 00:00 UTC, 31 d`. */
export function describeSpan({ from, to }: Span): string {
  return `${formatTime(from)} to ${formatTime(to)}, ${formatDuration(to - from)}`
}

/** What was measured, what was promised, and what belongs to it; for people. */
export function describeTarget(
  target: Target,
  audit: Audit,
): { measured: string; target: string; details: string[] } {
  const format = target.name === 'availability' ? formatShare : formatDuration
  const bound = target.name === 'availability' ? 'at least' : 'at most'
  return {
    measured: target.measured === null ? '–' : format(target.measured),
    target: `${bound} ${format(target.target)}`,
    details: details[target.name](audit),
  }
}

const details: Record<TargetName, (audit: Audit) => string[]> = {
  availability({ availability: { budgetMs, budgetLeftMs, ratio } }) {
    if (ratio === null) return []
    return budgetLeftMs < 0
      ? [`error budget of ${formatDuration(budgetMs)} overspent by ${formatDuration(-budgetLeftMs)}`]
      : [`error budget left: ${formatDuration(budgetLeftMs)} of ${formatDuration(budgetMs)}`]
  },
  rpo({ rpo }) {
    if (rpo.worst === null) return []
    return [`age of the newest proven backup: ${describeAges(rpo)}`, howLong('above the target', rpo.above)]
  },
  rto({ rto: { recoveries, drills } }) {
    const failed = drills.filter(({ failure }) => failure !== null).length
    const recovered = recoveries.length === 1 ? '1 recovery' : `${recoveries.length} recoveries`
    return [
      `${recovered}, ${count(drills.length, 'drill')}${failed === 0 ? '' : `, ${failed} of them failed`}`,
    ]
  },
  freshness({ availability: { syncAges, candleAges, stale } }) {
    const [sync, candle] = [figuresOf(syncAges), figuresOf(candleAges)]
    if (sync.worst === null) return []
    return [
      `age of the last sync that counts: ${describeAges(sync)}`,
      ...(candle.worst === null ? [] : [`of the newest candle: worst ${formatDuration(candle.worst)}`]),
      howLong('stale', stale),
    ]
  },
  sync({ syncs: { p50, p99, runs } }) {
    if (p50 === null || p99 === null) return [count(runs.length, 'sync')]
    return [`${count(runs.length, 'sync')}: p50 ${formatDuration(p50)}, p99 ${formatDuration(p99)}`]
  },
}

function howLong(what: string, spans: Span[]): string {
  return spans.length === 0 ? `never ${what}` : `${what} for ${formatDuration(lengthOf(spans))}`
}

function describeAges({ p50, p95, worst }: AgeFigures): string {
  return `p50 ${formatDuration(p50 ?? 0)}, p95 ${formatDuration(p95 ?? 0)}, worst ${formatDuration(worst ?? 0)}`
}

/** `99.5 %`. Never more than it was: what is not all of it is not 100 %. */
export function formatShare(share: number): string {
  return `${Number((Math.floor(share * 100_000 + 1e-6) / 1000).toFixed(3))} %`
}

/** A table: a line of titles and lines of cells. */
export type Table = { title: string; head: string[]; rows: string[][] }

export function targetTable(audit: Audit): Table {
  return {
    title: 'Targets',
    head: ['Target', 'Measured', 'Promised', 'Verdict', ''],
    rows: audit.targets.map(target => {
      const described = describeTarget(target, audit)
      return [
        targetTitles[target.name],
        described.measured,
        described.target,
        target.verdict,
        described.details.join('; '),
      ]
    }),
  }
}

const dayStates: Record<SyncDay['state'], string> = {
  complete: 'complete',
  counted: 'counts, some symbols incomplete',
  missed: 'missed',
  pending: 'not over yet',
}

/** The days of the syncs and of the backups of each tier. */
export function dayTable({ syncs, tiers }: Audit): Table {
  const covered = tiers.map(({ days }) => new Map(days.map(one => [formatDay(one.due), one.covered])))
  return {
    title: 'Days',
    head: ['Day', 'Sync', ...tiers.map(({ tier }) => `${tier} backup`)],
    rows: syncs.days.map(({ due, state }) => {
      const backups = covered.map(days => {
        const has = days.get(formatDay(due))
        return has === undefined ? '–' : has ? 'proven' : 'none'
      })
      return [formatDay(due), dayStates[state], ...backups]
    }),
  }
}

export function tierTable({ tiers }: Audit): Table {
  return {
    title: 'Backups by tier',
    head: ['Tier', 'Runs that brought one', 'Success', 'Days with a proven backup', 'Backups taken'],
    rows: tiers.map(({ tier, tried, succeeded, judgedDays, coveredDays, taken }) => [
      tier,
      `${succeeded} of ${tried}`,
      tried === 0 ? '–' : formatShare(succeeded / tried),
      `${coveredDays} of ${judgedDays}`,
      String(taken),
    ]),
  }
}

export function syncTable({ syncs }: Audit): Table {
  return {
    title: 'Syncs',
    head: ['Began', 'Took', 'Outcome', 'Counts'],
    rows: syncs.runs.map(({ startedAt, finishedAt, outcome, counts }) => [
      formatTime(startedAt),
      finishedAt === null || finishedAt < startedAt || outcome === 'killed'
        ? 'not known'
        : formatDuration(finishedAt - startedAt),
      outcome,
      counts ? 'yes' : 'no',
    ]),
  }
}

export function recoveryTable({ rto: { recoveries, drills } }: Audit): Table {
  const rows = [
    ...recoveries.map(recovery => ({
      at: recovery.startedAt,
      cells: [
        'recovery',
        formatDuration(recovery.tookMs),
        recovery.finished ? 'recovered' : 'not finished',
        `${describeRecovery(recovery)}; the newest backup was ${recovery.backupAgeMs === null ? 'of an unknown age' : `${formatDuration(recovery.backupAgeMs)} old`}`,
      ],
    })),
    ...drills.map(({ tier, startedAt, tookMs, failure, backup }) => ({
      at: startedAt,
      cells: [
        `drill, ${tier}`,
        formatDuration(tookMs),
        failure === null ? 'restored' : 'failed',
        failure ?? backup ?? '',
      ],
    })),
  ]
  return {
    title: 'Recoveries and drills',
    head: ['Began', 'What', 'Took', 'Outcome', ''],
    rows: rows.sort((a, b) => a.at - b.at).map(({ at, cells }) => [formatTime(at), ...cells]),
  }
}

export function incidentTable({ incidents }: Audit): Table {
  return {
    title: 'Incidents',
    head: ['Began', 'Until', 'Lasted', 'What', 'Cost'],
    rows: incidents.map(incident => [
      formatTime(incident.from),
      incident.until === null ? 'not over' : formatTime(incident.until),
      formatDuration(incident.lastedMs),
      `${incident.kind}: ${incident.what}`,
      costsOf(incident),
    ]),
  }
}

export function costsOf({ costs }: Incident): string {
  return costs.map(name => targetTitles[name]).join(', ')
}

/** `2026-03-15`. */
export function formatDay(time: number): string {
  return formatTime(time).slice(0, 10)
}

/** What a panel shows, as data; `grafana.ts` makes of it what Grafana reads. */
export type Panel = {
  kind: 'stat' | 'graph' | 'table' | 'bars' | 'timeline'
  title: string
  /** What it says, and what to do about it. */
  description: string
  /** Alerts whose pages say more. */
  runbooks: string[]
  /** Of the dashboard's 24 columns. */
  width: number
  queries: Query[]
  /** Grafana's name of a unit; of a table, that of columns. */
  unit?: Unit
  /** Values that have a name of their own. */
  names?: Name[]
  /** Where it gets worse, or better. The first one counts from below all others. */
  limits?: Limit[]
  /** What stands there where there is no series. */
  none?: string
  /** Of a table, in their order: labels and, by the letter of its query, values. Others are not shown. */
  columns?: Column[]
}

type Query = {
  expr: string
  /** What a series is called, `{{label}}` filled in; none in a table. */
  legend?: string
}

export type Unit = 'age' | 'duration' | 'bytes' | 'ratio' | 'count' | 'status'

/** From this value on, in this colour. */
export type Limit = { from: number; colour: Colour }

export type Name = { value: number | string; text: string; colour: Colour }

export type Column = {
  /** A label, or the letter of a query. */
  of: string
  title: string
  unit?: Unit
  names?: Name[]
  limits?: Limit[]
  /** Its highest value comes first. */
  highestFirst?: boolean
}

export type Colour = 'green' | 'yellow' | 'orange' | 'red' | 'blue' | 'text'

/** Lines of panels that stand beside each other; `height` in Grafana's grid, of about 30 pixels each. */
export type Row = { title: string; lines: { height: number; panels: Panel[] }[] }

/** The series of a metric that belong to the hosts which are chosen above. */
export function chosen(metric: string, labels = ''): string {
  return `${metric}{instance=~"$instance"${labels === '' ? '' : `,${labels}`}}`
}

/** Good up to a first limit; each is in seconds or whatever the value is in. Of two that are equal, the last counts. */
export function goodBelow(...limits: [from: number, colour: Colour][]): Limit[] {
  const worse = new Map(limits.toSorted(([a], [b]) => a - b))
  return [
    { from: Number.NEGATIVE_INFINITY, colour: 'green' },
    ...[...worse].map(([from, colour]) => ({ from, colour })),
  ]
}

/** Good from a limit on. */
export function goodFrom(limit: number): Limit[] {
  return [
    { from: Number.NEGATIVE_INFINITY, colour: 'red' },
    { from: limit, colour: 'green' },
  ]
}

/** In a colour that says neither good nor bad. */
export const neutral: Limit[] = [{ from: Number.NEGATIVE_INFINITY, colour: 'blue' }]

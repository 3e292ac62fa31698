/** How well a check's subject is. `unknown`: it could not be looked at. */
export type Status = 'ok' | 'warning' | 'critical' | 'unknown'

export type CheckName =
  | 'data_freshness'
  | 'symbol_coverage'
  | 'database_integrity'
  | 'database_size'
  | 'backup_status'
  | 'recent_activity'

/** Something that is not as it should be: one line, and the command that helps or shows more. */
export type Finding = { status: Exclude<Status, 'ok'>; line: string; advice?: string }

export type Figures = Record<string, unknown>

/** What a check came to. */
export type CheckResult = {
  name: CheckName
  status: Status
  /** For people: the worst finding, or how things are when there is none. */
  line: string
  /** The other findings, worst first. */
  more: string[]
  /** Commands that help, each once. */
  advice: string[]
  figures: Figures
}

// the order of the Nagios plugins' own `max_state_alt`
const ranks: Record<Status, number> = { ok: 0, unknown: 1, warning: 2, critical: 3 }

/** The worst of some statuses. */
export function worst(statuses: Status[]): Status {
  return statuses.reduce((a, b) => (ranks[b] > ranks[a] ? b : a), 'ok' as Status)
}

/** A check's result from what was found; `well` is its line where nothing was. */
export function conclusion(
  name: CheckName,
  findings: Finding[],
  well: string,
  figures: Figures,
): CheckResult {
  const sorted = findings.toSorted((a, b) => ranks[b.status] - ranks[a.status])
  const [first, ...others] = sorted
  return {
    name,
    status: first?.status ?? 'ok',
    line: first?.line ?? well,
    more: [...new Set(others.map(({ line }) => line))].filter(line => line !== first?.line),
    advice: [...new Set(sorted.flatMap(({ advice }) => (advice === undefined ? [] : [advice])))],
    figures,
  }
}

import type { Condition } from '../job/alerting.ts'

/** How a condition is: well, or bad to some degree. */
export type Level = Condition['severity']

const ranks: Record<Level, number> = { ok: 0, info: 1, warning: 2, critical: 3 }

export function isWorse(level: Level, than: Level): boolean {
  return ranks[level] > ranks[than]
}

/** The worst of some levels; `ok` of none. */
export function worstOf(levels: Level[]): Level {
  return levels.reduce((worst, level) => (isWorse(level, worst) ? level : worst), 'ok' as Level)
}

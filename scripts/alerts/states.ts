import { isWorse, type Level, worstOf } from './levels.ts'

/** What is remembered of a condition. All times are milliseconds since the epoch. */
export type State = {
  /** How it is, as far as anybody knows. */
  current: Level
  /** What people were last told; `ok` where they were told nothing. */
  announced: Level
  announcedAt: number
  /** Since when it is bad, as far as people were told; without meaning while `ok` is announced. */
  since: number
  /** Since when it is better than announced without having become worse again; null where it is not better. */
  lowerSince: number | null
}

/** Why people are told: it has become bad, worse, less bad, well; or it has stayed bad for long. */
export type EventKind = 'triggered' | 'worsened' | 'eased' | 'recovered' | 'repeated'

/** Something to be said. */
export type Announcement = { kind: EventKind; level: Level; previous: Level; since: number }

/** How long things have to be better before that is said, and after what time a lasting alert is said again. */
export type Pace = { settleMs: number; repeatMs: number }

export type Step = { state: State; announcements: Announcement[] }

/** A condition of which nothing bad is known. */
export function wellSince(now: number): State {
  return { current: 'ok', announced: 'ok', announcedAt: now, since: now, lowerSince: null }
}

/**
 * What becomes of a condition that is seen at `level`. That it is worse than announced is said at once, that it is
 * better only once it has stayed so for the settle time: a check that flaps makes one alert and one recovery.
 */
export function see(before: State, level: Level, now: number, pace: Pace): Step {
  // a recovery whose time came while nobody looked comes first: what follows is a new alert
  return take(settle(before, now, pace), level, now, pace)
}

/**
 * What becomes of a condition that could not be looked at, which is as bad as `level`. It is still as bad as announced:
 * a doubt is no all-clear, it begins no recovery and ends one that has begun to settle.
 */
export function doubt(before: State, level: Level, now: number, pace: Pace): Step {
  const state = notAheadOf(now, before)
  return take({ state, announcements: [] }, worstOf([state.announced, level]), now, pace)
}

function take({ state, announcements }: Step, level: Level, now: number, pace: Pace): Step {
  const { announced, current } = state
  if (isWorse(level, announced)) {
    const kind = announced === 'ok' ? 'triggered' : 'worsened'
    const since = announced === 'ok' ? now : state.since
    const next = announce({ ...state, current: level, since }, kind, level, now)
    return { state: next.state, announcements: [...announcements, ...next.announcements] }
  }
  if (level === announced) {
    const same = { ...state, current: level, lowerSince: null }
    if (level === 'ok' || now - state.announcedAt < pace.repeatMs) return { state: same, announcements }
    const next = announce(same, 'repeated', level, now)
    return { state: next.state, announcements: [...announcements, ...next.announcements] }
  }
  const rises = state.lowerSince === null || isWorse(level, current)
  const lower = { ...state, current: level, lowerSince: rises ? now : state.lowerSince }
  // with a settle time of nothing
  const next = settle(lower, now, pace)
  return { state: next.state, announcements: [...announcements, ...next.announcements] }
}

/** What has come due of a condition that nobody looked at just now: a recovery that has settled. */
export function settle(before: State, now: number, { settleMs }: Pace): Step {
  const state = notAheadOf(now, before)
  if (state.lowerSince === null || now - state.lowerSince < settleMs) return { state, announcements: [] }
  return announce(state, state.current === 'ok' ? 'recovered' : 'eased', state.current, now)
}

function announce(state: State, kind: EventKind, level: Level, now: number): Step {
  const { announced: previous, since } = state
  return {
    state: { ...state, announced: level, announcedAt: now, lowerSince: null },
    announcements: [{ kind, level, previous, since }],
  }
}

/** Times that lie ahead are from before the clock was put back: the waits that they began begin again. */
function notAheadOf(now: number, state: State): State {
  return {
    ...state,
    announcedAt: Math.min(state.announcedAt, now),
    since: Math.min(state.since, now),
    lowerSince: state.lowerSince === null ? null : Math.min(state.lowerSince, now),
  }
}

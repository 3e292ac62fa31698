import { agesFrom, olderThan, type Piece, since } from './ages.ts'
import type { Facts, Known, SoundnessFact } from './facts.ts'
import type { Rules } from './rules.ts'
import { lengthOf, type Span, united, within, without } from './spans.ts'

/** A time in which the database was damaged, as far as anybody saw: `until` null where it still is. */
type Damage = { from: number; until: number | null; line: string }

export type Availability = {
  /** Share of the judged time in which the data was fresh and the database sound; null: there is no such time. */
  ratio: number | null
  judgedMs: number
  /** Of the covered time, what the history cannot tell of. */
  unknownMs: number
  down: Span[]
  stale: Span[]
  damaged: Span[]
  /** The time that the target allows, and what is left of it, which can be less than nothing. */
  budgetMs: number
  budgetLeftMs: number
  damages: Damage[]
  /** How old the last sync that counts was, where that is known or too old for certain. */
  syncAges: Piece[]
  /** How long ago the newest candle had closed. */
  candleAges: Piece[]
}

/**
 * When the data was fresh and the database sound. Whether it was fresh before the first sync that the history has is not
 * known, until so much time has passed that it was stale for certain.
 */
export function judgeAvailability(facts: Known, { fresh, availability }: Rules, covered: Span): Availability {
  const known = agesFrom(syncSources(facts), covered)
  const begunAt = facts.begunAt ?? covered.from
  const gaps = without([covered], known)
  const unheard = without(gaps, [{ from: 0, to: begunAt + fresh.syncMs }])
  const syncAges = [...known, ...unheard.flatMap(gap => since(begunAt, gap))].sort((a, b) => a.from - b.from)
  const candleAges = agesFrom(candleSources(facts), covered)
  const damages = damagesOf(facts.soundness)
  const damaged = within(
    damages.map(({ from, until }) => ({ from, to: until ?? Number.POSITIVE_INFINITY })),
    covered,
  )
  const stale = united([...olderThan(syncAges, fresh.syncMs), ...olderThan(candleAges, fresh.candleMs)])
  const down = united([...stale, ...damaged])
  const unknownMs = lengthOf(without(without(gaps, unheard), down))
  const judgedMs = covered.to - covered.from - unknownMs
  const downMs = lengthOf(down)
  const budgetMs = judgedMs * (1 - availability)
  return {
    ratio: judgedMs === 0 ? null : (judgedMs - downMs) / judgedMs,
    judgedMs,
    unknownMs,
    down,
    stale,
    damaged,
    budgetMs,
    budgetLeftMs: budgetMs - downMs,
    damages,
    syncAges,
    candleAges,
  }
}

/** By a clock that was set back a run can end before it begins: it is not heard of before either. */
function syncSources({ syncs }: Facts) {
  return syncs.flatMap(({ counts, startedAt, finishedAt }) => {
    if (!counts || finishedAt === null) return []
    return [{ from: Math.max(startedAt, finishedAt), until: Number.POSITIVE_INFINITY, origin: finishedAt }]
  })
}

/** What was seen last holds: rows can go. */
function candleSources({ newestCandles }: Facts) {
  const ordered = newestCandles.toSorted((a, b) => a.at - b.at)
  return ordered.map(({ at, closedAt }, i) => {
    return { from: at, until: ordered[i + 1]?.at ?? Number.POSITIVE_INFINITY, origin: closedAt }
  })
}

/** From when damage was first seen until it was no longer, or the database was brought back. */
function damagesOf(soundness: readonly SoundnessFact[]): Damage[] {
  const damages: Damage[] = []
  for (const { at, damaged, line } of soundness.toSorted((a, b) => a.at - b.at)) {
    const last = damages.at(-1)
    const open = last !== undefined && last.until === null
    if (damaged && !open) damages.push({ from: at, until: null, line })
    else if (!damaged && open) last.until = at
  }
  return damages
}

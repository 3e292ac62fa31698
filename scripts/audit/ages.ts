import { type Span, united } from './spans.ts'

/** While it holds, from `from` to `until`, nothing is older than what has come since `origin`. Milliseconds. */
export type Source = { from: number; until: number; origin: number }

/** A stretch in which an age grows with the time, from `youngest` to `oldest`; or stays at nothing, where both are 0. */
export type Piece = Span & { youngest: number; oldest: number }

/**
 * How old something is at each moment of `frame`: the time since the latest origin of the sources that hold then, and nothing
 * before that. Moments at which none holds have no piece.
 */
export function agesFrom(sources: readonly Source[], frame: Span): Piece[] {
  const waiting = sources
    .filter(({ from, until }) => from < until && from < frame.to && until > frame.from)
    .toSorted((a, b) => a.from - b.from)
  const moments = new Set([frame.from, frame.to, ...waiting.flatMap(({ from, until }) => [from, until])])
  const ordered = [...moments]
    .filter(moment => moment >= frame.from && moment <= frame.to)
    .sort((a, b) => a - b)
  const pieces: Piece[] = []
  let holding: Source[] = []
  let next = 0
  for (const [i, from] of ordered.entries()) {
    const to = ordered[i + 1]
    if (to === undefined) break
    for (; next < waiting.length && (waiting[next] as Source).from <= from; next++) {
      const one = waiting[next] as Source
      // what can never be the latest any more is forgotten
      holding = holding.filter(({ origin, until }) => origin > one.origin || until > one.until)
      holding.push(one)
    }
    holding = holding.filter(({ until }) => until > from)
    if (holding.length === 0) continue
    pieces.push(...since(Math.max(...holding.map(({ origin }) => origin)), { from, to }))
  }
  return pieces
}

/** The age of what began at `origin`, which is nothing up to then. */
export function since(origin: number, { from, to }: Span): Piece[] {
  const begins = Math.min(Math.max(from, origin), to)
  return [
    { from, to: begins, youngest: 0, oldest: 0 },
    { from: begins, to, youngest: begins - origin, oldest: to - origin },
  ].filter(piece => piece.to > piece.from)
}

/** When it was older than `limit`. */
export function olderThan(pieces: readonly Piece[], limit: number): Span[] {
  return united(
    pieces
      .filter(({ oldest }) => oldest > limit)
      .map(({ to, from, oldest }) => ({ from: Math.max(from, to - (oldest - limit)), to })),
  )
}

/** The greatest age, and those that it did not exceed for half and for 95 % of the time; null: there is nothing to tell. */
export type AgeFigures = { p50: number | null; p95: number | null; worst: number | null }

export function figuresOf(pieces: readonly Piece[]): AgeFigures {
  return { p50: quantile(pieces, 0.5), p95: quantile(pieces, 0.95), worst: quantile(pieces, 1) }
}

/** The least age that was not exceeded for this share of the time, exactly: the share grows evenly from one bound to the next. */
function quantile(pieces: readonly Piece[], share: number): number | null {
  const bounds = [...new Set(pieces.flatMap(({ youngest, oldest }) => [youngest, oldest]))].sort(
    (a, b) => a - b,
  )
  const [least] = bounds
  if (least === undefined) return null
  const wanted = share * pieces.reduce((sum, { from, to }) => sum + to - from, 0)
  let [low, high] = [0, bounds.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (timeUpTo(pieces, bounds[middle] as number) >= wanted) high = middle
    else low = middle + 1
  }
  const upper = bounds[low] as number
  if (low === 0) return upper
  const lower = bounds[low - 1] as number
  const [before, after] = [timeUpTo(pieces, lower), timeUpTo(pieces, upper)]
  return after === before ? upper : lower + ((wanted - before) / (after - before)) * (upper - lower)
}

/** For how long it was at most so old. */
function timeUpTo(pieces: readonly Piece[], age: number): number {
  return pieces.reduce((sum, { from, to, youngest, oldest }) => {
    if (oldest <= age) return sum + to - from
    return sum + Math.max(0, age - youngest)
  }, 0)
}

/** A stretch of time: from a moment up to, and without, another; milliseconds since the epoch. */
export type Span = { from: number; to: number }

/** In order, without overlaps and without empty ones; those that touch are one. */
export function united(spans: readonly Span[]): Span[] {
  const result: Span[] = []
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1)
    if (to <= from) continue
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else result.push({ from, to })
  }
  return result
}

/** The parts that lie within `frame`. */
export function within(spans: readonly Span[], frame: Span): Span[] {
  return united(
    spans.map(({ from, to }) => ({ from: Math.max(from, frame.from), to: Math.min(to, frame.to) })),
  )
}

/** What of `spans` is in none of `others`. */
export function without(spans: readonly Span[], others: readonly Span[]): Span[] {
  const taken = united(others)
  return united(spans).flatMap(({ from, to }) => {
    const left: Span[] = []
    let at = from
    for (const other of taken) {
      if (other.to <= at || other.from >= to) continue
      left.push({ from: at, to: other.from })
      at = other.to
    }
    return united([...left, { from: at, to }])
  })
}

/** How long they are together. */
export function lengthOf(spans: readonly Span[]): number {
  return united(spans).reduce((sum, { from, to }) => sum + to - from, 0)
}

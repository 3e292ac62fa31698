/** Open times from `from` to `to`, both included, both on the grid of the interval. */
export type Range = { from: number; to: number }

export function countIn({ from, to }: Range, step: number): number {
  return to < from ? 0 : (to - from) / step + 1
}

/** The open times of `ranges` that are not in `present`, as ranges. */
export function missingIn(ranges: Range[], present: ReadonlySet<number>, step: number): Range[] {
  const missing: Range[] = []
  for (const { from, to } of ranges) {
    for (let time = from; time <= to; time += step) {
      if (present.has(time)) continue
      const last = missing.at(-1)
      if (last !== undefined && last.to === time - step) last.to = time
      else missing.push({ from: time, to: time })
    }
  }
  return missing
}

/** The part of `range` from `earliest` on; undefined where nothing is left. */
export function clipFrom(range: Range, earliest: number): Range | undefined {
  const from = Math.max(range.from, earliest)
  return from > range.to ? undefined : { from, to: range.to }
}

import leven from 'leven'

/**
 * The candidate that was most likely meant, or undefined where none is near: two letters may differ, in long words a
 * third of them.
 */
export function nearest(given: string, candidates: Iterable<string>): string | undefined {
  const wanted = given.toLowerCase()
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const distance = leven(wanted, candidate.toLowerCase())
    if (best === undefined || distance < best.distance) best = { candidate, distance }
  }
  return best !== undefined && best.distance <= Math.max(2, given.length / 3) ? best.candidate : undefined
}

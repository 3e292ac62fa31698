/** Deterministic noise with random access: no state, the same everywhere and for ever. */

/** A number in [0, 1) from two integers. */
export function hash(seed: number, n: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(n | 0, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d)
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39)
  return ((h ^ (h >>> 15)) >>> 0) / 4_294_967_296
}

/** A 32-bit integer from a text (FNV-1a). */
export function seedOf(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** A smooth curve through a random value in [-1, 1) at each multiple of `period`. */
export function smoothNoise(seed: number, x: number, period: number): number {
  const cell = Math.floor(x / period)
  const t = x / period - cell
  const from = hash(seed, cell)
  const to = hash(seed, cell + 1)
  return (from + (to - from) * t * t * (3 - 2 * t)) * 2 - 1
}

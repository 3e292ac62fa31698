import type { Test } from 'tap'

/** Numbers in [0, 1) from a seed that is printed; `SEED` brings a run back. (mulberry32) */
export function seededRandom(test: Test): () => number {
  let state = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  test.comment(`SEED=${state}`)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

import type { Test } from 'tap'
import { seed } from './properties.ts'

/** Numbers in [0, 1) from the seed of this run, which is printed; `FC_SEED` brings them back. (mulberry32) */
export function seededRandom(test: Test): () => number {
  test.comment(`FC_SEED=${seed}`)
  return randomFrom(seed)
}

/** The same numbers each time, for a whole number of 32 bits. */
export function randomFrom(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

import * as fc from 'fast-check'

/** One seed a process for every property: `FC_SEED` brings a failed run back. */
export const seed = Number(process.env['FC_SEED'] || Math.floor(Math.random() * 2 ** 31))

/** The number of random cases to try: `soak` of them where CANDLEKEEP_SOAK is set. */
export function runs(usual: number, soak = usual * 20): number {
  return process.env['CANDLEKEEP_SOAK'] ? soak : usual
}

/** Tries a property; the error of one that does not hold has the seed, the path and the smallest case in it. */
export function check<T>(property: fc.IProperty<T>, numRuns: number): void {
  fc.assert(property, { seed, numRuns })
}

/** As `check`, for a property that takes its time. */
export async function checkAsync<T>(property: fc.IAsyncProperty<T>, numRuns: number): Promise<void> {
  await fc.assert(property, { seed, numRuns })
}

import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { codeOf } from '../job/errors.ts'
import { replaceFile } from '../job/replace_file.ts'

/**
 * Remembers until when the exchange bans this address, for every process that comes after: asking during a ban makes
 * it longer, and the trading agent has the same address. Kept by exchange, in a file of its own that is replaced as a
 * whole.
 */
export type BanMemory = {
  /** Milliseconds since the epoch; undefined where no ban is known. */
  until(): number | undefined
  remember(until: number): void
}

export function openBanMemory(state: string, exchange: string): BanMemory {
  const file = join(state, 'exchange_bans.json')
  return {
    until: () => read(file)[exchange],
    remember(until) {
      mkdirSync(dirname(file), { recursive: true })
      const known = read(file)
      replaceFile(file, JSON.stringify({ ...known, [exchange]: Math.max(until, known[exchange] ?? 0) }))
    },
  }
}

function read(file: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return {}
    throw error
  }
}

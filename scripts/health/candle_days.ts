import { join } from 'node:path'
import type { CandleDays } from '../candles/candle_days.ts'
import type { CandleTable } from '../candles/intervals.ts'
import { inScratchFolder } from '../database/scratch.ts'
import type { Trouble } from '../database/worker.ts'
import { compileCacheOf } from '../job/compile_cache.ts'
import { startExaminer } from './examiner.ts'
import { takeView } from './view.ts'

type Request = {
  database: string
  /** Our own folder: a copy of the database is made there, where a reader would keep its writers out. */
  state: string
  table: CandleTable
  from: number
  to: number
  signal: AbortSignal
}

/** Counts the agent's candles by symbol and day, as the health check looks into its database; or says why it cannot. */
export function readCandleDays({
  database,
  state,
  signal,
  ...wanted
}: Request): Promise<CandleDays | { why: string }> {
  return inScratchFolder(join(state, 'scratch'), async folder => {
    const examiner = startExaminer(signal, compileCacheOf(state))
    try {
      const view = await takeView(database, folder, examiner)
      if ('trouble' in view) return { why: whyOf(view.trouble) }
      const { findings, trouble } = await examiner.ask({ task: 'days', file: view.file, ...wanted })
      signal.throwIfAborted()
      return findings.days ?? { why: whyOf(trouble) }
    } finally {
      await examiner.end()
    }
  })
}

function whyOf(trouble: Trouble | undefined): string {
  if (trouble === undefined) return 'the database could not be looked into'
  return 'damaged' in trouble ? trouble.damaged : trouble.unknown
}

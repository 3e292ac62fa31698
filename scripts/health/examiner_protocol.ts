import type { CandleDays } from '../candles/candle_days.ts'
import type { BrokenSeal, CandleFacts, SealsOfSymbol } from '../candles/inspect.ts'
import type { CandleTable } from '../candles/intervals.ts'
import type { SealedCopy } from '../database/sealed_copy.ts'
import type { WorkerAnswer } from '../database/worker.ts'

// What the health check and the process that looks into the database say to each other.

export type ExaminerRequest =
  | { task: 'copy'; file: string; target: string }
  | { task: 'structure'; file: string; quick: boolean }
  | {
      task: 'contents'
      file: string
      table: CandleTable
      /** Open time of the newest candle that can have closed. */
      lastClosed: number
      /** Those to compare in this run. */
      seals: SealsOfSymbol[]
    }
  | { task: 'days'; file: string; table: CandleTable; from: number; to: number }

/** Bytes of a database, of its pages in use, and of its free ones. */
export type SizeFacts = { file: number; used: number; free: number }

/** What SQLite's own check said; no problems: ok. */
export type StructureFacts = { problems: string[]; foreignKeys: { table: string; count: number }[] }

/** What was found before an error ended it, if one did. */
export type Findings = WorkerAnswer & {
  copy?: SealedCopy
  size?: SizeFacts
  candles?: CandleFacts
  broken?: BrokenSeal[]
  structure?: StructureFacts
  days?: CandleDays
}

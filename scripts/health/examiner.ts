import { join } from 'node:path'
import { startWorker, type Worker } from '../database/worker.ts'
import type { ExaminerRequest, Findings } from './examiner_protocol.ts'

/** A process that looks into a database. */
export type Examiner = Worker<ExaminerRequest, Findings>

/** Starts an examiner. It is killed when `signal` is aborted. `compileCache`: where its compiled code is kept. */
export function startExaminer(signal: AbortSignal, compileCache?: string): Examiner {
  return startWorker({ program: join(import.meta.dirname, 'examiner.mts'), signal, compileCache })
}

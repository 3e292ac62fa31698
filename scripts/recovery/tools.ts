import type { BackupRecords } from '../backup/records.ts'
import type { Context } from '../backup/tier.ts'
import type { Tiers } from '../backup/tiers.ts'
import type { SealsOfSymbol } from '../candles/inspect.ts'
import type { Answered, Worker } from '../database/worker.ts'
import { startWorker } from '../database/worker.ts'
import type { Config } from '../job/config.ts'
import type { Log } from '../job/log.ts'
import type { MenderAnswer, MenderRequest } from './mender_protocol.ts'

export type Mender = Worker<MenderRequest, MenderAnswer>

/** What a recovery works with. */
export type RecoveryTools = {
  config: Config
  /** The file that paths.database leads to. */
  database: string
  tiers: Tiers
  records: BackupRecords
  mender: Mender
  /** The seals of all candles. */
  seals: () => SealsOfSymbol[]
  /** A folder of this run's own, made when it is needed. */
  scratch: string
  now: () => number
  /** When the run began. */
  startedAt: number
  log: Log
  /** Says a line to people while it works. */
  say: (line: string) => void
  /** The key of encrypted backups, where it is here. */
  identity: string | undefined
  context: Context
  /** Aborted when the process is asked to stop, unlike a time limit of a single step. */
  wait: (ms: number) => Promise<void>
}

/** Asks the mender; throws where the run is to stop. */
export async function askMender(
  { mender, context }: Pick<RecoveryTools, 'mender' | 'context'>,
  request: MenderRequest,
): Promise<Answered<MenderAnswer>> {
  const answer = await mender.ask(request)
  context.signal.throwIfAborted()
  return answer
}

/** Started when it is first asked; one that died, as damage can make it, is followed by another. */
export function lazyMender(program: string, signal: AbortSignal, compileCache: string): Mender {
  let worker: Mender | undefined
  return {
    async ask(request): Promise<Answered<MenderAnswer>> {
      worker ??= startWorker<MenderRequest, MenderAnswer>({ program, signal, compileCache })
      const answer = await worker.ask(request)
      if (answer.died) worker = undefined
      return answer
    },
    end: async () => worker?.end(),
  }
}

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LedgerReport } from './ledger_agent.mts'

/** Runs `work` while another process writes a ledger to `file`; `report` says what it has committed so far. */
export async function besideLedger<T>(
  file: string,
  transactionsASecond: number,
  work: (report: () => Promise<LedgerReport>) => Promise<T>,
): Promise<T> {
  const program = join(import.meta.dirname, 'ledger_agent.mts')
  const child = spawn(process.execPath, [program, file, String(transactionsASecond)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const report = async () => {
    child.stdin.write('\n')
    const { value, done } = await answers.next()
    if (done === true)
      throw new Error(`the agent has died: ${child.signalCode ?? child.exitCode ?? 'it says no more'}`)
    return JSON.parse(value) as LedgerReport
  }
  try {
    await report()
    return await work(report)
  } finally {
    child.kill('SIGKILL')
  }
}

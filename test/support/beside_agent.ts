import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { BusyAgentReport } from './busy_agent.mts'

/** Runs `work` while another process writes to `file`, and gives that one's report. */
export async function besideAgent(
  file: string,
  writesASecond: number,
  work: () => Promise<void>,
): Promise<BusyAgentReport> {
  const program = join(import.meta.dirname, 'busy_agent.mts')
  const child = spawn(process.execPath, [program, file, String(writesASecond)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    await once(child.stdout, 'data')
    await work()
    child.stdin.end()
    return JSON.parse(await text(child.stdout)) as BusyAgentReport
  } finally {
    child.kill('SIGKILL')
  }
}

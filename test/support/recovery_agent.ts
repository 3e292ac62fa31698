import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

/** A process that has a database open. */
export type OpenAgent = {
  pid: number
  /** Rows of one statement, or the error that it met. */
  run: (sql: string) => Promise<{ rows?: unknown[]; error?: string }>
  /** Ends it in an orderly way. */
  close: () => Promise<void>
  /** As kill -9 does: what is in the log stays there. */
  kill: () => Promise<void>
}

/** Starts one; it goes with the test. */
export async function startAgent(test: Test, file: string): Promise<OpenAgent> {
  const program = join(import.meta.dirname, 'open_agent.mts')
  const child = spawn(process.execPath, [program, file], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  test.teardown(kill)
  const run: OpenAgent['run'] = async sql => {
    child.stdin.write(`${sql}\n`)
    const { value, done } = await answers.next()
    if (done === true) throw new Error('the agent has ended')
    return JSON.parse(value) as { rows?: unknown[]; error?: string }
  }
  // by its first read it holds what it holds
  await run('SELECT count(*) FROM marks')
  return {
    pid: child.pid ?? 0,
    run,
    async close() {
      child.stdin.end()
      await ended
    },
    kill,
  }
}

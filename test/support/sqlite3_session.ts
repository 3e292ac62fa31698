import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

/** Debian's sqlite3 with a connection that stays open, as the trading agent's does. */
export type Session = {
  /** Runs statements and gives what they print. */
  run: (sql: string) => Promise<string[]>
  /** Ends it in an orderly way: as the last connection it empties and removes the log. */
  close: () => Promise<void>
  /** As kill -9 does. */
  kill: () => Promise<void>
}

const mark = 'and that was all'

export function startSession(test: Test, file: string): Session {
  // a pipe makes its output wait in a buffer otherwise
  const child = spawn('stdbuf', ['-oL', 'sqlite3', '-batch', '-bail', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ended = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  test.teardown(kill)
  return {
    async run(sql) {
      child.stdin.write(`${sql};\n.print ${mark}\n`)
      const printed: string[] = []
      for (;;) {
        const line = await lines.next()
        if (line.done === true) throw new Error(`sqlite3 has ended: ${sql}`)
        if (line.value === mark) return printed
        printed.push(line.value)
      }
    },
    async close() {
      child.stdin.end()
      await ended
    },
    kill,
  }
}

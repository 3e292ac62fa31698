import { Worker } from 'node:worker_threads'

const lookEveryMs = 100

const program = `
  const { workerData: { parent, every } } = require('node:worker_threads')
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
  }, every)`

/**
 * Ends this process when its parent has died, whatever it is at: SQLite does not let go of it for as long as it works
 * or waits for a lock, and the next run has begun by then. By a thread of its own, as only that goes on meanwhile.
 */
export function endWithParent(): void {
  // told by the parent itself, which may have died before this process could look
  const workerData = { parent: Number(process.argv[2] ?? process.ppid), every: lookEveryMs }
  new Worker(program, { eval: true, workerData }).unref()
}

import { existsSync, readFileSync } from 'node:fs'

/** What befalls a system call, in each process and thread of its own. */
export type Injection = {
  call: string
  /** `error=EIO`, `signal=SIGKILL` */
  effect: string
  /** `3`: the third call, `3+`: that and all after it. */
  when: string
  /** Only calls about these files count; `PID` in them stands for the process. */
  files?: string[] | undefined
}

/**
 * Runs Node with one system call failing (strace's fault injection). Strace stands aside (-D): the process that is
 * started is Node's own, with its exit status. The log says what was struck.
 */
export function failing({ call, effect, when, files = [] }: Injection, log: string): string[] {
  const only = files.map(file => `-P "${file.replaceAll('PID', '$$')}"`).join(' ')
  return traced(`-e trace=${call} -e inject=${call}:${effect}:when=${when} ${only}`, log)
}

/** Runs Node with some system calls written to the log. */
export function watched(calls: string[], log: string): string[] {
  return traced(`-e trace=${calls.join()}`, log)
}

function traced(options: string, log: string): string[] {
  // the calls of a whole thread pool would come in another order each time
  const line = `UV_THREADPOOL_SIZE=1 exec strace -D -q -f -y -s 4096 -o '${log}' ${options} "$@"`
  return ['sh', '-c', line, 'sh', process.execPath]
}

/** What was struck: calls that failed, or processes that were killed. */
export function struckIn(log: string): string[] {
  return linesOf(log).filter(line => / \(INJECTED\)| killed by SIGKILL /.test(line))
}

/** How many calls of a kind one thread made at most; of those whose line matches. */
export function mostCalls(log: string, call: string, matching: RegExp): number {
  const counts = new Map<string, number>()
  for (const line of linesOf(log)) {
    const [, thread = '', name = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (name === call && matching.test(line)) counts.set(thread, (counts.get(thread) ?? 0) + 1)
  }
  return Math.max(0, ...counts.values())
}

export function linesOf(log: string): string[] {
  return existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []
}

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Why a database could not be worked on: it is damaged, or something else was in the way. */
export type Trouble = { damaged: string } | { unknown: string }

/** What a worker tells: what it found before an error ended it, if one did. */
export type WorkerAnswer = { error?: { code: string; message: string } }

/** What a worker told, and what stopped it before it had told everything. `died`: it is gone, and answers no more. */
export type Answered<A> = { findings: A; trouble: Trouble | undefined; died?: boolean }

/** A process that works on a database, so that whatever damage does to it, the command itself goes on. */
export type Worker<Q, A> = {
  /** One question after the other. Never throws: a worker that died is trouble of its own. */
  ask(request: Q): Promise<Answered<A>>
  /** Resolves when the process is gone: what it has open or still writes is then done with. Never throws. */
  end(): Promise<void>
}

type WorkerOptions = {
  /** The worker's program: reads requests from standard input and answers on standard output, a line of JSON each. */
  program: string
  /** It is killed when this is aborted. */
  signal: AbortSignal
  /** Where its compiled code is kept. */
  compileCache?: string | undefined
}

export function startWorker<Q, A extends WorkerAnswer>(options: WorkerOptions): Worker<Q, A> {
  const { program, signal, compileCache } = options
  const child = spawn(process.execPath, [program, String(process.pid)], {
    env: { ...process.env, ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache }) },
    stdio: ['pipe', 'pipe', 'ignore'],
    signal,
    killSignal: 'SIGKILL',
  })
  // one that has died does not read what it is asked
  child.stdin.on('error', () => undefined)
  const died = new Promise<string>(resolve => {
    child.on('error', error => resolve(error.message))
    child.on('exit', (code, name) => resolve(name ?? `status ${code}`))
  })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const answer = await answers.next()
      if (answer.done === true)
        return { findings: {} as A, trouble: troubleOfDeath(await died, signal), died: true }
      const findings = JSON.parse(answer.value) as A
      return { findings, trouble: findings.error === undefined ? undefined : troubleOf(findings.error) }
    },
    async end() {
      child.stdin.end()
      await died
    },
  }
}

function troubleOfDeath(end: string, signal: AbortSignal): Trouble {
  if (signal.aborted) return { unknown: 'looking into the database took too long' }
  const line = `looking into the database ended with ${end}`
  return ['SIGSEGV', 'SIGBUS'].includes(end) ? { damaged: line } : { unknown: line }
}

/** What says nothing of the database itself. */
const inTheWay: [code: string, what: string][] = [
  ['SQLITE_BUSY', 'the database is held by another process'],
  ['SQLITE_LOCKED', 'the database is held by another process'],
  ['SQLITE_CANTOPEN', 'the database cannot be opened'],
  ['SQLITE_PERM', 'the database may not be read'],
  ['SQLITE_READONLY', 'the database cannot be read without writing to it'],
  ['SQLITE_NOMEM', 'there was not enough memory to look into the database'],
  // of a copy: a database that is only read is not written
  ['SQLITE_FULL', 'the disk is full'],
  ['SQLITE_IOERR_WRITE', 'the disk cannot be written'],
  ['SQLITE_IOERR_FSYNC', 'the disk cannot be written'],
  ['SQLITE_IOERR_DIR_FSYNC', 'the disk cannot be written'],
  ['SQLITE_IOERR_TRUNCATE', 'the disk cannot be written'],
  ['SQLITE_IOERR_DELETE', 'the disk cannot be written'],
]

function troubleOf({ code, message }: { code: string; message: string }): Trouble {
  const way = inTheWay.find(([prefix]) => code.startsWith(prefix))
  if (way !== undefined) return { unknown: `${way[1]} (${code})` }
  // CORRUPT, NOTADB, IOERR; ERROR where a table is no longer what it was
  if (code.startsWith('SQLITE_')) return { damaged: `the database cannot be read: ${message} (${code})` }
  return { unknown: `the database could not be looked into: ${message}` }
}

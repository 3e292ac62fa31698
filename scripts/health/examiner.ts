import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ExaminerRequest, Findings } from './examiner_protocol.ts'

/** Why the database could not be looked at: it is damaged, or something else was in the way. */
export type Trouble = { damaged: string } | { unknown: string }

/** What an examiner told, and what stopped it before it had told everything. */
export type Examined = { findings: Findings; trouble: Trouble | undefined }

/** A process that looks into a database. */
export type Examiner = {
  /** One question after the other. Never throws: an examiner that died is trouble of its own. */
  ask(request: ExaminerRequest): Promise<Examined>
  end(): void
}

/** Starts an examiner. It is killed when `signal` is aborted. `compileCache`: where its compiled code is kept. */
export function startExaminer(signal: AbortSignal, compileCache?: string): Examiner {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'examiner.mts')], {
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
      if (answer.done === true) return { findings: {}, trouble: troubleOfDeath(await died, signal) }
      const findings = JSON.parse(answer.value) as Findings
      return { findings, trouble: findings.error === undefined ? undefined : troubleOf(findings.error) }
    },
    end: () => child.stdin.end(),
  }
}

function troubleOfDeath(end: string, signal: AbortSignal): Trouble {
  if (signal.aborted) return { unknown: 'looking into the database took too long' }
  const line = `looking into the database ended with ${end}`
  return ['SIGSEGV', 'SIGBUS', 'SIGABRT'].includes(end) ? { damaged: line } : { unknown: line }
}

/** What says nothing of the database itself. */
const inTheWay: [code: string, what: string][] = [
  ['SQLITE_BUSY', 'the database is held by another process'],
  ['SQLITE_LOCKED', 'the database is held by another process'],
  ['SQLITE_CANTOPEN', 'the database cannot be opened'],
  ['SQLITE_PERM', 'the database may not be read'],
  ['SQLITE_READONLY', 'the database cannot be read without writing to it'],
  ['SQLITE_NOMEM', 'there was not enough memory to look into the database'],
]

function troubleOf({ code, message }: { code: string; message: string }): Trouble {
  const way = inTheWay.find(([prefix]) => code.startsWith(prefix))
  if (way !== undefined) return { unknown: `${way[1]} (${code})` }
  // CORRUPT, NOTADB, IOERR; ERROR where a table is no longer what it was
  if (code.startsWith('SQLITE_')) return { damaged: `the database cannot be read: ${message} (${code})` }
  return { unknown: `the database could not be looked into: ${message}` }
}

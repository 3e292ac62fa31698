import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { pipeline } from 'node:stream/promises'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import type { Address } from './address.ts'
import { asRoot, hostLoop } from './host_loop.ts'
import { quote } from './quote.ts'
import { Replies } from './replies.ts'
import { troubleOfConnection } from './ssh_errors.ts'

/** Something for a host to do. */
export type Request = {
  /** For sh, as root. Never with a secret in it: it can be seen in the host's list of processes. */
  script: string
  /** Standard input of the script: text, or a file of this machine. */
  input?: string | { file: string; bytes: number }
  /** It is killed after that. */
  seconds?: number
  signal: AbortSignal
  /** How many bytes of the input were sent since it was called last. */
  sent?: (bytes: number) => void
}

/** What the script printed, on both streams, and its exit status. 124 and 137: it took too long. */
export type Reply = { status: number; output: string }

/** A connection to a host. One request after the other. */
export type Channel = {
  ask(request: Request): Promise<Reply>
  /** Ends it; the host's lock is free once this is resolved. */
  close(): Promise<void>
}

export type ChannelOptions = {
  /** undefined: this machine itself, as the user who runs this. */
  address: Address | undefined
  /** Path of the lock on the host; undefined: none is taken. */
  lock: string | undefined
  acceptNew?: boolean
  /** In place of the user's own configuration of ssh. */
  sshConfig?: string | undefined
  signal: AbortSignal
}

/** The host gives up after so many seconds of silence; it hears from us far more often. */
const silence = 60
const pingEvery = 15_000
/** Above the limit that the host keeps by itself. */
const grace = 20_000

/**
 * Connects: one ssh process that stays for the whole run. Throws Unreachable, or a UserError with exit status 75 where
 * another installer is at work.
 */
export async function openChannel(options: ChannelOptions): Promise<Channel> {
  const { address, lock, signal } = options
  signal.throwIfAborted()
  const token = randomBytes(9).toString('hex')
  const holder = quote(`${userInfo().username}@${hostname()}, pid ${process.pid}, since ${nowText()}`)
  const loop = hostLoop({ token, lock: lock === undefined ? undefined : quote(lock), holder, silence })
  const child = start(options, loop)
  const errors = keepErrors(child)
  const replies = new Replies(child, token)
  const stop = () => void child.kill('SIGKILL')
  signal.addEventListener('abort', stop)
  const gone = new Promise<void>(resolve => child.on('close', () => resolve()))
  const lost = async () => {
    await gone
    signal.throwIfAborted()
    return troubleOfConnection(errors(), address)
  }

  const greeting = await withLimit(replies.line(), 60_000, stop)
  if (greeting === undefined) throw await lost()
  if (greeting.startsWith('locked')) {
    await gone
    throw lockedBy(greeting.slice('locked '.length).trim())
  }

  let turn: Promise<unknown> = Promise.resolve()
  const send = async (request: Request): Promise<Reply> => {
    request.signal.throwIfAborted()
    const { script, input = '', seconds = 60 } = request
    const code = Buffer.from(script)
    const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.bytes
    child.stdin?.write(`${code.length} ${bytes} ${seconds}\n`)
    child.stdin?.write(code)
    const answer = replies.answer()
    // what cannot be sent shows in the answer that does not come
    void sendInput(child, request).catch(stop)
    const reply = await withLimit(answer, seconds * 1000 + grace + bytes / 50, stop)
    if (reply === undefined) throw await lost()
    return reply
  }
  const ask = (request: Request) => {
    const reply = turn.then(() => send(request))
    turn = reply.catch(() => undefined)
    return reply
  }
  const ping = setInterval(() => void ask({ script: ':', signal }).catch(() => undefined), pingEvery)
  ping.unref()
  return {
    ask,
    async close() {
      clearInterval(ping)
      signal.removeEventListener('abort', stop)
      child.stdin?.end()
      await withLimit(gone, 5000, stop)
    },
  }
}

function start({ address, acceptNew = false, sshConfig }: ChannelOptions, loop: string): ChildProcess {
  if (address === undefined) return spawn('sh', ['-c', loop], { stdio: ['pipe', 'pipe', 'pipe'] })
  const { user, host, port } = address
  const settings = {
    BatchMode: 'yes',
    ConnectTimeout: '10',
    // a link that is cut is noticed within 15 s
    ServerAliveInterval: '5',
    ServerAliveCountMax: '3',
    // with less, ssh does not say why it gave up
    LogLevel: 'INFO',
    StrictHostKeyChecking: acceptNew ? 'accept-new' : 'yes',
    ForwardAgent: 'no',
    ClearAllForwardings: 'yes',
  }
  const args = [
    '-T',
    ...(sshConfig === undefined ? [] : ['-F', sshConfig]),
    ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    '--',
    host,
    asRoot(loop),
  ]
  return spawn('ssh', args, { stdio: ['pipe', 'pipe', 'pipe'] })
}

async function sendInput(child: ChildProcess, { input, sent }: Request): Promise<void> {
  if (child.stdin === null || input === undefined || input === '') return
  if (typeof input === 'string') {
    child.stdin.write(input)
    return
  }
  const { stdin } = child
  await pipeline(
    createReadStream(input.file, { highWaterMark: 1 << 18 }),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        yield chunk
        sent?.(chunk.length)
      }
    },
    stdin,
    { end: false },
  )
}

/** What ssh says of itself, for the message. */
function keepErrors(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(-8192)))
  child.stdin?.on('error', () => undefined)
  child.on('error', error => (text += error.message))
  return () => text.trim()
}

/** `undefined` where it takes longer; then `stop` is called. */
async function withLimit<T>(promise: Promise<T>, ms: number, stop: () => void): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => {
      stop()
      resolve(undefined)
    }, ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function lockedBy(holder: string): UserError {
  return new UserError(`another installer is at work on it: ${holder || 'it has only just started'}`, {
    hint: `Wait for it to end. Where its connection was lost, the lock is free within ${silence} seconds.`,
    status: exitStatus.locked,
  })
}

const nowText = () => `${new Date().toISOString().slice(0, 19).replace('T', ' ')} UTC`

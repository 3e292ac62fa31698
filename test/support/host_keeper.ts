import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { hiddenFolders, hiddenPaths } from './host_view.ts'

const script = fileURLToPath(new URL('host.sh', import.meta.url))
const namespaces = ['--mount', '--net', '--ipc']

export type KeeperOptions = { folder: string; name: string; sizeMb: number; faketime: string }

/** The process that holds the disk and the network of a host, whether that is on or off. It dies with this one. */
export class Keeper {
  readonly #child: ChildProcess
  readonly #output: Socket
  readonly #lines: AsyncIterator<string>
  readonly #log: string

  constructor({ folder, name, sizeMb, faketime }: KeeperOptions) {
    this.#log = join(folder, 'log')
    const log = openSync(this.#log, 'a')
    const command = ['unshare', ...namespaces, 'sh', script, 'keep', folder, name, `${sizeMb}`]
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
      stdio: ['pipe', 'pipe', log],
      env: {
        ...process.env,
        LC_ALL: 'C',
        HIDE_PATHS: hiddenPaths().join(' '),
        HIDE_FOLDERS: [...hiddenFolders].join(' '),
        FAKETIME_LIBRARY: faketime,
      },
    })
    closeSync(log)
    const { stdin, stdout } = this.#child
    this.#output = stdout as Socket
    this.#lines = createInterface(this.#output)[Symbol.asyncIterator]()
    // a host does not keep a test from ending
    for (const each of [this.#child, stdin as Socket, this.#output]) each.unref()
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Waits until the disk is there. */
  async ready(): Promise<void> {
    await this.#says(/^ready$/)
  }

  /** Starts the host, with cron at this time; gives the process whose namespaces are the host's. */
  async boot(time: string): Promise<number> {
    this.#child.stdin?.write(`${time}\n`)
    return Number((await this.#says(/^booted (\d+)$/))[1])
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #says(wanted: RegExp): Promise<RegExpExecArray> {
    this.#output.ref()
    const { value } = await this.#lines.next()
    this.#output.unref()
    const match = wanted.exec(value ?? '')
    if (match) return match
    const log = existsSync(this.#log) ? readFileSync(this.#log, 'utf8') : ''
    throw new Error(`The host does not start: ${value ?? ''}${log}`)
  }
}

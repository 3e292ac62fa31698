import type { ChildProcess } from 'node:child_process'
import type { Reply } from './channel.ts'

/**
 * What a host answers, read from its standard output. Whatever comes before the greeting (the login shell's own words) is
 * passed over. Everything resolves to undefined once the connection is gone.
 */
export class Replies {
  #buffer = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => undefined
  readonly #token: string

  constructor(child: ChildProcess, token: string) {
    this.#token = `${token} `
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      this.#wake()
    })
    child.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** The next line that begins with the token, without it. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const end = this.#buffer.indexOf('\n')
      if (end < 0) {
        if (!(await this.#more())) return undefined
        continue
      }
      const text = this.#buffer.subarray(0, end).toString()
      this.#buffer = this.#buffer.subarray(end + 1)
      const at = text.indexOf(this.#token)
      if (at >= 0) return text.slice(at + this.#token.length)
    }
  }

  async answer(): Promise<Reply | undefined> {
    const line = await this.line()
    if (line === undefined) return undefined
    const [status, bytes] = line.split(' ').map(Number) as [number, number]
    while (this.#buffer.length < bytes) if (!(await this.#more())) return undefined
    const output = this.#buffer.subarray(0, bytes).toString()
    this.#buffer = this.#buffer.subarray(bytes)
    return { status, output }
  }

  /** Waits for more to be read; false: there will be none. */
  async #more(): Promise<boolean> {
    if (this.#ended) return false
    await new Promise<void>(resolve => (this.#wake = resolve))
    return !this.#ended || this.#buffer.length > 0
  }
}

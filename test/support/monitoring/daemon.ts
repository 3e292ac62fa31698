import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'

export type Daemon = {
  /** Such as `http://127.0.0.1:40123`. */
  url: string
  /** Its last complaints. */
  complaints: () => string
  /** Ends it as a power cut does. */
  kill: () => Promise<void>
}

const patienceMs = 30_000

/**
 * Starts a program that listens at `listen`, and waits until it answers at `path`. It goes with the test, and the kernel
 * ends it where the test's own process is killed.
 */
export async function startDaemon(
  test: Test,
  program: string,
  args: string[],
  { listen, path, env = {} }: { listen: string; path: string; env?: Record<string, string> },
): Promise<Daemon> {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    // a dozen of them share the machine with what they look at
    env: { ...process.env, GOMAXPROCS: '1', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-20_000)))
  const closed = once(child, 'close')
  const kill = async () => {
    child.kill('SIGKILL')
    await closed
  }
  test.teardown(kill)
  const url = `http://${listen}`
  const end = Date.now() + patienceMs
  while (!(await answers(`${url}${path}`))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > end)
      throw new Error(`${program} does not answer at ${url}${path}: ${said}`)
    await delay(50)
  }
  return {
    url,
    kill,
    complaints() {
      const lines = said.split('\n').filter(line => /level=(warn|error)/.test(line))
      return lines.join('\n')
    },
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** Addresses of this machine that nobody listens at, each another one. */
export async function freeAddresses(count: number): Promise<string[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere))
  const addresses = servers.map(server => {
    const address = server.address()
    return `127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  })
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return addresses
}

async function listenAnywhere(): Promise<Server> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}

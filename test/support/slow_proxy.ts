import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Where a TCP service is. */
type Place = { host: string; port: number }

/**
 * Listens on loopback, and passes everything on to `target` so many milliseconds later, each way: a long link, for where
 * the kernel cannot make one of its own (netem). Nothing is lost or put in another order, and no bandwidth is taken
 * away. Gives the port; it goes with the test.
 */
export async function slowProxy(test: Test, target: Place, oneWayMs: number): Promise<number> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, near => {
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true })
    for (const end of [near, far]) {
      open.add(end)
      const gone = () => {
        for (const each of [near, far]) each.destroy()
      }
      end.on('error', gone).on('close', () => open.delete(end))
    }
    // the handshake takes a round trip too, before which nobody has anything to send
    setTimeout(() => {
      passOn(near, far, oneWayMs)
      passOn(far, near, oneWayMs)
    }, 2 * oneWayMs)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  test.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return (server.address() as { port: number }).port
}

/** Timers of the same length end in the order in which they were started. */
function passOn(from: Socket, to: Socket, ms: number): void {
  from.on('data', chunk => {
    setTimeout(() => {
      if (to.destroyed || to.write(chunk) || from.isPaused()) return
      from.pause()
      to.once('drain', () => from.resume())
    }, ms)
  })
  from.on('end', () => setTimeout(() => to.end(), ms))
  from.resume()
}

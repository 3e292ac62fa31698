import http from 'node:http'
import https from 'node:https'

/** An HTTP answer, read to its end. Header names are in lower case. */
export type Answer = { status: number; headers: ReadonlyMap<string, string>; body: string }

export type HttpClient = {
  /** Gets `url`; throws what the connection failed of, or the signal's reason when that is aborted. */
  get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer>
  close(): void
}

/**
 * Plain GETs over connections that are kept open. Node's own `http`, not `fetch`: its errors carry their code, and it
 * takes 5 MB less.
 */
export function openHttp(): HttpClient {
  const agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) }

  function get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const secure = url.startsWith('https:')
    return new Promise((resolve, reject) => {
      // an abort reaches the socket as a plain AbortError: what it was aborted for says more
      const fail = (error: Error) => reject(signal.aborted ? signal.reason : error)
      const receive = (response: http.IncomingMessage) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', fail)
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString('utf8')
          resolve({ status: response.statusCode ?? 0, headers: headerMap(response), body })
        })
      }
      const agent = secure ? agents.https : agents.http
      const request = secure ? https.request : http.request
      request(url, { agent, headers, signal }, receive).on('error', fail).end()
    })
  }
  return {
    get,
    close() {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

function headerMap({ headers }: http.IncomingMessage): ReadonlyMap<string, string> {
  return new Map(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}

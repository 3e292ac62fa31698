import type { S3 } from '@aws-sdk/client-s3'
import { second } from '../job/time.ts'
import type { Cold } from './s3_policy.ts'

/** How long a service is waited for, and how often it is asked. */
export type Patience = {
  connectMs: number
  /** Nothing comes and nothing goes for so long: a stalled service, however large the object. */
  idleMs: number
  attempts: number
}

export const usualPatience: Patience = { connectMs: 10 * second, idleMs: 60 * second, attempts: 4 }

/** An S3 client; `now` is the service's own time, as of its last answer, to the second. */
export type Connection = { s3: S3; now: () => number }

/** The SDK is loaded only here: it takes a fifth of a second and 25 MB. */
export async function connect(cold: Cold, { connectMs, idleMs, attempts }: Patience): Promise<Connection> {
  const { S3 } = await import('@aws-sdk/client-s3')
  const s3 = new S3({
    region: cold.region,
    ...(cold.endpoint === null ? {} : { endpoint: cold.endpoint }),
    forcePathStyle: cold.path_style,
    requestChecksumCalculation: cold.checksums === 'when_supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    // All that is read is compared with a SHA-256 of our own. The SDK's check of answers, on top of that, would tell a
    // damaged object from a cut connection only by the text of its error.
    responseChecksumValidation: 'WHEN_REQUIRED',
    retryMode: 'standard',
    maxAttempts: attempts,
    requestHandler: { connectionTimeout: connectMs, socketTimeout: idleMs },
  })
  let ahead = 0
  s3.middlewareStack.add(
    next => async args => {
      const answer = await next(args)
      const { headers = {} } = answer.response as { headers?: Record<string, string> }
      const told = Date.parse(headers['date'] ?? '')
      if (!Number.isNaN(told)) ahead = told - Date.now()
      return answer
    },
    { step: 'deserialize', name: 'candlekeepServiceTime', priority: 'low' },
  )
  s3.middlewareStack.add(
    (next, { commandName }) =>
      async args => {
        try {
          return await next(args)
        } catch (error) {
          throw named(error, commandName)
        }
      },
    { step: 'initialize', name: 'candlekeepOperation', priority: 'high' },
  )
  return { s3, now: () => Date.now() + ahead }
}

/** Says which request an error is of: what it has to be allowed to do depends on that. */
function named(error: unknown, commandName: string | undefined): unknown {
  if (error instanceof Error) Object.assign(error, { operation: commandName?.replace(/Command$/, '') ?? '' })
  return error
}

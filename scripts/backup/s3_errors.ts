import { codeOf, messageOf, UserError } from '../job/errors.ts'
import { formatDuration, minute } from '../job/time.ts'
import { command } from '../job/words.ts'
import { actionsFor, type Cold } from './s3_policy.ts'

/** What is known of an error that a request to S3 ended with. */
type S3Problem = Error & {
  /** The request: `PutObject`. */
  operation: string
  /** Whose fault it is: of answers only that S3 itself has given, and that have come in full. */
  $fault?: 'client' | 'server'
  $metadata?: { httpStatusCode?: number }
  $response?: { headers?: Record<string, string> }
  /** Of some answers about the region. */
  Region?: string
}

type Told = { what: string; hint: string }

/** Whether an error is the answer of a service, or the lack of one; what else it can be is not for S3 to explain. */
function isOfS3(error: unknown): error is S3Problem {
  return error instanceof Error && 'operation' in error
}

/** Whether an error is an answer of one of these codes of S3. */
export function isAnswer(error: unknown, ...codes: string[]): boolean {
  return isOfS3(error) && codes.includes(error.name)
}

/** There is nothing of that name; a HEAD cannot say what it is that is not there. */
export function isNotThere(error: unknown): boolean {
  return isAnswer(error, 'NoSuchKey', 'NotFound')
}

export function isAlreadyThere(error: unknown): boolean {
  return isOfS3(error) && statusOf(error) === 412
}

/** Somebody else writes the same at this moment: it is to be tried again from its beginning. */
export function isConflict(error: unknown): boolean {
  return isOfS3(error) && statusOf(error) === 409
}

/** Whether a request may have been carried out although it ended with an error: the answer was lost, or came late. */
export function mayBeDone(error: unknown): boolean {
  if (!isOfS3(error)) return false
  const status = statusOf(error)
  // an upload that is no longer there has perhaps been completed by the try whose answer was lost
  const isOpen = status === undefined || status >= 500 || status === 412 || status === 409
  return isOpen || error.name === 'NoSuchUpload'
}

/** Undefined where there is no whole answer of S3. */
function statusOf({ $fault, $metadata }: S3Problem): number | undefined {
  return $fault === undefined ? undefined : $metadata?.httpStatusCode
}

/** Makes of an error of S3 one that says what to do; any other stays as it is. */
export function explain(error: unknown, cold: Cold): unknown {
  if (!isOfS3(error)) return error
  const { what, hint } = tell(error, cold)
  return new UserError(`${place(cold)}: ${what}`, { hint, cause: error })
}

/** `s3://BUCKET/PREFIX`. */
export function place({ bucket, prefix }: Pick<Cold, 'bucket' | 'prefix'>): string {
  return `s3://${bucket}/${prefix}`
}

function tell(error: S3Problem, cold: Cold): Told {
  return (
    ofAccess(error, cold) ??
    ofPlace(error, cold) ??
    ofAbility(error) ??
    ofConnection(error, cold) ?? {
      what: `${error.operation} failed: ${error.name}: ${messageOf(error)}`,
      hint: `${selfTest} tries what the service can do.`,
    }
  )
}

const selfTest = command('backup', '--self-test')
const keys = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'

function ofAccess(error: S3Problem, cold: Cold): Told | undefined {
  switch (error.name) {
    case 'CredentialsProviderError':
    case 'TokenProviderError':
      return {
        what: 'there are no credentials for it',
        hint: `Set ${keys} (or AWS_PROFILE) where this job runs, or give the machine a role.`,
      }
    case 'InvalidAccessKeyId':
      return {
        what: 'the service does not know the access key',
        hint: `Check AWS_ACCESS_KEY_ID, and that it belongs to ${cold.endpoint ?? 'AWS'} (backup.cold.endpoint).`,
      }
    case 'SignatureDoesNotMatch':
      return {
        what: 'the secret key is not that of the access key',
        hint: `Check ${keys}: a blank too many is enough.`,
      }
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return { what: 'the credentials have expired', hint: `Renew them: ${keys}, AWS_SESSION_TOKEN.` }
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
      return {
        what: `the clock of this machine is wrong${clockError(error)}`,
        hint: 'Set it, and keep it right by NTP: timedatectl set-ntp true',
      }
    default:
      return statusOf(error) === 403 ? denied(error, cold) : undefined
  }
}

function denied({ operation }: S3Problem, cold: Cold): Told {
  const needed = actionsFor(operation, cold).join(' and ') || operation
  return {
    what: `access is denied: ${operation} needs ${needed}`,
    hint: `${command('backup', '--policy')} prints the policy that the user or role has to have.`,
  }
}

/** By how much, where the answer has the service's own time. */
function clockError({ $response }: S3Problem): string {
  const told = Date.parse($response?.headers?.['date'] ?? '')
  const apart = Math.abs(told - Date.now())
  return apart > minute ? `: it is ${formatDuration(apart)} from that of the service` : ''
}

export const oneHostOnly =
  'Do two hosts have the same bucket and prefix? Set backup.cold.prefix to one of its own for each.'

const ofOtherRegion = [
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]

function ofPlace(error: S3Problem, { bucket, region }: Cold): Told | undefined {
  if (isConflict(error)) {
    return { what: 'others write the same objects at this moment', hint: oneHostOnly }
  }
  if (error.name === 'NoSuchBucket') {
    return {
      what: 'there is no such bucket',
      hint: `Make the bucket ${bucket}, or correct backup.cold.bucket.`,
    }
  }
  if (!ofOtherRegion.includes(error.name) && statusOf(error) !== 301) return undefined
  const right =
    error.Region ??
    error.$response?.headers?.['x-amz-bucket-region'] ??
    /expecting '([^']+)'/.exec(error.message)?.[1]
  return {
    what: `the bucket is not in ${region}`,
    hint: `Set backup.cold.region to ${right === undefined ? 'its region' : `"${right}"`}.`,
  }
}

/** What a service that is not AWS often cannot do, and what somebody has set for a bucket that cannot. */
function ofAbility(error: S3Problem): Told | undefined {
  const { name, operation, message } = error
  const about = `${message} ${'Header' in error ? String(error.Header) : ''}`
  if (statusOf(error) === 501 && ['PutObject', 'CompleteMultipartUpload'].includes(operation)) {
    const isOfChecksum = /checksum|trailer|streaming|aws-chunked|content-encoding/i.test(about)
    if (!isOfChecksum) {
      return {
        what: 'the service cannot write only what is not there yet (If-None-Match)',
        hint: 'Set backup.cold.conditional_writes to false.',
      }
    }
    return withoutChecksums('the service does not know the checksums')
  }
  if (name === 'InvalidStorageClass') {
    return {
      what: 'the service does not have the storage class',
      hint: 'Set backup.cold.storage_class to "STANDARD".',
    }
  }
  if (/object.?lock/i.test(about)) {
    return {
      what: `the bucket cannot lock objects: ${message}`,
      hint: 'Object Lock is chosen when a bucket is made: make another, or set backup.cold.object_lock to null.',
    }
  }
  const isDigest = ['BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch'].includes(name)
  if (isDigest || name === 'MalformedTrailerError' || (name === 'InvalidRequest' && /checksum/i.test(about)))
    return withoutChecksums(`the service does not take what was sent for what it should be (${name})`)
  return undefined
}

function withoutChecksums(what: string): Told {
  return {
    what,
    hint: `Where that does not go away: set backup.cold.checksums to "when_required". ${selfTest} tells.`,
  }
}

const brokenOff = ['ECONNRESET', 'EPIPE', 'ECONNABORTED']

function ofConnection(error: S3Problem, cold: Cold): Told | undefined {
  const code = codeOf(error) || codeOf(error.cause)
  const status = statusOf(error)
  if (isOfTls(code)) {
    return {
      what: `its certificate or its TLS is not right (${code})`,
      hint:
        code === 'ERR_TLS_CERT_ALTNAME_INVALID' && !cold.path_style
          ? 'Set backup.cold.path_style to true: the certificate is not for BUCKET.HOST.'
          : 'Check backup.cold.endpoint. NODE_EXTRA_CA_CERTS names a file with certificates of authorities of your own.',
    }
  }
  if (brokenOff.includes(code))
    return { what: `the connection broke off (${code})`, hint: 'The next run tries again.' }
  if (status === undefined && (code !== '' || error.name === 'TimeoutError')) {
    const style = code === 'ENOTFOUND' && !cold.path_style ? ' (or does it want backup.cold.path_style?)' : ''
    return {
      what: `it cannot be reached: ${code || 'no answer in time'}`,
      hint: `Check the network and backup.cold.${cold.endpoint === null ? 'region' : 'endpoint'}${style}.`,
    }
  }
  if (status !== undefined && ((status >= 500 && status !== 501) || status === 429))
    return { what: `the service is not well: ${status} ${error.name}`, hint: 'The next run tries again.' }
  if (status === undefined && error.$response !== undefined)
    return {
      what: 'what answers there does not speak the language of S3',
      hint: 'Check backup.cold.endpoint.',
    }
  return undefined
}

function isOfTls(code: string): boolean {
  return /^(ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/.test(code)
}

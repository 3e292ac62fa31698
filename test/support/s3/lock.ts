import type { IncomingHttpHeaders } from 'node:http'
import { S3Error } from './errors.ts'
import type { Bucket, Lock, StoredObject } from './store.ts'

/** Object Lock as asked for by the headers of a new object. */
export function lockOf(headers: IncomingHttpHeaders, bucket: Bucket, now: number): Lock | undefined {
  const mode = headers['x-amz-object-lock-mode']
  const until = headers['x-amz-object-lock-retain-until-date']
  if (mode === undefined && until === undefined) return undefined
  if (!bucket.objectLock) throw new S3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration')
  if (mode === undefined || until === undefined) {
    const names = 'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode'
    throw new S3Error('InvalidArgument', `${names} must both be supplied`)
  }
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE')
    throw new S3Error('InvalidArgument', 'Unknown wormMode directive.')
  const at = Date.parse(String(until))
  if (Number.isNaN(at) || !/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(String(until)))
    throw new S3Error('InvalidArgument', 'The retain until date must be provided in ISO 8601 format')
  if (at <= now) throw new S3Error('InvalidArgument', 'The retain until date must be in the future!')
  return { mode, retainUntil: new Date(at).toISOString() }
}

/** S3 wants to know that it locks what was meant. `what` is such as `Put Object`. */
export function needChecksum(
  lock: Lock | undefined,
  headers: IncomingHttpHeaders,
  hasChecksum: boolean,
  what: string,
) {
  if (!lock || hasChecksum || headers['content-md5'] !== undefined) return
  const names = 'Content-MD5 OR x-amz-checksum- HTTP header'
  throw new S3Error('InvalidRequest', `${names} is required for ${what} requests with Object Lock parameters`)
}

/** Throws where the version must not go yet. */
export function checkRetention({ lock }: StoredObject, headers: IncomingHttpHeaders, now: number): void {
  if (!lock || Date.parse(lock.retainUntil) <= now) return
  const bypass = headers['x-amz-bypass-governance-retention'] === 'true'
  if (lock.mode === 'GOVERNANCE' && bypass) return
  throw new S3Error('AccessDenied', 'Access Denied because object protected by object lock.')
}

export function lockHeaders(lock: Lock | undefined): Record<string, string> {
  if (!lock) return {}
  return {
    'x-amz-object-lock-mode': lock.mode,
    'x-amz-object-lock-retain-until-date': lock.retainUntil,
  }
}

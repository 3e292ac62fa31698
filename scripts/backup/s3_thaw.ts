import type { Tier as How } from '@aws-sdk/client-s3'
import { UserError } from '../job/errors.ts'
import { hour, minute } from '../job/time.ts'
import { BadCopy } from './manifest.ts'
import type { Bucket } from './s3_bucket.ts'
import { isAnswer, isNotThere, place } from './s3_errors.ts'
import type { Thaw } from './tier.ts'

/** For so many days a copy that was brought back can be read. */
const readableDays = 3

/** S3 brings what is larger back in the ordinary ways only. */
const largestExpedited = 250e6

/** A way back from an archive, and how long it takes at most. */
type WayBack = { how: How; ms: number }

/** By storage class, with AWS's own figures, the cheapest first. */
const waysBack: Record<string, WayBack[]> = {
  GLACIER: [
    { how: 'Bulk', ms: 12 * hour },
    { how: 'Standard', ms: 5 * hour },
    { how: 'Expedited', ms: 5 * minute },
  ],
  DEEP_ARCHIVE: [
    { how: 'Bulk', ms: 48 * hour },
    { how: 'Standard', ms: 12 * hour },
  ],
}

/**
 * The ways to bring an object back, the one to try first in front: the cheapest that is in time, else the quickest.
 * Expedited can be refused for want of capacity, and has Standard behind it. None: the class is no archive.
 */
export function waysToThaw(storageClass: string, bytes: number, withinMs: number): WayBack[] {
  const all = waysBack[storageClass] ?? []
  const open = all.filter(({ how }) => how !== 'Expedited' || bytes <= largestExpedited)
  const first = open.find(({ ms }) => ms <= withinMs) ?? open.at(-1)
  return all
    .filter(way => way === first || (first?.how === 'Expedited' && way.how === 'Standard'))
    .toReversed()
}

/**
 * Asks S3 to bring an archived object back, unless it is on its way or back already. Throws a BadCopy where it is not
 * there, a UserError where the service cannot bring anything back, and other errors as the SDK does.
 */
export async function thawObject(
  bucket: Bucket,
  name: string,
  withinMs: number,
  signal: AbortSignal,
): Promise<Thaw> {
  const head = await bucket.head(name, signal)
  if (head === undefined) throw new BadCopy(`${name} is not there`)
  const { StorageClass = 'STANDARD', ContentLength = 0, Restore = '' } = head
  const ways = waysToThaw(StorageClass, ContentLength, withinMs)
  // x-amz-restore: ongoing-request="false", expiry-date="Fri, 20 Mar 2026 00:00:00 GMT"
  if (ways.length === 0 || Restore.includes('ongoing-request="false"')) return { state: 'readable' }
  if (!Restore.includes('ongoing-request="true"')) {
    const asked = await askInTurn(bucket, name, ways, signal)
    if (asked !== undefined) return asked
  }
  // S3 does not tell by which way it comes: nobody waits too briefly for the ordinary one
  const ordinary = waysBack[StorageClass]?.find(({ how }) => how === 'Standard') as WayBack
  return { state: 'coming', ...ordinary }
}

/** Undefined: it had been asked for already. */
async function askInTurn(
  bucket: Bucket,
  name: string,
  ways: WayBack[],
  signal: AbortSignal,
): Promise<Thaw | undefined> {
  for (const [at, way] of ways.entries()) {
    const RestoreRequest = { Days: readableDays, GlacierJobParameters: { Tier: way.how } }
    try {
      await bucket.s3.restoreObject({ ...bucket.at(name), RestoreRequest }, { abortSignal: signal })
      return { state: 'asked', ...way }
    } catch (error) {
      if (isAnswer(error, 'RestoreAlreadyInProgress')) return undefined
      // it has left the archive meanwhile; where that is not so, it is seen by who reads it
      if (isAnswer(error, 'InvalidObjectState')) return { state: 'readable' }
      if (isNotThere(error)) throw new BadCopy(`${name} is not there`)
      const isFull = isAnswer(error, 'GlacierExpeditedRetrievalNotAvailable')
      if (!isFull || at === ways.length - 1) throw told(error, bucket)
    }
  }
  return undefined
}

function told(error: unknown, { cold }: Bucket): unknown {
  if (!isAnswer(error, 'NotImplemented', 'MethodNotAllowed')) return error
  return new UserError(`${place(cold)}: the service cannot bring archived objects back (RestoreObject)`, {
    hint: 'Bring it back by the means of that service; then it is read as any other.',
    cause: error,
  })
}

import type { IncomingHttpHeaders } from 'node:http'
import { S3Error } from './errors.ts'
import { type RestoreTier, restoreTiers, type StoredObject } from './store.ts'
import { childrenOf, parseXml, textOf } from './xml.ts'

const classes = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
]

const dayMs = 86_400_000

export function storageClassOf(headers: IncomingHttpHeaders): string {
  const name = headers['x-amz-storage-class'] ?? 'STANDARD'
  if (!classes.includes(String(name)))
    throw new S3Error('InvalidStorageClass', undefined, { StorageClassRequested: String(name) })
  return String(name)
}

function isArchived({ storageClass }: StoredObject): boolean {
  return storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE'
}

type State = 'never' | 'ongoing' | 'restored'

function stateOf({ restored }: StoredObject, now: number): State {
  if (!restored || (now >= restored.readyAt && now >= restored.until)) return 'never'
  return now < restored.readyAt ? 'ongoing' : 'restored'
}

/** Throws where the object is in an archive and has no copy that can be read. */
export function checkReadable(object: StoredObject, now: number): void {
  if (!isArchived(object) || stateOf(object, now) === 'restored') return
  throw new S3Error('InvalidObjectState', undefined, { StorageClass: object.storageClass })
}

/** Starts to restore it, or keeps what is restored for longer: the status of the answer. */
export function restore(object: StoredObject, body: Buffer, now: number, restoreMs: number): 202 | 200 {
  const request = parseXml(body.toString())
  const days = Number(textOf(request, 'Days'))
  const tier =
    textOf(childrenOf(request, 'GlacierJobParameters')[0], 'Tier') ?? textOf(request, 'Tier') ?? 'Standard'
  const isSound = request.name === 'RestoreRequest' && Number.isInteger(days) && days >= 1
  if (!isSound || !isTier(tier)) throw new S3Error('MalformedXML')
  if (!isArchived(object)) {
    const message = "Restore is not allowed for the object's current storage class"
    throw new S3Error('InvalidObjectState', message, { StorageClass: object.storageClass })
  }
  if (tier === 'Expedited' && object.storageClass === 'DEEP_ARCHIVE')
    throw new S3Error('InvalidArgument', 'Retrieval option is not supported by this storage class')
  const state = stateOf(object, now)
  if (state === 'ongoing' && object.restored) {
    // the same again by a quicker tier speeds it up
    const isQuicker = restoreTiers.indexOf(tier) > restoreTiers.indexOf(object.restored.tier)
    if (!isQuicker || days !== object.restored.days) throw new S3Error('RestoreAlreadyInProgress')
  }
  if (state === 'restored' && object.restored) {
    object.restored = { ...object.restored, days, until: expiry(now, days) }
    return 200
  }
  object.restored = { readyAt: now + restoreMs, until: expiry(now + restoreMs, days), days, tier }
  return 202
}

function isTier(tier: string): tier is RestoreTier {
  return restoreTiers.some(known => known === tier)
}

/** S3 rounds up to the next midnight in UTC. */
function expiry(from: number, days: number): number {
  return (Math.floor(from / dayMs) + days + 1) * dayMs
}

export function restoreHeaders(object: StoredObject, now: number): Record<string, string> {
  const state = stateOf(object, now)
  if (state === 'never' || !object.restored) return {}
  const until = new Date(object.restored.until).toUTCString()
  const told =
    state === 'ongoing' ? 'ongoing-request="true"' : `ongoing-request="false", expiry-date="${until}"`
  return { 'x-amz-restore': told }
}

import { checkReadable, restore, restoreHeaders } from './archive.ts'
import { type Answer, type Asked, aboutOf, answer } from './asked.ts'
import { type Checksum, checksumOf, md5 } from './checksums.ts'
import { S3Error } from './errors.ts'
import { flipped, type Turn } from './faults.ts'
import { checkRetention, lockHeaders, needChecksum } from './lock.ts'
import type { Bucket, StoredObject } from './store.ts'
import { childrenOf, document, elements, parseXml, textOf } from './xml.ts'

export function putObject(asked: Asked): Answer {
  const { bucket, key, headers, now, turn } = asked
  const about = aboutOf(asked)
  needChecksum(about.lock, headers, asked.checksum !== undefined, 'Put Object')
  checkNotThere(asked)
  const { body, told } = spoilt(turn, asked.body)
  const checksum = kept(turn, asked.checksum, asked.body, told)
  const object = bucket.add({ ...about, ...fresh(key, now), body, etag: md5(told), checksum })
  return answer(200, { ...identity(bucket, object), ...checksumHeaders(checksum) })
}

/** As any object is at first. */
export function fresh(key: string, now: number) {
  return { key, versionId: '', deleted: false, lastModified: now, restored: undefined } as const
}

/** What is stored of the data, and what ETag and checksums are told of. */
export function spoilt(turn: Turn, data: Buffer): { body: Buffer; told: Buffer } {
  const cut = data.length > 0 ? turn.take('truncateStored') : undefined
  const whole = cut ? data.subarray(0, cut.keep ?? data.length >> 1) : data
  const told = cut && cut.tells !== 'sent' ? whole : data
  const flip = whole.length > 0 ? turn.take('flipStored') : undefined
  return { body: flip ? flipped(whole, flip.at) : whole, told }
}

/** The checksum to keep: as it came, made anew where something else is stored, or S3's own where none came. */
export function kept(
  turn: Turn,
  given: Checksum | undefined,
  data: Buffer,
  told: Buffer,
): Checksum | undefined {
  if (turn.happened.includes('ignoreChecksums')) return undefined
  return given && told === data ? given : checksumOf(given?.algorithm ?? 'crc64nvme', told)
}

/** `If-None-Match: *`: only where there is no such object. */
export function checkNotThere({ bucket, key, headers, turn }: Asked): void {
  if (headers['if-none-match'] === undefined) return
  if (turn.take('refuseIfNoneMatch'))
    throw new S3Error('NotImplemented', undefined, { Header: 'If-None-Match' })
  if (bucket.newest(key)?.deleted === false)
    throw new S3Error('PreconditionFailed', undefined, { Condition: 'If-None-Match' })
}

export function getObject(asked: Asked): Answer {
  const { headers, now, turn } = asked
  const object = wanted(asked)
  const about = describe(asked, object)
  checkReadable(object, now)
  const range = rangeOf(headers.range, object.body.length)
  const whole = range ? object.body.subarray(range.from, range.to + 1) : object.body
  const flip = whole.length > 0 ? turn.take('flipAnswer') : undefined
  const body = flip ? flipped(whole, flip.at) : whole
  if (!range) return { status: 200, headers: { ...about, ...askedChecksum(asked, object) }, body }
  const told = { 'content-range': `bytes ${range.from}-${range.to}/${object.body.length}` }
  return { status: 206, headers: { ...about, ...told }, body }
}

export function headObject(asked: Asked): Answer {
  const object = wanted(asked)
  const length = { 'content-length': String(object.body.length) }
  const headers = { ...describe(asked, object), ...askedChecksum(asked, object), ...length }
  return { status: 200, headers, body: Buffer.alloc(0) }
}

/** The object that a request is about, where its conditions hold. */
function wanted({ bucket, key, query, headers }: Asked): StoredObject {
  const versionId = query.get('versionId')
  const found = versionId === undefined ? bucket.newest(key) : bucket.version(key, versionId)
  if (!found)
    throw new S3Error(versionId === undefined ? 'NoSuchKey' : 'NoSuchVersion', undefined, { Key: key })
  if (found.deleted) {
    const marker = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': found.versionId }
    throw new S3Error('NoSuchKey', undefined, { Key: key }, marker)
  }
  const etags = [`"${found.etag}"`, found.etag, '*']
  if (headers['if-match'] !== undefined && !etags.includes(headers['if-match']))
    throw new S3Error('PreconditionFailed', undefined, { Condition: 'If-Match' })
  if (headers['if-none-match'] !== undefined && etags.includes(headers['if-none-match']))
    throw new S3Error('NotModified', undefined, {}, { etag: `"${found.etag}"` })
  return found
}

function describe({ bucket, now }: Asked, object: StoredObject): Record<string, string> {
  const metadata = Object.entries(object.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])
  // S3 says nothing where it is STANDARD
  const storageClass: Record<string, string> =
    object.storageClass === 'STANDARD' ? {} : { 'x-amz-storage-class': object.storageClass }
  return {
    ...object.headers,
    ...Object.fromEntries(metadata),
    ...storageClass,
    ...restoreHeaders(object, now),
    ...lockHeaders(object.lock),
    ...identity(bucket, object),
    'last-modified': new Date(object.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
  }
}

/** ETag and, in a bucket with versions, which one it is. */
export function identity(bucket: Bucket, { etag, versionId }: StoredObject): Record<string, string> {
  const version: Record<string, string> = bucket.objectLock ? { 'x-amz-version-id': versionId } : {}
  return { etag: `"${etag}"`, 'x-amz-server-side-encryption': 'AES256', ...version }
}

function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (!checksum) return {}
  return {
    [`x-amz-checksum-${checksum.algorithm}`]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  }
}

function askedChecksum({ headers, turn }: Asked, { checksum }: StoredObject): Record<string, string> {
  const isWanted = headers['x-amz-checksum-mode'] === 'ENABLED'
  return isWanted && !turn.happened.includes('ignoreChecksums') ? checksumHeaders(checksum) : {}
}

/** Both ends inclusive; undefined where the whole is wanted, as with any range that S3 does not understand. */
function rangeOf(header: string | undefined, size: number): { from: number; to: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && first !== '' && Number(last) < from) return undefined
  if (from > to) throw new S3Error('InvalidRange', undefined, { ActualObjectSize: String(size) })
  return { from, to }
}

export function deleteObject(asked: Asked): Answer {
  const { marker, versionId } = remove(asked, asked.key, asked.query.get('versionId'))
  return answer(204, {
    ...(marker ? { 'x-amz-delete-marker': 'true' } : {}),
    ...(versionId === undefined ? {} : { 'x-amz-version-id': versionId }),
  })
}

export function deleteObjects(asked: Asked): Answer {
  const { headers, checksum, body } = asked
  if (!checksum && headers['content-md5'] === undefined && !asked.turn.happened.includes('ignoreChecksums'))
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5')
  const request = parseXml(body.toString())
  const wantedObjects = childrenOf(request, 'Object')
  if (request.name !== 'Delete' || wantedObjects.length === 0 || wantedObjects.length > 1000)
    throw new S3Error('MalformedXML')
  const isQuiet = textOf(request, 'Quiet') === 'true'
  const results = wantedObjects.map(object => {
    const key = textOf(object, 'Key') ?? ''
    const asGiven = textOf(object, 'VersionId')
    try {
      const { marker, versionId } = remove(asked, key, asGiven)
      if (isQuiet) return ''
      const told = marker ? { DeleteMarker: true, DeleteMarkerVersionId: versionId } : {}
      return `<Deleted>${elements({ Key: key, VersionId: asGiven, ...told })}</Deleted>`
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      const { code, message } = error
      return `<Error>${elements({ Key: key, VersionId: asGiven, Code: code, Message: message })}</Error>`
    }
  })
  return answer(200, {}, document('DeleteResult', ...results))
}

/** Without a version, a bucket that keeps versions gets a delete marker. */
function remove(
  { bucket, headers, now }: Asked,
  key: string,
  versionId: string | undefined,
): { marker: boolean; versionId: string | undefined } {
  if (versionId === undefined) {
    if (!bucket.objectLock) {
      bucket.remove(key, 'null')
      return { marker: false, versionId: undefined }
    }
    const added = bucket.add({ key, versionId: '', deleted: true, lastModified: now })
    return { marker: true, versionId: added.versionId }
  }
  const found = bucket.version(key, versionId)
  if (found?.deleted === false) checkRetention(found, headers, now)
  bucket.remove(key, versionId)
  return { marker: found?.deleted === true, versionId }
}

export function restoreObject(asked: Asked): Answer {
  const { body, now, limits } = asked
  return answer(restore(wanted(asked), body, now, limits.restoreMs))
}

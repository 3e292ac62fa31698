import { type Answer, type Asked, answer } from './asked.ts'
import { S3Error } from './errors.ts'
import { region } from './signature.ts'
import { compareKeys, type StoredObject } from './store.ts'
import { document, elements } from './xml.ts'

export function headBucket(): Answer {
  return answer(200, { 'x-amz-bucket-region': region })
}

export function getBucketLocation(): Answer {
  // that of us-east-1 is empty
  return answer(200, {}, document('LocationConstraint'))
}

export function listObjects({ bucket, query }: Asked): Answer {
  if (query.get('list-type') !== '2') throw new S3Error('InvalidArgument', 'Invalid List Type specified')
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const token = query.get('continuation-token')
  const after = token === undefined ? (query.get('start-after') ?? '') : afterToken(token)
  const most = countOf(query.get('max-keys'), 'max-keys')

  const entries: (StoredObject | string)[] = []
  let last = ''
  let isTruncated = false
  for (const object of bucket.objects) {
    if (!object.key.startsWith(prefix)) continue
    const end = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length)
    const entry = end < 0 ? object : object.key.slice(0, end + delimiter.length)
    const name = typeof entry === 'string' ? entry : entry.key
    if (compareKeys(name, after) <= 0 || name === last) continue
    if (entries.length === most) {
      isTruncated = most > 0
      break
    }
    entries.push(entry)
    last = name
  }
  const shown = entries.map(entry => {
    return typeof entry === 'string'
      ? `<CommonPrefixes>${elements({ Prefix: entry })}</CommonPrefixes>`
      : `<Contents>${contents(entry)}</Contents>`
  })
  const fields = elements({
    Name: bucket.name,
    Prefix: prefix,
    Delimiter: delimiter || undefined,
    StartAfter: query.get('start-after'),
    ContinuationToken: token,
    NextContinuationToken: isTruncated ? Buffer.from(`after:${last}`).toString('base64') : undefined,
    KeyCount: entries.length,
    MaxKeys: most,
    IsTruncated: isTruncated,
  })
  return answer(200, {}, document('ListBucketResult', fields, ...shown))
}

function contents({ key, lastModified, etag, checksum, body, storageClass }: StoredObject): string {
  return elements({
    Key: key,
    LastModified: timeOf(lastModified),
    ETag: `"${etag}"`,
    ChecksumAlgorithm: checksum?.algorithm.toUpperCase(),
    ChecksumType: checksum?.type,
    Size: body.length,
    StorageClass: storageClass,
  })
}

function afterToken(token: string): string {
  const [, after] = /^after:(.*)$/s.exec(Buffer.from(token, 'base64').toString()) ?? []
  if (after === undefined)
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect')
  return after
}

/** How many entries a listing may have at most. */
export function countOf(text: string | undefined, name: string): number {
  const count = Number(text ?? 1000)
  if (!Number.isInteger(count) || count < 0)
    throw new S3Error('InvalidArgument', `Provided ${name} not an integer or within integer range`)
  return Math.min(count, 1000)
}

/** S3 keeps no parts of a second. */
export function timeOf(at: number): string {
  return new Date(at - (at % 1000)).toISOString()
}

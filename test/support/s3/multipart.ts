import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, aboutOf, answer } from './asked.ts'
import { algorithmNamed, algorithms, type Checksum, checksumOf, compositeOf, md5 } from './checksums.ts'
import { S3Error } from './errors.ts'
import { countOf, timeOf } from './listings.ts'
import { needChecksum } from './lock.ts'
import { checkNotThere, fresh, identity, kept, spoilt } from './objects.ts'
import { compareKeys, type StoredPart, type StoredUpload } from './store.ts'
import { childrenOf, document, type Element, elements, parseXml, textOf } from './xml.ts'

export function createUpload(asked: Asked): Answer {
  const { bucket, key, headers, now } = asked
  const about = aboutOf(asked)
  const checksum = asked.turn.happened.includes('ignoreChecksums') ? undefined : checksumWanted(headers)
  const uploadId = randomBytes(24).toString('base64url')
  bucket.uploads.set(uploadId, { ...about, key, uploadId, initiated: now, checksum, parts: new Map() })
  const told: Record<string, string> = {}
  if (checksum) {
    told['x-amz-checksum-algorithm'] = checksum.algorithm.toUpperCase()
    told['x-amz-checksum-type'] = checksum.type
  }
  const fields = elements({ Bucket: bucket.name, Key: key, UploadId: uploadId })
  return answer(200, told, document('InitiateMultipartUploadResult', fields))
}

/** SHA checksums can only be put together of those of the parts, CRC-64 only be of the whole. */
function checksumWanted(headers: Asked['headers']): StoredUpload['checksum'] {
  const name = headers['x-amz-checksum-algorithm']
  const type = headers['x-amz-checksum-type']
  if (name === undefined) {
    if (type === undefined) return undefined
    const message =
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.'
    throw new S3Error('InvalidRequest', message)
  }
  const algorithm = algorithmNamed(String(name), 'x-amz-checksum-algorithm')
  const isSha = algorithm.startsWith('sha')
  const usual = algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE'
  const asWanted = type ?? usual
  if (asWanted !== 'FULL_OBJECT' && asWanted !== 'COMPOSITE')
    throw new S3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.')
  const isPossible = asWanted === 'COMPOSITE' ? algorithm !== 'crc64nvme' : !isSha
  if (!isPossible) {
    const message = `The ${asWanted} checksum type cannot be used with the ${algorithm} checksum algorithm.`
    throw new S3Error('InvalidRequest', message)
  }
  return { algorithm, type: asWanted }
}

function uploadOf({ bucket, key, query }: Asked): StoredUpload {
  const uploadId = query.get('uploadId') ?? ''
  const upload = bucket.uploads.get(uploadId)
  if (!upload || upload.key !== key) throw new S3Error('NoSuchUpload', undefined, { UploadId: uploadId })
  return upload
}

export function uploadPart(asked: Asked): Answer {
  const { query, headers, turn, now } = asked
  const upload = uploadOf(asked)
  const number = Number(query.get('partNumber'))
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive')
  needChecksum(upload.lock, headers, asked.checksum !== undefined, 'Upload Part')
  const isOld = turn.happened.includes('ignoreChecksums')
  const { algorithm, type } = upload.checksum ?? {}
  // only the checksums of a composite have to come with each part
  const mayLack = isOld || type !== 'COMPOSITE'
  if (asked.checksum ? asked.checksum.algorithm !== algorithm : !mayLack) {
    const types = `expected checksum Type: ${algorithm ?? null}, actual checksum Type: ${asked.checksum?.algorithm ?? null}`
    throw new S3Error('InvalidRequest', `Checksum Type mismatch occurred, ${types}`)
  }
  const { body, told } = spoilt(turn, asked.body)
  const checksum = asked.checksum && kept(turn, asked.checksum, asked.body, told)
  upload.parts.set(number, { number, body, etag: md5(told), lastModified: now, checksum })
  const own: Record<string, string> = checksum
    ? { [`x-amz-checksum-${checksum.algorithm}`]: checksum.value }
    : {}
  return answer(200, { etag: `"${md5(told)}"`, ...own })
}

export function completeUpload(asked: Asked): Answer {
  const { bucket, key, headers, now, turn, limits } = asked
  const upload = uploadOf(asked)
  const parts = partsWanted(asked, upload)
  const small = parts.slice(0, -1).find(part => part.body.length < limits.minPartSize)
  if (small) {
    throw new S3Error('EntityTooSmall', undefined, {
      ProposedSize: String(small.body.length),
      MinSizeAllowed: String(limits.minPartSize),
      PartNumber: String(small.number),
      ETag: small.etag,
    })
  }
  const data = Buffer.concat(parts.map(part => part.body))
  const size = headers['x-amz-mp-object-size']
  if (size !== undefined && Number(size) !== data.length) {
    const sizes = `${String(size)}, actual object size: ${data.length}`
    throw new S3Error('InvalidRequest', `The provided x-amz-mp-object-size header does not match: ${sizes}`)
  }
  const { body, told } = spoilt(turn, data)
  const checksum = turn.happened.includes('ignoreChecksums')
    ? undefined
    : checksumOfWhole(upload, parts, told)
  checkWhole(headers, checksum)
  checkNotThere(asked)

  const { storageClass, metadata, lock } = upload
  const about = { storageClass, metadata, headers: upload.headers, lock }
  const etag = `${md5(Buffer.concat(parts.map(part => Buffer.from(part.etag, 'hex'))))}-${parts.length}`
  const object = bucket.add({
    ...about,
    ...fresh(key, now),
    body,
    etag,
    checksum,
  })
  bucket.uploads.delete(upload.uploadId)
  const { etag: shown, ...more } = identity(bucket, object)
  const fields = elements({
    Location: `http://${headers.host ?? ''}/${bucket.name}/${key}`,
    Bucket: bucket.name,
    Key: key,
    ETag: shown,
    ...(checksum ? { [elementOf(checksum)]: checksum.value, ChecksumType: checksum.type } : {}),
  })
  return answer(200, more, document('CompleteMultipartUploadResult', fields))
}

/** The parts that the client says make the object, each as it was uploaded. */
function partsWanted({ body, turn }: Asked, upload: StoredUpload): StoredPart[] {
  const request = parseXml(body.toString())
  const listed = childrenOf(request, 'Part')
  if (request.name !== 'CompleteMultipartUpload' || listed.length === 0) throw new S3Error('MalformedXML')
  const parts = listed.map(element => partWanted(element, upload, turn.happened.includes('ignoreChecksums')))
  const isOrdered = parts.every((part, at) => at === 0 || part.number > (parts[at - 1] as StoredPart).number)
  if (!isOrdered) throw new S3Error('InvalidPartOrder')
  return parts
}

function partWanted(
  element: Element,
  { checksum, parts, uploadId }: StoredUpload,
  isOld: boolean,
): StoredPart {
  const number = Number(textOf(element, 'PartNumber'))
  const etag = (textOf(element, 'ETag') ?? '').replaceAll('"', '')
  const part = parts.get(number)
  const details = { UploadId: uploadId, PartNumber: String(number), ETag: etag }
  if (!part || part.etag !== etag) throw new S3Error('InvalidPart', undefined, details)
  if (isOld) return part
  const given = algorithms.filter(algorithm => textOf(element, elementOf({ algorithm })) !== undefined)
  const isOther = given.some(algorithm => {
    return (
      part.checksum?.algorithm !== algorithm ||
      part.checksum.value !== textOf(element, elementOf({ algorithm }))
    )
  })
  if (isOther) throw new S3Error('InvalidPart', undefined, details)
  if (checksum?.type === 'COMPOSITE' && given.length === 0) {
    const created = `The upload was created using a ${checksum.algorithm} checksum.`
    const needed = 'The complete request must include the checksum for each part.'
    throw new S3Error(
      'InvalidRequest',
      `${created} ${needed} It was missing for part ${number} in the request.`,
    )
  }
  return part
}

function elementOf({ algorithm }: Pick<Checksum, 'algorithm'>): string {
  return `Checksum${algorithm.toUpperCase()}`
}

function checksumOfWhole({ checksum }: StoredUpload, parts: StoredPart[], told: Buffer): Checksum {
  if (checksum?.type !== 'COMPOSITE') return checksumOf(checksum?.algorithm ?? 'crc64nvme', told)
  return compositeOf(
    checksum.algorithm,
    parts.map(part => part.checksum?.value ?? ''),
  )
}

/** Throws where the client says that the whole has another checksum. */
function checkWhole(headers: Asked['headers'], checksum: Checksum | undefined): void {
  if (!checksum) return
  const type = headers['x-amz-checksum-type']
  if (type !== undefined && type !== checksum.type)
    throw new S3Error('BadDigest', `The upload was created using the ${checksum.type} checksum mode.`)
  for (const algorithm of algorithms) {
    const value = headers[`x-amz-checksum-${algorithm}`]
    if (value === undefined) continue
    const isSame =
      algorithm === checksum.algorithm &&
      [checksum.value, checksum.value.split('-')[0]].includes(String(value))
    if (!isSame) {
      const message = `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`
      throw new S3Error('BadDigest', message)
    }
  }
}

export function abortUpload(asked: Asked): Answer {
  asked.bucket.uploads.delete(uploadOf(asked).uploadId)
  return answer(204)
}

export function listParts(asked: Asked): Answer {
  const { bucket, key, query } = asked
  const upload = uploadOf(asked)
  const most = countOf(query.get('max-parts'), 'max-parts')
  const marker = Number(query.get('part-number-marker') ?? 0)
  const after = [...upload.parts.values()]
    .filter(part => part.number > marker)
    .sort((a, b) => a.number - b.number)
  const page = after.slice(0, most)
  const isTruncated = page.length < after.length
  const shown = page.map(part => {
    const checksum = part.checksum ? { [elementOf(part.checksum)]: part.checksum.value } : {}
    const fields = {
      PartNumber: part.number,
      LastModified: timeOf(part.lastModified),
      ETag: `"${part.etag}"`,
      Size: part.body.length,
    }
    return `<Part>${elements({ ...fields, ...checksum })}</Part>`
  })
  const fields = elements({
    Bucket: bucket.name,
    Key: key,
    UploadId: upload.uploadId,
    StorageClass: upload.storageClass,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: most,
    IsTruncated: isTruncated,
    ChecksumAlgorithm: upload.checksum?.algorithm.toUpperCase(),
    ChecksumType: upload.checksum?.type,
  })
  return answer(200, {}, document('ListPartsResult', fields, ...shown))
}

export function listUploads({ bucket, query }: Asked): Answer {
  const prefix = query.get('prefix') ?? ''
  const most = countOf(query.get('max-uploads'), 'max-uploads')
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  const after = [...bucket.uploads.values()]
    .filter(({ key }) => key.startsWith(prefix))
    .sort((a, b) => compareKeys(a.key, b.key) || compareKeys(a.uploadId, b.uploadId))
    .filter(({ key, uploadId }) => {
      const order = compareKeys(key, keyMarker)
      return order > 0 || (order === 0 && idMarker !== '' && compareKeys(uploadId, idMarker) > 0)
    })
  const page = after.slice(0, most)
  const isTruncated = page.length < after.length
  const shown = page.map(({ key, uploadId, storageClass, initiated, checksum }) => {
    const fields = { Key: key, UploadId: uploadId, StorageClass: storageClass, Initiated: timeOf(initiated) }
    const sums = { ChecksumAlgorithm: checksum?.algorithm.toUpperCase(), ChecksumType: checksum?.type }
    return `<Upload>${elements({ ...fields, ...sums })}</Upload>`
  })
  const fields = elements({
    Bucket: bucket.name,
    KeyMarker: keyMarker,
    UploadIdMarker: idMarker,
    NextKeyMarker: isTruncated ? page.at(-1)?.key : undefined,
    NextUploadIdMarker: isTruncated ? page.at(-1)?.uploadId : undefined,
    Prefix: prefix || undefined,
    MaxUploads: most,
    IsTruncated: isTruncated,
  })
  return answer(200, {}, document('ListMultipartUploadsResult', fields, ...shown))
}

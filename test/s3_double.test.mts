import { spawnSync } from 'node:child_process'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  RestoreObjectCommand,
  type S3Client,
  type S3ClientConfig,
  StorageClass,
  Tier,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { checkAsync, runs } from './support/properties.ts'
import { clientOf, type S3Place } from './support/s3/client.ts'
import { type S3Double, type S3DoubleOptions, startS3Double } from './support/s3/double.ts'
import type { S3Fault, S3FaultRule } from './support/s3/faults.ts'
import type { Operation } from './support/s3/routes.ts'
import { skipWithoutSwift, startSwift } from './support/s3/swift.ts'
import { temporaryFolder } from './support/workspace.ts'

const mib = 1024 * 1024
const data = randomBytes(100_000)
const noon = Date.parse('2026-03-15T12:00:00Z')

// What the tests share: a place with a client, and short words for what they do there.

type Body = Exclude<PutObjectCommandInput['Body'], undefined>
type PutMore = Omit<Partial<PutObjectCommandInput>, 'Body'>

function at(test: Test, place: S3Place, settings?: S3ClientConfig) {
  const client = clientOf(test, place, settings)
  const Bucket = place.bucket
  return {
    client,
    Bucket,
    put: (Key: string, Body: Body, more: PutMore = {}) =>
      client.send(new PutObjectCommand({ Bucket, Key, Body, ...more })),
    head: (Key: string, more: Partial<GetObjectCommandInput> = {}) =>
      client.send(new HeadObjectCommand({ Bucket, Key, ...more })),
    get: async (Key: string, more: Partial<GetObjectCommandInput> = {}) => {
      const got = await client.send(new GetObjectCommand({ Bucket, Key, ...more }))
      return { ...got, bytes: Buffer.from((await got.Body?.transformToByteArray()) ?? []) }
    },
    upload: (Key: string, Body: Body, more: PutMore = {}) =>
      new Upload({ client, params: { Bucket, Key, Body, ...more } }).done(),
    begin: async (Key: string, more: Omit<Partial<CreateMultipartUploadCommandInput>, 'Key'> = {}) => {
      const begun = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))
      return { Bucket, Key, UploadId: begun.UploadId }
    },
  }
}

async function doubleFor(test: Test, options: S3DoubleOptions = {}, settings?: S3ClientConfig) {
  const double = await startS3Double(options)
  test.teardown(() => double.close())
  return { double, ...at(test, double, settings) }
}

function stream(body: Buffer, size = 64 * 1024): Readable {
  const count = Math.ceil(body.length / size)
  return Readable.from(
    Array.from({ length: count }, (_, part) => body.subarray(part * size, (part + 1) * size)),
  )
}

function hash(algorithm: string, body: Buffer): Buffer {
  return createHash(algorithm).update(body).digest()
}

function base64(algorithm: string, body: Buffer): string {
  return hash(algorithm, body).toString('base64')
}

/** For Swift, which knows no newer proof of which objects are to be deleted. */
function withMd5(client: S3Client): S3Client {
  client.middlewareStack.add(
    next => args => {
      const { headers, body } = args.request as { headers: Record<string, string>; body: string }
      headers['content-md5'] = base64('md5', Buffer.from(body))
      return next(args)
    },
    { step: 'build' },
  )
  return client
}

/** What the promise fails with. */
async function refusal(promise: Promise<unknown>) {
  try {
    await promise
  } catch (error) {
    const { name, message, code, $metadata } = error as Error & {
      code?: string
      $metadata?: { httpStatusCode?: number }
    }
    return { name, message, code, status: $metadata?.httpStatusCode }
  }
  throw new Error('It was not refused')
}

async function expectRefusal(test: Test, promise: Promise<unknown>, name: string, status: number) {
  const refused = await refusal(promise)
  test.match(refused, { name, status }, `it is refused with ${status} ${name}`)
  return refused
}

// What any S3 can do, the double as well as Swift.

void t.test('What S3 does, the double does', async group => {
  await common(group, (await doubleFor(group)).double)
})

void t.test('What S3 does, Swift does', { skip: skipWithoutSwift() }, async group => {
  await common(group, await startSwift(group))
})

void t.test('Swift does not outlive a test that is killed', { skip: skipWithoutSwift() }, async test => {
  const module = JSON.stringify(new URL('support/s3/swift.ts', import.meta.url))
  const code = `
    import { startSwift } from ${module}
    const { url } = await startSwift({ teardown() {} })
    process.stdout.write(url, () => process.kill(process.pid, 'SIGKILL'))`
  const env = { ...process.env, TMPDIR: temporaryFolder(test) }
  const killed = spawnSync(process.execPath, ['--input-type=module', '-e', code], { env, encoding: 'utf8' })
  test.equal(killed.signal, 'SIGKILL', killed.stderr)
  test.match(killed.stdout, /^http:/)
  const isThere = () =>
    fetch(killed.stdout).then(
      () => true,
      () => false,
    )
  while (await isThere()) await new Promise(resolve => setImmediate(resolve))
})

async function common(group: Test, place: S3Place) {
  const { client, Bucket, put, head, get, upload, begin } = at(group, place)

  await group.test('An object comes back as it was stored, with what was said about it', async test => {
    const stored = await put('small', data, {
      Metadata: { sealed: 'yes' },
      ContentType: 'application/x-thing',
    })
    const ETag = `"${hash('md5', data).toString('hex')}"`
    test.equal(stored.ETag, ETag)
    const got = await get('small')
    test.ok(got.bytes.equals(data))
    const about = {
      ETag,
      ContentLength: data.length,
      Metadata: { sealed: 'yes' },
      ContentType: 'application/x-thing',
    }
    test.match(got, about)
    const known = await head('small')
    test.match(known, about)
    test.ok(
      Math.abs((known.LastModified?.getTime() ?? 0) - Date.now()) < 60_000,
      'it says when it was stored',
    )
  })

  await group.test('A new object takes the place of the old one', async test => {
    await put('twice', 'one')
    await put('twice', 'two')
    test.equal((await get('twice')).bytes.toString(), 'two')
  })

  await group.test('An object can be empty', async test => {
    await put('empty', Buffer.alloc(0))
    test.equal((await get('empty')).bytes.length, 0)
    test.equal((await head('empty')).ContentLength, 0)
  })

  await group.test('A key may have any characters', async test => {
    const keys = [
      'odd/a b',
      'odd/a+b',
      'odd/é~*!()\'"',
      'odd/<&>',
      'odd/&amp;',
      'odd/%41',
      'odd/币安',
      'odd/a=b?c#d',
      'odd//x/../y',
    ]
    for (const key of keys) await put(key, key)
    for (const key of keys) test.equal((await get(key)).bytes.toString(), key)
    const listed = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'odd/' }))
    const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
    test.strictSame(
      listed.Contents?.map(({ Key }) => Key),
      keys.toSorted(byBytes),
    )
  })

  await group.test('A stream of known length is an object', async test => {
    await put('stream', stream(data), { ContentLength: data.length })
    test.ok((await get('stream')).bytes.equals(data))
  })

  await group.test('A part of an object can be read', async test => {
    await put('range', data)
    const middle = await get('range', { Range: 'bytes=1000-1999' })
    test.ok(middle.bytes.equals(data.subarray(1000, 2000)))
    test.match(middle, { ContentRange: `bytes 1000-1999/${data.length}`, ContentLength: 1000 })
    test.ok((await get('range', { Range: 'bytes=-10' })).bytes.equals(data.subarray(-10)))
    test.ok((await get('range', { Range: 'bytes=99990-' })).bytes.equals(data.subarray(-10)))
    test.ok((await get('range', { Range: 'bytes=99990-200000' })).bytes.equals(data.subarray(-10)))
    await expectRefusal(test, get('range', { Range: `bytes=${data.length}-` }), 'InvalidRange', 416)
  })

  await group.test('A read can be made to depend on the ETag', async test => {
    await put('conditional', data)
    const { ETag } = await head('conditional')
    test.ok((await get('conditional', { IfMatch: ETag })).bytes.equals(data))
    const other = `"${'0'.repeat(32)}"`
    await expectRefusal(test, get('conditional', { IfMatch: other }), 'PreconditionFailed', 412)
    test.match(await refusal(get('conditional', { IfNoneMatch: ETag })), { status: 304 })
  })

  await group.test('What is not there is not found', async test => {
    await expectRefusal(test, get('nothing'), 'NoSuchKey', 404)
    await expectRefusal(test, head('nothing'), 'NotFound', 404)
    await expectRefusal(test, put('x', 'x', { Bucket: 'no-such-bucket' }), 'NoSuchBucket', 404)
    await expectRefusal(
      test,
      client.send(new HeadBucketCommand({ Bucket: 'no-such-bucket' })),
      'NotFound',
      404,
    )
  })

  await group.test('A bucket says that it is there and where', async test => {
    const there = await client.send(new HeadBucketCommand({ Bucket }))
    test.equal(there.$metadata.httpStatusCode, 200)
    const { LocationConstraint } = await client.send(new GetBucketLocationCommand({ Bucket }))
    test.equal(LocationConstraint || 'us-east-1', 'us-east-1')
  })

  await group.test('A listing comes in pages, by prefix and folder', async test => {
    const keys = ['a/1', 'a/2', 'b/1', 'b/c/1', 'b/c/2', 'd', 'e'].map(key => `list/${key}`)
    for (const key of keys) await put(key, key)
    const pages: string[][] = []
    let ContinuationToken: string | undefined
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket, Prefix: 'list/', MaxKeys: 3, ContinuationToken }),
      )
      pages.push(page.Contents?.map(({ Key = '' }) => Key) ?? [])
      test.equal(page.KeyCount, pages.at(-1)?.length)
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken)
    test.strictSame(pages, [keys.slice(0, 3), keys.slice(3, 6), keys.slice(6)])

    const folders = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/', Delimiter: '/' }))
    test.strictSame(
      folders.Contents?.map(({ Key }) => Key),
      ['list/d', 'list/e'],
    )
    test.strictSame(
      folders.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['list/a/', 'list/b/'],
    )
    test.match(folders, { KeyCount: 4, IsTruncated: false, MaxKeys: 1000 })

    const first = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: 'list/', Delimiter: '/', MaxKeys: 1 }),
    )
    test.strictSame(
      first.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['list/a/'],
    )
    const token = first.NextContinuationToken
    const rest = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: 'list/', Delimiter: '/', ContinuationToken: token }),
    )
    test.strictSame(
      rest.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['list/b/'],
    )
    test.strictSame(
      rest.Contents?.map(({ Key }) => Key),
      ['list/d', 'list/e'],
    )

    const later = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: 'list/', StartAfter: 'list/b/c/1' }),
    )
    test.strictSame(
      later.Contents?.map(({ Key }) => Key),
      keys.slice(4),
    )
    const none = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'no-such/' }))
    test.match(none, { KeyCount: 0, Contents: undefined, IsTruncated: false })
    const [one] = (await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'list/d' }))).Contents ?? []
    test.match(one, {
      Size: 6,
      ETag: `"${hash('md5', Buffer.from('list/d')).toString('hex')}"`,
      StorageClass: 'STANDARD',
    })
    test.type(one?.LastModified, Date)
  })

  await group.test('What is deleted is gone, and can be deleted again', async test => {
    await put('gone', 'x')
    for (let round = 0; round < 2; round++) {
      const { $metadata } = await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }))
      test.equal($metadata.httpStatusCode, 204)
    }
    await expectRefusal(test, get('gone'), 'NoSuchKey', 404)
    const keys = ['gone/<1>', 'gone/2&', 'gone/3']
    for (const key of keys) await put(key, 'x')
    const Objects = [...keys, 'gone/never'].map(Key => ({ Key }))
    const deleted = await withMd5(at(test, place).client).send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
    )
    test.strictSame(
      deleted.Deleted?.map(({ Key }) => Key).toSorted(),
      Objects.map(({ Key }) => Key).toSorted(),
    )
    const left = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'gone' }))
    test.equal(left.KeyCount, 0)
  })

  await group.test('A wrong MD5 is refused, and nothing is stored', async test => {
    const wrong = base64('md5', Buffer.from('other'))
    await expectRefusal(test, put('md5', data, { ContentMD5: wrong }), 'BadDigest', 400)
    await expectRefusal(test, head('md5'), 'NotFound', 404)
    await put('md5', data, { ContentMD5: base64('md5', data) })
    test.ok((await get('md5')).bytes.equals(data))
  })

  await group.test('Who has not the right keys is refused', async test => {
    const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } = place.env
    const wrong = at(test, place, { credentials: { accessKeyId, secretAccessKey: 'wrong' } })
    await expectRefusal(test, wrong.put('key', 'x'), 'SignatureDoesNotMatch', 403)
    await expectRefusal(test, wrong.get('small'), 'SignatureDoesNotMatch', 403)
    const unknown = at(test, place, { credentials: { accessKeyId: 'nobody', secretAccessKey } })
    // Swift takes it for a wrong signature
    test.match(await refusal(unknown.put('key', 'x')), { status: 403 })
    await expectRefusal(test, head('key'), 'NotFound', 404)
  })

  await group.test('Who has another time is refused', async test => {
    const late = at(test, place, { systemClockOffset: 16 * 60_000 })
    await expectRefusal(test, late.put('skewed', 'x'), 'RequestTimeTooSkewed', 403)
    const well = at(test, place, { systemClockOffset: 14 * 60_000 })
    await well.put('skewed', 'x')
    test.equal((await get('skewed')).bytes.toString(), 'x')
  })

  await group.test('A large stream becomes an object in parts', async test => {
    const large = randomBytes(6 * mib)
    const done = await upload('large', stream(large), { Metadata: { large: 'yes' } })
    const parts = [large.subarray(0, 5 * mib), large.subarray(5 * mib)]
    const ETag = `"${hash('md5', Buffer.concat(parts.map(part => hash('md5', part)))).toString('hex')}-2"`
    test.equal(done.ETag, ETag)
    test.match(await head('large'), { ETag, ContentLength: large.length, Metadata: { large: 'yes' } })
    test.ok((await get('large')).bytes.equals(large))
  })

  await group.test('An upload is made of parts, in order, each as the service has it', async test => {
    const to = await begin('parts')
    const [first, second] = [randomBytes(5 * mib), randomBytes(1000)]
    const one = await client.send(new UploadPartCommand({ ...to, PartNumber: 1, Body: first }))
    const two = await client.send(new UploadPartCommand({ ...to, PartNumber: 2, Body: second }))
    await client.send(new UploadPartCommand({ ...to, PartNumber: 7, Body: 'not used' }))
    const complete = (...Parts: { PartNumber: number; ETag: string | undefined }[]) =>
      client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload: { Parts } }))
    const listed = await client.send(new ListPartsCommand(to))
    test.match(listed.Parts, [
      { PartNumber: 1, ETag: one.ETag, Size: first.length },
      { PartNumber: 2, ETag: two.ETag, Size: second.length },
      { PartNumber: 7, Size: 8 },
    ])
    const page = await client.send(new ListPartsCommand({ ...to, MaxParts: 1, PartNumberMarker: '1' }))
    test.match(page, { IsTruncated: true, NextPartNumberMarker: '2' })
    test.strictSame(
      page.Parts?.map(({ PartNumber }) => PartNumber),
      [2],
    )

    const [partOne, partTwo] = [
      { PartNumber: 1, ETag: one.ETag },
      { PartNumber: 2, ETag: two.ETag },
    ]
    await expectRefusal(test, complete(partTwo, partOne), 'InvalidPartOrder', 400)
    await expectRefusal(test, complete(partOne, { PartNumber: 2, ETag: one.ETag }), 'InvalidPart', 400)
    await expectRefusal(test, complete(partOne, { PartNumber: 3, ETag: two.ETag }), 'InvalidPart', 400)
    await expectRefusal(test, head('parts'), 'NotFound', 404)
    await complete(partOne, partTwo)
    test.ok((await get('parts')).bytes.equals(Buffer.concat([first, second])))
    const left = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    test.equal(left.Uploads, undefined)
  })

  await group.test('Parts that are too small are refused', async test => {
    const to = await begin('small parts')
    const Parts = []
    for (const PartNumber of [1, 2]) {
      const { ETag } = await client.send(new UploadPartCommand({ ...to, PartNumber, Body: 'small' }))
      Parts.push({ PartNumber, ETag })
    }
    const complete = client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload: { Parts } }))
    await expectRefusal(test, complete, 'EntityTooSmall', 400)
    await client.send(new AbortMultipartUploadCommand(to))
  })

  await group.test('An upload that was broken off can be found and removed', async test => {
    const to = await begin('broken/off')
    await client.send(new UploadPartCommand({ ...to, PartNumber: 1, Body: 'x' }))
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'broken/' }))
    test.match(Uploads, [{ Key: 'broken/off', UploadId: to.UploadId }])
    await client.send(new AbortMultipartUploadCommand(to))
    const { Uploads: left } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    test.equal(left, undefined)
    for (const command of [
      new UploadPartCommand({ ...to, PartNumber: 2, Body: 'x' }),
      new AbortMultipartUploadCommand(to),
      new CompleteMultipartUploadCommand({
        ...to,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag: '"x"' }] },
      }),
    ])
      await expectRefusal(test, client.send(command as never), 'NoSuchUpload', 404)
  })
}

// What only the double can do.

/** Sends other bytes than the SDK has made ready, after it has signed. */
function sendingInstead(client: S3Client, body: string | Buffer): S3Client {
  client.middlewareStack.add(
    next => args => {
      const request = args.request as { headers: Record<string, string>; body: unknown }
      if (request.headers['content-length'])
        request.headers['content-length'] = String(Buffer.byteLength(body))
      request.body = body
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low' },
  )
  return client
}

/** Changes the headers after it has signed. */
function changingHeaders(client: S3Client, headers: Record<string, string>): S3Client {
  client.middlewareStack.add(
    next => args => {
      Object.assign((args.request as { headers: object }).headers, headers)
      return next(args)
    },
    { step: 'finalizeRequest', priority: 'low' },
  )
  return client
}

const checksumNames = [
  'ChecksumSHA256',
  'ChecksumSHA1',
  'ChecksumCRC32',
  'ChecksumCRC32C',
  'ChecksumCRC64NVME',
] as const

void t.test('Checksums are verified, kept and told', async group => {
  await group.test('Each kind that the SDK reckons is the one that the double reckons', async test => {
    const { put, head } = await doubleFor(test)
    // the check values of the catalogues of CRCs, and what Node has
    const digits = Buffer.from('123456789')
    const hex = (text: string) => Buffer.from(text, 'hex').toString('base64')
    const expected = {
      ChecksumSHA256: base64('sha256', digits),
      ChecksumSHA1: base64('sha1', digits),
      ChecksumCRC32: hex(crc32(digits).toString(16)),
      ChecksumCRC32C: hex('e3069283'),
      ChecksumCRC64NVME: hex('ae8b14860a799888'),
    }
    for (const name of checksumNames) {
      const ChecksumAlgorithm = name.slice('Checksum'.length) as 'SHA256'
      const stored = await put(name, digits, { ChecksumAlgorithm })
      test.equal(stored[name], expected[name], `the answer to the upload has ${name}`)
      const known = await head(name, { ChecksumMode: 'ENABLED' })
      for (const other of checksumNames) test.equal(known[other], other === name ? expected[name] : undefined)
      test.equal(known.ChecksumType, 'FULL_OBJECT')
      test.equal((await head(name))[name], undefined, 'nobody is told who has not asked')
    }
  })

  await group.test('Without one, the double makes a CRC-64, as S3 does', async test => {
    const { put, head } = await doubleFor(test)
    const stored = await put('plain', '123456789')
    test.equal(stored.ChecksumCRC64NVME, Buffer.from('ae8b14860a799888', 'hex').toString('base64'))
    test.match(await head('plain', { ChecksumMode: 'ENABLED' }), {
      ChecksumCRC64NVME: stored.ChecksumCRC64NVME,
    })
  })

  await group.test('The SDK in its own settings writes and reads', async test => {
    const supported = 'WHEN_SUPPORTED'
    const settings = { requestChecksumCalculation: supported, responseChecksumValidation: supported } as const
    const { double, put, get, upload } = await doubleFor(test, {}, settings)
    await put('bytes', data)
    await put('stream', stream(data), { ContentLength: data.length })
    const large = randomBytes(6 * mib)
    await upload('parts', stream(large))
    for (const key of ['bytes', 'stream']) test.ok((await get(key)).bytes.equals(data))
    test.ok((await get('parts')).bytes.equals(large))
    test.strictSame(
      double.objects().map(({ key, checksum }) => [key, checksum?.algorithm, checksum?.type]),
      [
        ['bytes', 'crc32', 'FULL_OBJECT'],
        ['parts', 'crc32', 'COMPOSITE'],
        ['stream', 'crc32', 'FULL_OBJECT'],
      ],
    )
  })

  await group.test('A wrong one is refused, and nothing is stored', async test => {
    const { double, put } = await doubleFor(test)
    for (const name of checksumNames) {
      const bytes = Buffer.alloc({ SHA256: 32, SHA1: 20, CRC64NVME: 8 }[name.slice(8)] ?? 4)
      await expectRefusal(test, put(name, data, { [name]: bytes.toString('base64') }), 'BadDigest', 400)
      await expectRefusal(test, put(name, data, { [name]: 'AAAA' }), 'InvalidRequest', 400)
    }
    const two = { ChecksumSHA256: base64('sha256', data), ChecksumSHA1: base64('sha1', data) }
    await expectRefusal(test, put('two', data, two), 'InvalidRequest', 400)
    await expectRefusal(test, put('md5', data, { ContentMD5: 'AAAA' }), 'InvalidDigest', 400)
    test.strictSame(double.objects(), [])
  })

  await group.test('One that comes after a stream counts as well', async test => {
    const { double, put, get } = await doubleFor(test)
    await put('stream', stream(data), { ContentLength: data.length, ChecksumAlgorithm: 'SHA256' })
    const [request] = double.requests
    test.equal(request?.headers['x-amz-content-sha256'], 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    test.match(double.objects(), [{ checksum: { algorithm: 'sha256', value: base64('sha256', data) } }])
    test.ok((await get('stream')).bytes.equals(data))
    test.equal((await get('stream')).ContentEncoding, undefined, 'the framing is not part of the object')
  })

  await group.test('A stream whose framing or trailer is wrong is refused', async test => {
    const { double } = await doubleFor(test)
    const ends = `x-amz-checksum-sha256:${base64('sha256', Buffer.from('hello'))}\r\n\r\n`
    const bodies: Record<string, [body: string, name: string, status: number]> = {
      'another checksum': [
        `5\r\nhello\r\n0\r\nx-amz-checksum-sha256:${base64('sha256', data)}\r\n\r\n`,
        'BadDigest',
        400,
      ],
      'other data': [`5\r\nhallo\r\n0\r\n${ends}`, 'BadDigest', 400],
      'no checksum': ['5\r\nhello\r\n0\r\n\r\n', 'MalformedTrailerError', 400],
      'another trailer': [`5\r\nhello\r\n0\r\n${ends.replace('256', '1')}`, 'MalformedTrailerError', 400],
      'less data': [`4\r\nhell\r\n0\r\n${ends}`, 'IncompleteBody', 400],
      'no end': ['5\r\nhello\r\n', 'IncompleteBody', 400],
      'a false length': [`6\r\nhello\r\n0\r\n${ends}`, 'IncompleteBody', 400],
      'no framing': ['hello', 'IncompleteBody', 400],
      'small chunks': [`2\r\nhe\r\n3\r\nllo\r\n0\r\n${ends}`, 'InvalidChunkSizeError', 403],
    }
    for (const [Key, [body, name, status]] of Object.entries(bodies)) {
      const { client, Bucket } = at(test, double)
      const sent = sendingInstead(client, body).send(
        new PutObjectCommand({
          Bucket,
          Key,
          Body: stream(Buffer.from('hello')),
          ContentLength: 5,
          ChecksumAlgorithm: 'SHA256',
        }),
      )
      const refused = await refusal(sent)
      test.match(refused, { name, status }, `${Key} is refused`)
    }
    test.strictSame(double.objects(), [])
  })

  await group.test('That of an upload in parts is made of those of its parts', async test => {
    const { double, upload, head } = await doubleFor(test)
    const large = randomBytes(6 * mib)
    const done = await upload('large', stream(large), { ChecksumAlgorithm: 'SHA256' })
    const parts = [large.subarray(0, 5 * mib), large.subarray(5 * mib)].map(part => hash('sha256', part))
    const ChecksumSHA256 = `${base64('sha256', Buffer.concat(parts))}-2`
    test.equal(done.ChecksumSHA256, ChecksumSHA256)
    const known = await head('large', { ChecksumMode: 'ENABLED' })
    test.match(known, { ChecksumSHA256, ChecksumType: 'COMPOSITE', ContentLength: large.length })
    test.strictSame(double.uploads(), [])
  })

  await group.test('That of an upload in parts can be of the whole', async test => {
    const { client, begin, head } = await doubleFor(test, { minPartSize: 1 })
    const to = await begin('whole', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' })
    const Parts = await Promise.all(
      ['12345', '6789'].map(async (Body, index) => {
        const sent = await client.send(new UploadPartCommand({ ...to, PartNumber: index + 1, Body }))
        return { PartNumber: index + 1, ETag: sent.ETag }
      }),
    )
    await client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload: { Parts } }))
    const known = await head('whole', { ChecksumMode: 'ENABLED' })
    test.match(known, {
      ChecksumCRC32: Buffer.from('cbf43926', 'hex').toString('base64'),
      ChecksumType: 'FULL_OBJECT',
    })
    await expectRefusal(
      test,
      begin('no', { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' }),
      'InvalidRequest',
      400,
    )
  })

  await group.test('Each part of an upload has to have its own, and the end names them all', async test => {
    const { double, client, begin } = await doubleFor(test, { minPartSize: 1 })
    const to = await begin('parts', { ChecksumAlgorithm: 'SHA256' })
    const part = (PartNumber: number, ChecksumAlgorithm?: ChecksumAlgorithm) =>
      client.send(
        new UploadPartCommand({
          ...to,
          PartNumber,
          Body: `part ${PartNumber}`,
          ...(ChecksumAlgorithm && { ChecksumAlgorithm }),
        }),
      )
    await expectRefusal(test, part(1), 'InvalidRequest', 400)
    await expectRefusal(test, part(1, 'CRC32'), 'InvalidRequest', 400)
    const [one, two] = [await part(1, 'SHA256'), await part(2, 'SHA256')]
    test.equal(one.ChecksumSHA256, base64('sha256', Buffer.from('part 1')))

    const complete = (sums: (string | undefined)[], more: object = {}) => {
      const Parts = [one, two].map(({ ETag }, index) => ({
        ETag,
        PartNumber: index + 1,
        ChecksumSHA256: sums[index],
      }))
      return client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload: { Parts }, ...more }))
    }
    const right = [one.ChecksumSHA256, two.ChecksumSHA256]
    await expectRefusal(test, complete([]), 'InvalidRequest', 400)
    await expectRefusal(test, complete([right[1], right[0]]), 'InvalidPart', 400)
    await expectRefusal(test, complete(right, { MpuObjectSize: 13 }), 'InvalidRequest', 400)
    await expectRefusal(test, complete(right, { ChecksumSHA256: base64('sha256', data) }), 'BadDigest', 400)
    await expectRefusal(test, complete(right, { ChecksumType: 'FULL_OBJECT' }), 'BadDigest', 400)
    test.strictSame(double.objects(), [])
    const whole = base64('sha256', Buffer.concat(right.map(sum => Buffer.from(sum ?? '', 'base64'))))
    const done = await complete(right, { MpuObjectSize: 12, ChecksumSHA256: `${whole}-2` })
    test.equal(done.ChecksumSHA256, `${whole}-2`)

    const without = await begin('without')
    const sent = client.send(
      new UploadPartCommand({ ...without, PartNumber: 1, Body: 'x', ChecksumAlgorithm: 'CRC32' }),
    )
    await expectRefusal(test, sent, 'InvalidRequest', 400)
  })
})

void t.test('Signatures are reckoned as AWS does it', async group => {
  // the examples of AWS's documentation, "Signature Calculations for the Authorization Header: Transferring Payload in
  // Multiple Chunks" and "… Including Trailing Headers"
  const credentials = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  }
  const now = () => Date.parse('2013-05-24T00:00:00Z')
  const example = async (test: Test) =>
    (await doubleFor(test, { buckets: ['examplebucket'], credentials, now })).double
  const content = Buffer.alloc(66_560, 'a')
  const framed = (signatures: string[], end: string) =>
    Buffer.concat(
      [content.subarray(0, 65_536), content.subarray(65_536), Buffer.alloc(0)].flatMap((chunk, index) => [
        Buffer.from(`${chunk.length.toString(16)};chunk-signature=${signatures[index]}\r\n`),
        chunk,
        Buffer.from(index < 2 ? '\r\n' : end),
      ]),
    )
  const headers = {
    host: 's3.amazonaws.com',
    'content-encoding': 'aws-chunked',
    'x-amz-date': '20130524T000000Z',
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
  }
  const authorization = (names: string, signature: string) =>
    `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,` +
    `SignedHeaders=${names},Signature=${signature}`
  const inChunks = {
    ...headers,
    'content-length': '66824',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    authorization: authorization(
      'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
      '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    ),
  }
  const chunkSignatures = [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ]
  const withTrailer = {
    ...headers,
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    'x-amz-trailer': 'x-amz-checksum-crc32c',
    authorization: authorization(
      'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
      '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    ),
  }
  const trailerChunks = [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
  ]
  const trailer =
    'x-amz-checksum-crc32c:sOO8/Q==\r\n' +
    'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n'

  await group.test('A body in signed chunks', async test => {
    const double = await example(test)
    const send = (body: Buffer) => sendRaw(double, 'PUT', '/examplebucket/chunkObject.txt', inChunks, body)
    test.match(await send(framed(chunkSignatures, '\r\n')), { status: 200 })
    test.ok(double.objects()[0]?.body.equals(content))
    const spoilt = framed(chunkSignatures, '\r\n')
    spoilt[1000] = 98
    test.match(await send(spoilt), { status: 403, text: /<Code>SignatureDoesNotMatch</ })
    const swapped = framed(chunkSignatures.toSpliced(1, 1, '0'.repeat(64)), '\r\n')
    test.match(await send(swapped), { status: 403, text: /<Code>SignatureDoesNotMatch</ })
  })

  await group.test('A body in signed chunks with a signed trailer', async test => {
    const double = await example(test)
    const send = (end: string) => {
      const body = framed(trailerChunks, end)
      const length = { 'content-length': String(body.length) }
      return sendRaw(double, 'PUT', '/examplebucket/chunkObject.txt', { ...withTrailer, ...length }, body)
    }
    test.match(await send(trailer.replace('sOO8', 'sOO7')), {
      status: 403,
      text: /<Code>SignatureDoesNotMatch</,
    })
    test.match(await send(trailer.replace(/x-amz-trailer.*\r\n/, '')), { status: 403 })
    test.strictSame(double.objects(), [])
    test.match(await send(trailer), { status: 200, headers: { 'x-amz-checksum-crc32c': 'sOO8/Q==' } })
    test.ok(double.objects()[0]?.body.equals(content))
  })

  await group.test('A request that is not as it was signed is refused', async test => {
    const { double } = await doubleFor(test)
    const { client, Bucket, put } = at(test, double)
    await put('key', data)
    const refusals: [(client: S3Client) => S3Client, string, number][] = [
      [changed => changingHeaders(changed, { 'x-amz-meta-more': 'more' }), 'AccessDenied', 403],
      [changed => changingHeaders(changed, { 'content-type': 'text/plain' }), 'SignatureDoesNotMatch', 403],
      [
        changed => changingHeaders(changed, { authorization: 'Basic eDp5' }),
        'AuthorizationHeaderMalformed',
        400,
      ],
      [changed => sendingInstead(changed, 'y'), 'XAmzContentSHA256Mismatch', 400],
    ]
    for (const [change, name, status] of refusals) {
      const changed = change(clientOf(test, double))
      await expectRefusal(
        test,
        changed.send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'x' })),
        name,
        status,
      )
    }
    const elsewhere = at(test, { ...double, region: 'eu-central-1' })
    await expectRefusal(test, elsewhere.put('key', 'x'), 'AuthorizationHeaderMalformed', 400)
    test.match(await sendRaw(double, 'GET', `/${Bucket}/key`), { status: 403, text: /<Code>AccessDenied</ })
    test.ok(double.objects()[0]?.body.equals(data), 'nothing was stored')
    test.equal((await client.send(new GetObjectCommand({ Bucket, Key: 'key' }))).ContentLength, data.length)
  })

  await group.test('It is the clock of the double that counts', async test => {
    const { double, put } = await doubleFor(test, { now: () => noon })
    await expectRefusal(test, put('now', 'x'), 'RequestTimeTooSkewed', 403)
    // the SDK sets its clock by the answer
    const patient = at(test, double, { maxAttempts: 2 })
    await patient.put('now', 'x')
    test.equal((await patient.head('now')).LastModified?.getTime(), noon)
    const { client, Bucket } = at(test, double)
    const stranger = at(test, double, { credentials: { accessKeyId: 'nobody', secretAccessKey: 'x' } })
    await expectRefusal(test, stranger.put('x', 'x'), 'InvalidAccessKeyId', 403)
    test.equal(Bucket, double.bucket)
    test.ok(client)
  })
})

type RawAnswer = { status: number; headers: Record<string, unknown>; text: string }

/** A request without the SDK. */
function sendRaw(
  { url }: S3Double,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Buffer,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}${path}`, { method, headers, agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    // no header but those that are given
    request.useChunkedEncodingByDefault = false
    request.on('error', reject).end(body)
  })
}

void t.test('A request that no SDK would send is refused', async test => {
  const { double, Bucket } = await doubleFor(test)
  const path = `/${Bucket}/key`
  const body = Buffer.from('<Delete><Object><Key>key</Key></Object></Delete>')
  const length = { 'content-length': String(body.length) }
  const sha256 = { 'x-amz-checksum-sha256': base64('sha256', body) }
  const refusals: [Sent: Partial<Signing>, status: number, code: string][] = [
    [{ headers: { 'transfer-encoding': 'chunked' }, body }, 501, 'NotImplemented'],
    [{ headers: {} }, 411, 'MissingContentLength'],
    [{ method: 'POST', query: 'delete=', path: `/${Bucket}`, headers: length, body }, 400, 'InvalidRequest'],
    [{ headers: { ...length, 'x-amz-sdk-checksum-algorithm': 'SHA256' }, body }, 400, 'InvalidRequest'],
    [
      { headers: { ...length, ...sha256, 'x-amz-sdk-checksum-algorithm': 'SHA1' }, body },
      400,
      'InvalidRequest',
    ],
    [{ headers: length, body, scopeDay: '20260101' }, 400, 'AuthorizationHeaderMalformed'],
    [{ headers: length, body, path: '/%zz/key' }, 400, 'InvalidArgument'],
  ]
  for (const [given, status, code] of refusals) {
    const refused = await sendSigned(double, { method: 'PUT', path, headers: {}, ...given })
    test.match(refused, { status, text: new RegExp(`<Code>${code}<`) }, `it is refused with ${code}`)
  }
  test.strictSame(double.objects(), [])
  test.match(await sendSigned(double, { method: 'PUT', path, headers: length, body }), { status: 200 })
  test.ok(double.objects()[0]?.body.equals(body), 'and so it is not for the way in which it was signed')
})

void t.test('What a client does not send to its end is not stored', async test => {
  const { double, Bucket } = await doubleFor(test)
  const headers = { 'content-length': '1000' }
  const signed = signedHeaders(double, { method: 'PUT', path: `/${Bucket}/key`, headers })
  const request = httpRequest(`${double.url}/${Bucket}/key`, { method: 'PUT', headers: signed, agent: false })
  request.on('error', () => {}).write('only this much')
  while (double.requests.length === 0) await new Promise(resolve => setImmediate(resolve))
  request.destroy()
  // by the answer to another request it has seen the end of the first
  await new Promise(resolve => request.on('close', resolve))
  await sendSigned(double, { method: 'HEAD', path: `/${Bucket}`, headers: {} })
  test.strictSame(double.objects(), [])
  test.match(double.requests, [
    { operation: 'PutObject', status: 0 },
    { operation: 'HeadBucket', status: 200 },
  ])
})

type Signing = {
  method: string
  path: string
  query?: string
  headers: Record<string, string>
  body?: Buffer
  /** Where the scope of the signature has another day than the request. */
  scopeDay?: string
}

/** AWS Signature Version 4 once more, as short as it can be: the body is not signed, and all headers are. */
function signedHeaders({ url, credentials, region }: S3Double, signing: Signing): Record<string, string> {
  const { method, path, query = '', headers } = signing
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = [signing.scopeDay ?? date.slice(0, 8), region, 's3', 'aws4_request']
  const payload = 'UNSIGNED-PAYLOAD'
  const own = { ...headers, host: new URL(url).host, 'x-amz-content-sha256': payload, 'x-amz-date': date }
  const lines = Object.entries(own).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const names = lines.map(([name]) => name).join(';')
  const canonical = [method, path, query, ...lines.map(line => line.join(':')), '', names, payload].join('\n')
  const hashed = hash('sha256', Buffer.from(canonical)).toString('hex')
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), hashed].join('\n')
  const key = [...scope, text].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${credentials.secretAccessKey}`,
  )
  const credential = `Credential=${credentials.accessKeyId}/${scope.join('/')}`
  const signature = `Signature=${Buffer.from(key).toString('hex')}`
  return { ...own, authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, ${signature}` }
}

function sendSigned(double: S3Double, signing: Signing): Promise<RawAnswer> {
  const { method, path, query, body } = signing
  const target = query === undefined ? path : `${path}?${query}`
  return sendRaw(double, method, target, signedHeaders(double, signing), body)
}

void t.test('A write can be made to depend on there being no such object', async test => {
  const { double, client, Bucket, put, get, begin } = await doubleFor(test, { minPartSize: 1 })
  await put('first', 'one', { IfNoneMatch: '*' })
  await expectRefusal(test, put('first', 'two', { IfNoneMatch: '*' }), 'PreconditionFailed', 412)
  await expectRefusal(test, put('first', 'two', { IfNoneMatch: '"etag"' }), 'NotImplemented', 501)
  await expectRefusal(test, put('first', 'two', { IfMatch: '"etag"' }), 'NotImplemented', 501)

  const to = await begin('first')
  const { ETag } = await client.send(new UploadPartCommand({ ...to, PartNumber: 1, Body: 'two' }))
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  const complete = () =>
    client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload, IfNoneMatch: '*' }))
  await expectRefusal(test, complete(), 'PreconditionFailed', 412)
  test.equal((await get('first')).bytes.toString(), 'one')
  test.equal(double.uploads().length, 1, 'the upload stays')
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'first' }))
  await complete()
  test.equal((await get('first')).bytes.toString(), 'two')

  const busy = { kind: 'error', code: 'ConditionalRequestConflict' } as const
  const [conflict] = double.setFaults([{ when: { operation: 'PutObject', times: 1 }, do: busy }])
  await expectRefusal(test, put('second', 'x', { IfNoneMatch: '*' }), 'ConditionalRequestConflict', 409)
  await put('second', 'x', { IfNoneMatch: '*' })
  test.equal(conflict?.fired, 1)
})

void t.test('Storage classes are kept, and archives opened first', async group => {
  await group.test('An object says of which class it is', async test => {
    const { client, Bucket, put, head, upload } = await doubleFor(test)
    const classes: StorageClass[] = ['STANDARD', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING']
    classes.push('GLACIER', 'DEEP_ARCHIVE', 'GLACIER_IR')
    for (const each of classes) await put(each, 'x', { StorageClass: each })
    for (const each of classes)
      test.equal((await head(each)).StorageClass, each === 'STANDARD' ? undefined : each, `${each} in Head`)
    await upload('large', stream(Buffer.alloc(6 * mib)), { StorageClass: 'DEEP_ARCHIVE' })
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }))
    test.strictSame(
      Contents?.map(each => [each.Key, each.StorageClass]),
      [...classes.map(each => [each, each]), ['large', 'DEEP_ARCHIVE']].toSorted(([a = ''], [b = '']) =>
        a < b ? -1 : 1,
      ),
    )
    await expectRefusal(
      test,
      put('x', 'x', { StorageClass: 'COLD' as StorageClass }),
      'InvalidStorageClass',
      400,
    )
  })

  await group.test('What is in an archive has to be restored before it can be read', async test => {
    let now = noon
    const hour = 3_600_000
    const options = { now: () => now, restoreMs: 12 * hour }
    const { double, client, Bucket, put, head, get } = await doubleFor(test, options, {
      systemClockOffset: noon - Date.now(),
    })
    const restore = (Key: string, Days: number, Tier: Tier = 'Standard') =>
      client.send(
        new RestoreObjectCommand({ Bucket, Key, RestoreRequest: { Days, GlacierJobParameters: { Tier } } }),
      )
    // the client's clock goes with the double's
    const pass = (ms: number) => {
      now += ms
      client.config.systemClockOffset = now - Date.now()
    }
    await put('cold', data, { StorageClass: 'DEEP_ARCHIVE' })
    await put('cool', data, { StorageClass: 'GLACIER' })
    await put('near', data, { StorageClass: 'GLACIER_IR' })
    test.ok((await get('near')).bytes.equals(data), 'one class is an archive by name only')
    await expectRefusal(test, restore('near', 1), 'InvalidObjectState', 403)
    for (const key of ['cold', 'cool']) await expectRefusal(test, get(key), 'InvalidObjectState', 403)
    test.equal((await head('cold')).Restore, undefined)
    await expectRefusal(test, restore('cold', 1, 'Expedited'), 'InvalidArgument', 400)
    await expectRefusal(test, restore('cold', 0), 'MalformedXML', 400)
    await expectRefusal(test, restore('nothing', 1), 'NoSuchKey', 404)

    test.equal((await restore('cool', 1, 'Expedited')).$metadata.httpStatusCode, 202)
    test.equal((await restore('cold', 3)).$metadata.httpStatusCode, 202)
    await expectRefusal(test, restore('cold', 3), 'RestoreAlreadyInProgress', 409)
    test.equal(
      await restore('cool', 1, 'Bulk').catch((error: Error) => error.name),
      'RestoreAlreadyInProgress',
    )
    test.equal((await head('cold')).Restore, 'ongoing-request="true"')
    await expectRefusal(test, get('cold'), 'InvalidObjectState', 403)

    pass(12 * hour)
    test.equal(
      (await head('cold')).Restore,
      'ongoing-request="false", expiry-date="Fri, 20 Mar 2026 00:00:00 GMT"',
      'three days from midnight on, rounded up',
    )
    test.ok((await get('cold')).bytes.equals(data))
    test.equal((await head('cold')).StorageClass, 'DEEP_ARCHIVE')
    test.equal((await restore('cold', 4)).$metadata.httpStatusCode, 200)
    test.match((await head('cold')).Restore, /21 Mar 2026/)

    pass(6 * 24 * hour)
    await expectRefusal(test, get('cold'), 'InvalidObjectState', 403)
    test.equal((await head('cold')).Restore, undefined)
    test.equal((await restore('cold', 1)).$metadata.httpStatusCode, 202)
    test.equal(double.objects().length, 3)
  })
})

void t.test('Object Lock', async group => {
  const hour = 3_600_000
  const soon = () => new Date(Date.now() + hour)

  await group.test('A locked version stays, whatever is deleted or stored over it', async test => {
    let now = Date.now()
    const { double, client, Bucket, put, head, get } = await doubleFor(test, {
      objectLock: true,
      now: () => now,
    })
    const until = soon()
    const lock = {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
      ChecksumAlgorithm: 'SHA256',
    } as const
    const { VersionId } = await put('kept', data, lock)
    test.match(await head('kept'), {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: until,
      VersionId,
    })
    await put('kept', 'newer')
    test.equal((await get('kept')).bytes.toString(), 'newer')
    test.ok((await get('kept', { VersionId })).bytes.equals(data))

    const remove = (version?: string, BypassGovernanceRetention?: boolean) =>
      client.send(
        new DeleteObjectCommand({
          Bucket,
          Key: 'kept',
          VersionId: version,
          BypassGovernanceRetention,
        } as object as never),
      ) as Promise<{ DeleteMarker?: boolean; VersionId?: string }>
    const marker = await remove()
    test.match(marker, { DeleteMarker: true, VersionId: String })
    await expectRefusal(test, get('kept'), 'NoSuchKey', 404)
    test.equal((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0)
    test.ok((await get('kept', { VersionId })).bytes.equals(data), 'the version is still there')
    await expectRefusal(test, remove(VersionId), 'AccessDenied', 403)
    await expectRefusal(test, remove(VersionId, true), 'AccessDenied', 403)
    const Objects = [{ Key: 'kept', VersionId }]
    const several = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
    test.match(several.Errors, [{ Key: 'kept', Code: 'AccessDenied' }])
    test.strictSame(double.objects(), [])
    test.match(double.versions(), [
      { key: 'kept', deleted: true },
      { key: 'kept', deleted: false },
      { key: 'kept', deleted: false, versionId: VersionId },
    ])

    await remove(marker.VersionId)
    test.equal((await get('kept')).bytes.toString(), 'newer', 'without the marker it is there again')
    now += hour + 1000
    client.config.systemClockOffset = now - Date.now()
    await remove(VersionId)
    await expectRefusal(test, get('kept', { VersionId }), 'NoSuchVersion', 404)
  })

  await group.test('Who may, takes a version out of governance', async test => {
    const { client, Bucket, put } = await doubleFor(test, { objectLock: true })
    const lock = { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: soon() } as const
    const { VersionId } = await put('kept', data, { ...lock, ContentMD5: base64('md5', data) })
    const version = { Bucket, Key: 'kept', ...(VersionId && { VersionId }) }
    await expectRefusal(test, client.send(new DeleteObjectCommand(version)), 'AccessDenied', 403)
    await client.send(new DeleteObjectCommand({ ...version, BypassGovernanceRetention: true }))
    await expectRefusal(test, client.send(new GetObjectCommand({ Bucket, Key: 'kept' })), 'NoSuchKey', 404)
  })

  await group.test('An upload in parts is locked from its end on', async test => {
    const { double, upload } = await doubleFor(test, { objectLock: true })
    const until = soon()
    const lock = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until } as const
    await upload('large', stream(Buffer.alloc(6 * mib)), { ...lock, ChecksumAlgorithm: 'SHA256' })
    test.match(double.objects(), [{ lock: { mode: 'COMPLIANCE', retainUntil: until.toISOString() } }])
  })

  await group.test('A lock that does not hold is refused', async test => {
    const { double, client, put, begin } = await doubleFor(test, { objectLock: true })
    const ChecksumAlgorithm = 'SHA256'
    const ObjectLockMode = 'COMPLIANCE'
    const ObjectLockRetainUntilDate = soon()
    const refusals: [PutMore, string][] = [
      [{ ObjectLockMode, ObjectLockRetainUntilDate }, 'InvalidRequest'],
      [{ ObjectLockMode, ChecksumAlgorithm }, 'InvalidArgument'],
      [{ ObjectLockRetainUntilDate, ChecksumAlgorithm }, 'InvalidArgument'],
      [{ ObjectLockMode, ObjectLockRetainUntilDate: new Date(0), ChecksumAlgorithm }, 'InvalidArgument'],
      [
        { ObjectLockMode: 'FOREVER' as 'COMPLIANCE', ObjectLockRetainUntilDate, ChecksumAlgorithm },
        'InvalidArgument',
      ],
    ]
    for (const [more, name] of refusals) await expectRefusal(test, put('x', 'x', more), name, 400)
    const to = await begin('x', { ObjectLockMode, ObjectLockRetainUntilDate })
    await expectRefusal(
      test,
      client.send(new UploadPartCommand({ ...to, PartNumber: 1, Body: 'x' })),
      'InvalidRequest',
      400,
    )
    test.strictSame(double.versions(), [])
    const open = await doubleFor(test)
    const lock = { ObjectLockMode, ObjectLockRetainUntilDate, ChecksumAlgorithm } as const
    await expectRefusal(test, open.put('x', 'x', lock), 'InvalidRequest', 400)
  })
})

void t.test('What the double does not know it refuses', async group => {
  const { double, client, Bucket, put, begin } = await doubleFor(group)

  await group.test('Operations and parameters', async test => {
    const Key = 'key'
    await put(Key, 'x')
    const commands = [
      new ListBucketsCommand({}),
      new ListObjectsCommand({ Bucket }),
      new ListObjectVersionsCommand({ Bucket }),
      new GetObjectTaggingCommand({ Bucket, Key }),
      new GetObjectCommand({ Bucket, Key, PartNumber: 1 }),
      new GetObjectCommand({ Bucket, Key, IfModifiedSince: new Date(0) }),
      new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/${Key}` }),
      new PutObjectCommand({ Bucket, Key, Body: 'y', ServerSideEncryption: 'aws:kms' }),
      new PutObjectCommand({ Bucket, Key, Body: 'y', ACL: 'public-read' }),
      new PutObjectCommand({ Bucket, Key, Body: 'y', Tagging: 'a=b' }),
      new DeleteBucketCommand({ Bucket }),
    ]
    for (const command of commands) {
      const refused = await refusal(client.send(command as never))
      test.match(refused, { name: 'NotImplemented', status: 501 }, `${command.constructor.name} is refused`)
    }
    test.match(double.objects(), [{ key: Key, body: Buffer.from('x') }])
  })

  await group.test('What S3 refuses as well', async test => {
    await expectRefusal(test, put('k'.repeat(1025), 'x'), 'KeyTooLongError', 400)
    await expectRefusal(
      test,
      put('x', 'x', { Metadata: { long: 'x'.repeat(2048) } }),
      'MetadataTooLarge',
      400,
    )
    const to = await begin('upload')
    const other = new UploadPartCommand({ ...to, Key: 'other', PartNumber: 1, Body: 'x' })
    await expectRefusal(test, client.send(other), 'NoSuchUpload', 404)
    const none = new UploadPartCommand({ ...to, PartNumber: 0, Body: 'x' })
    await expectRefusal(test, client.send(none), 'InvalidArgument', 400)
    const bodies = [
      '',
      'text',
      '<Delete>',
      '<Delete></Delete>',
      '<Other><Object><Key>x</Key></Object></Other>',
    ]
    for (const body of bodies.concat(
      '<Delete/><Delete/>',
      '<Delete><Object><Key>&no;</Key></Object></Delete>',
    )) {
      const spoilt = withBody(clientOf(test, double), body)
      const sent = spoilt.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'x' }] } }))
      test.match(await refusal(sent), { name: 'MalformedXML', status: 400 }, `${body} is no list of objects`)
    }
  })
})

/** Sends another body, with a signature and an MD5 that are right. */
function withBody(client: S3Client, body: string): S3Client {
  client.middlewareStack.add(
    next => args => {
      const request = args.request as { headers: Record<string, string>; body: string }
      for (const name of Object.keys(request.headers)) if (/checksum/.test(name)) delete request.headers[name]
      request.headers['content-length'] = String(body.length)
      request.headers['content-md5'] = base64('md5', Buffer.from(body))
      request.body = body
      return next(args)
    },
    { step: 'build', priority: 'low' },
  )
  return client
}

void t.test('A listing is what a plain reading of the rules gives', async test => {
  const key = fc.string({
    unit: fc.constantFrom('a', 'b', '/', '&', 'é', '\u{1F680}', '\uFFFD'),
    minLength: 1,
    maxLength: 6,
  })
  const keys = fc.uniqueArray(key, { maxLength: 12 })
  const prefixes = fc.constantFrom('', 'a', 'a/', 'b', '/')
  const { client, Bucket, put, double } = await doubleFor(test)
  const property = fc.asyncProperty(
    keys,
    prefixes,
    fc.boolean(),
    fc.integer({ min: 1, max: 5 }),
    async (names, Prefix, byFolder, MaxKeys) => {
      for (const { key: old } of double.objects())
        await client.send(new DeleteObjectCommand({ Bucket, Key: old }))
      for (const name of names) await put(name, 'x')
      const bytes = (name: string) => Buffer.from(name).toString('hex')
      const expected = new Set(
        names
          .filter(name => name.startsWith(Prefix))
          .map(name => {
            const rest = name.slice(Prefix.length)
            return byFolder && rest.includes('/') ? `${Prefix}${rest.split('/')[0]}/ folder` : name
          })
          .toSorted((a, b) => (bytes(a) < bytes(b) ? -1 : 1)),
      )
      const listed: string[] = []
      let ContinuationToken: string | undefined
      do {
        const Delimiter = byFolder ? '/' : undefined
        const page = await client.send(
          new ListObjectsV2Command({ Bucket, Prefix, MaxKeys, Delimiter, ContinuationToken }),
        )
        const objects = page.Contents?.map(each => each.Key ?? '') ?? []
        const folders = page.CommonPrefixes?.map(each => `${each.Prefix} folder`) ?? []
        const both = [...objects, ...folders].toSorted((a, b) => (bytes(a) < bytes(b) ? -1 : 1))
        if (both.length !== page.KeyCount || both.length > MaxKeys) return false
        listed.push(...both)
        ContinuationToken = page.NextContinuationToken
        if (page.IsTruncated !== (ContinuationToken !== undefined)) return false
      } while (ContinuationToken)
      return listed.join('\n') === [...expected].join('\n')
    },
  )
  await checkAsync(property, runs(20))
  const { MaxKeys: most } = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 2000 }))
  test.equal(most, 1000)
})

void t.test('Another double goes on with the store of the first', async test => {
  const first = await doubleFor(test, { buckets: ['one', 'two'], minPartSize: 1 })
  await first.put('kept', data)
  const to = await first.begin('large')
  const { ETag } = await first.client.send(new UploadPartCommand({ ...to, PartNumber: 1, Body: data }))
  test.equal(first.double.objects('two').length, 0)
  test.throws(() => first.double.objects('three'))
  await first.double.close()
  await test.rejects(at(test, first.double).get('kept'), { code: 'ECONNREFUSED' })

  const port = Number(new URL(first.double.url).port)
  const again = await doubleFor(test, { buckets: ['one', 'two'], store: first.double.store, port })
  test.equal(again.double.url, first.double.url)
  test.ok((await again.get('kept')).bytes.equals(data))
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  await again.client.send(new CompleteMultipartUploadCommand({ ...to, MultipartUpload }))
  test.ok((await again.get('large')).bytes.equals(data))
})

void t.test('All requests are kept on record', async test => {
  const { double, put, get, upload } = await doubleFor(test)
  await put('one', data)
  await test.rejects(get('nothing'))
  await upload('large', stream(Buffer.alloc(6 * mib)))
  const seen = double.requests.map(({ operation, key, status, code }) => [operation, key, status, code])
  const [last, ...parts] = [seen.pop(), ...seen.slice(3)]
  test.strictSame(seen.slice(0, 3), [
    ['PutObject', 'one', 200, undefined],
    ['GetObject', 'nothing', 404, 'NoSuchKey'],
    ['CreateMultipartUpload', 'large', 200, undefined],
  ])
  test.strictSame(
    parts,
    Array.from({ length: 2 }, () => ['UploadPart', 'large', 200, undefined]),
  )
  test.strictSame(last, ['CompleteMultipartUpload', 'large', 200, undefined])
  await put('one', 'again')
  test.equal(double.versions().length, 2, 'a bucket without Object Lock keeps no older version')
  test.match(double.requests[0], {
    method: 'PUT',
    bytes: data.length,
    headers: { host: String },
    bucket: double.bucket,
  })
  const error = await get('nothing').catch((thrown: unknown) => thrown)
  test.match(error, { $metadata: { requestId: /^[0-9A-F]{16}$/ } }, 'each has an id')
})

type Trial = (test: Test, here: Awaited<ReturnType<typeof doubleFor>>) => Promise<void>

// Each fault, on a double with the object `there` in it: rules in force, what a client sees, what is stored.
const faults: Record<S3Fault['kind'], { do: S3Fault; operation: Operation; trial: Trial }[]> = {
  error: [
    {
      do: { kind: 'error', code: 'SlowDown' },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await expectRefusal(test, put('new', data), 'SlowDown', 503)
        test.equal(double.objects().length, 1)
      },
    },
    {
      do: { kind: 'error', code: 'AccessDenied', message: 'No' },
      operation: 'GetObject',
      trial: async (test, { get }) => {
        const refused = await expectRefusal(test, get('there'), 'AccessDenied', 403)
        test.equal(refused.message, 'No')
      },
    },
    {
      do: { kind: 'error', code: 'InternalError', early: true },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await expectRefusal(test, put('new', Buffer.alloc(3 * mib)), 'InternalError', 500)
        test.match(double.requests.at(-1), { bytes: 0, status: 500 })
      },
    },
    {
      do: { kind: 'error', code: 'RequestTimeout' },
      operation: 'HeadObject',
      // an answer to HEAD has no body to say more
      trial: async (test, { head }) => {
        test.match(await refusal(head('there')), { status: 400 })
      },
    },
  ],
  errorIn200: [
    {
      do: { kind: 'errorIn200', code: 'InternalError' },
      operation: 'CompleteMultipartUpload',
      trial: async (test, { double, upload }) => {
        const refused = await refusal(upload('large', stream(Buffer.alloc(6 * mib))))
        test.equal(refused.name, 'InternalError')
        test.strictSame(
          double.requests.find(({ operation }) => operation === 'CompleteMultipartUpload')?.status,
          200,
        )
        test.equal(double.objects().length, 1)
      },
    },
  ],
  cutRequest: [
    {
      do: { kind: 'cutRequest' },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await expectCut(test, put('new', Buffer.alloc(3 * mib)))
        test.equal(double.objects().length, 1)
        test.equal(double.requests.at(-1)?.status, 0)
      },
    },
    {
      do: { kind: 'cutRequest', after: 10 },
      operation: 'HeadObject',
      trial: async (test, { head }) => expectCut(test, head('there')),
    },
  ],
  cutAnswer: [
    {
      do: { kind: 'cutAnswer' },
      operation: 'GetObject',
      trial: async (test, { get }) => expectCut(test, get('there')),
    },
    {
      do: { kind: 'cutAnswer' },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await expectCut(test, put('new', 'x'))
        test.equal(double.objects().length, 2)
      },
    },
  ],
  loseAnswer: [
    {
      do: { kind: 'loseAnswer' },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        // the trap of a second try: it meets what the first one has left
        await expectCut(test, put('new', data, { IfNoneMatch: '*' }))
        test.equal(double.objects().length, 2)
        await expectRefusal(test, put('new', data, { IfNoneMatch: '*' }), 'PreconditionFailed', 412)
      },
    },
  ],
  stall: [
    {
      do: { kind: 'stall' },
      operation: 'PutObject',
      trial: async (test, { double, client, Bucket }) => {
        await expectNoAnswer(test, double, 'PutObject', abortSignal =>
          client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: 'x' }), { abortSignal }),
        )
        test.equal(double.objects().length, 1)
      },
    },
  ],
  stallAnswer: [
    {
      do: { kind: 'stallAnswer' },
      operation: 'PutObject',
      trial: async (test, { double, client, Bucket }) => {
        await expectNoAnswer(test, double, 'PutObject', abortSignal =>
          client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: 'x' }), { abortSignal }),
        )
        test.equal(double.objects().length, 2, 'it has been carried out')
      },
    },
    {
      do: { kind: 'stallAnswer' },
      operation: 'GetObject',
      trial: async (test, { double, client, Bucket }) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'there' }))
        let bytes = 0
        const body = Body as Readable
        for await (const part of body as AsyncIterable<Buffer>) {
          bytes += part.length
          if (bytes === data.length >> 1) break
        }
        test.equal(bytes, data.length >> 1, 'half of it comes')
        test.equal(double.requests.at(-1)?.status, 200)
      },
    },
  ],
  late: [
    {
      do: { kind: 'late', ms: 50 },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await put('new', 'x')
        test.equal(double.objects().length, 2)
      },
    },
  ],
  truncateStored: [
    {
      do: { kind: 'truncateStored' },
      operation: 'PutObject',
      trial: async (test, { put, head, get }) => {
        const { ETag } = await put('new', data, { ChecksumAlgorithm: 'SHA256' })
        const half = data.subarray(0, data.length >> 1)
        test.ok((await get('new')).bytes.equals(half))
        const known = await head('new', { ChecksumMode: 'ENABLED' })
        test.match(known, { ContentLength: half.length, ChecksumSHA256: base64('sha256', half), ETag })
        test.equal(ETag, `"${hash('md5', half).toString('hex')}"`)
      },
    },
    {
      do: { kind: 'truncateStored', keep: 10, tells: 'sent' },
      operation: 'PutObject',
      trial: async (test, { put, head, get }) => {
        await put('new', data, { ChecksumAlgorithm: 'SHA256' })
        const known = await head('new', { ChecksumMode: 'ENABLED' })
        test.match(known, { ContentLength: 10, ChecksumSHA256: base64('sha256', data) })
        test.equal((await get('new')).bytes.length, 10)
      },
    },
    {
      do: { kind: 'truncateStored', keep: 7 },
      operation: 'UploadPart',
      // a trap that has been met: the SDK hands back what it was told of each part, and all looks well
      trial: async (test, { upload, get }) => {
        const large = randomBytes(5 * mib + 1000)
        await upload('new', stream(large), { ChecksumAlgorithm: 'SHA256' })
        test.equal((await get('new')).bytes.length, 5 * mib + 7)
      },
    },
  ],
  flipStored: [
    {
      do: { kind: 'flipStored', at: 5 },
      operation: 'PutObject',
      trial: async (test, { double, put, head, get }) => {
        await put('new', data, { ChecksumAlgorithm: 'SHA256' })
        test.match(await head('new', { ChecksumMode: 'ENABLED' }), { ChecksumSHA256: base64('sha256', data) })
        const expected = Buffer.from(data)
        expected[5] = (data[5] ?? 0) ^ 1
        test.ok((await get('new')).bytes.equals(expected))
        const careful = at(test, double, { responseChecksumValidation: 'WHEN_SUPPORTED' })
        await test.rejects(
          careful.get('new'),
          /Checksum mismatch/,
          'a client that looks at the checksum sees it',
        )
      },
    },
  ],
  flipAnswer: [
    {
      do: { kind: 'flipAnswer' },
      operation: 'GetObject',
      trial: async (test, { double, get }) => {
        const { bytes } = await get('there')
        test.notOk(bytes.equals(data))
        test.equal(bytes.length, data.length)
        test.ok(double.objects()[0]?.body.equals(data), 'what is stored is as it was')
      },
    },
  ],
  ignoreChecksums: [
    {
      do: { kind: 'ignoreChecksums' },
      operation: 'PutObject',
      trial: async (test, { double, put, head }) => {
        const stored = await put('new', data, { ChecksumSHA256: base64('sha256', Buffer.from('other')) })
        test.equal(stored.ChecksumSHA256, undefined)
        test.match(double.objects()[0], { key: 'new', checksum: undefined })
        test.equal((await head('new', { ChecksumMode: 'ENABLED' })).ChecksumSHA256, undefined)
      },
    },
  ],
  refuseIfNoneMatch: [
    {
      do: { kind: 'refuseIfNoneMatch' },
      operation: 'PutObject',
      trial: async (test, { double, put }) => {
        await expectRefusal(test, put('new', data, { IfNoneMatch: '*' }), 'NotImplemented', 501)
        test.equal(double.objects().length, 1)
      },
    },
  ],
  keepFraming: [
    {
      do: { kind: 'keepFraming' },
      operation: 'PutObject',
      trial: async (test, { put, get }) => {
        await put('new', stream(data), { ContentLength: data.length, ChecksumAlgorithm: 'SHA256' })
        test.match((await get('new')).bytes.toString('latin1'), /^10000\r\n[^]*x-amz-checksum-sha256:/)
      },
    },
  ],
}

/** That the connection has been cut; where in the answer, the SDK has different words for it. */
async function expectCut(test: Test, promise: Promise<unknown>) {
  const failed = await refusal(promise)
  test.match(`${failed.code} ${failed.name} ${failed.message}`, /ECONNRESET|EPIPE|aborted|socket hang up/)
}

/** That no answer comes: nothing but an end of the client's own patience ends the waiting. */
async function expectNoAnswer(
  test: Test,
  double: S3Double,
  operation: Operation,
  send: (abortSignal: AbortSignal) => Promise<unknown>,
) {
  const patience = new AbortController()
  const before = double.requests.length
  const sent = refusal(send(patience.signal))
  while (double.requests.length === before || !double.requests.at(-1)?.faults.length)
    await new Promise(resolve => setImmediate(resolve))
  test.equal(double.requests.at(-1)?.operation, operation)
  patience.abort()
  test.equal((await sent).name, 'AbortError')
}

void t.test('Faults can be had on demand, and are counted', async group => {
  for (const [kind, trials] of Object.entries(faults)) {
    await group.test(`A fault of the kind ${kind}`, async test => {
      for (const { do: fault, operation, trial } of trials) {
        const here = await doubleFor(test)
        await here.put('there', data)
        const [rule] = here.double.setFaults([{ when: { operation, times: 1 }, do: fault }])
        await trial(test, here)
        test.equal(rule?.fired, 1, 'it is counted')
        test.strictSame(
          here.double.requests.flatMap(request => request.faults),
          [kind],
          'and on record',
        )
        await here.double.close()
      }
    })
  }

  await group.test('A rule says which requests, from which on and how often', async test => {
    const { double, put, get, head } = await doubleFor(test)
    const busy: S3Fault = { kind: 'error', code: 'SlowDown' }
    const outcomes = async (keys: string[]) => {
      const results: string[] = []
      for (const key of keys)
        results.push(
          await put(key, 'x').then(
            () => 'stored',
            (error: Error) => error.name,
          ),
        )
      return results
    }
    const same = (count: number) => Array.from({ length: count }, () => 'x')
    const rules: [S3FaultRule['when'], string[], number[]][] = [
      [{}, same(3), [0, 1, 2]],
      [{ times: 2 }, same(3), [0, 1]],
      [{ nth: 2 }, same(3), [1]],
      [{ nth: 2, times: 2 }, same(4), [1, 2]],
      [{ every: 2 }, same(4), [0, 2]],
      [{ key: 'b' }, ['a', 'b', 'bb'], [1]],
      [{ key: /^b/ }, ['a', 'b', 'bb'], [1, 2]],
      [{ bucket: 'other' }, same(2), []],
      [{ operation: ['UploadPart', 'PutObject'] }, same(2), [0, 1]],
      [{ operation: 'UploadPart' }, same(2), []],
    ]
    for (const [when, keys, hit] of rules) {
      const [rule] = double.setFaults([{ ...(when && { when }), do: busy }])
      const expected = keys.map((_, index) => (hit.includes(index) ? 'SlowDown' : 'stored'))
      test.strictSame(await outcomes(keys), expected, JSON.stringify(when))
      test.equal(rule?.fired, hit.length)
    }

    const both = double.setFaults([
      { when: { key: 'x' }, do: { kind: 'flipAnswer' } },
      { when: { key: 'x', times: 1 }, do: busy },
    ])
    await expectRefusal(test, get('x'), 'SlowDown', 503)
    test.not((await get('x')).bytes.toString(), 'x')
    await head('x')
    test.strictSame(
      both.map(({ fired }) => fired),
      [1, 1],
      'several can befall one request, where they have something to bite on',
    )
    double.setFaults([])
    test.equal((await get('x')).bytes.toString(), 'x')
  })

  await group.test('The SDK tries again, and a fault that goes away is got over', async test => {
    const { double, put, get } = await doubleFor(test, {}, { maxAttempts: 4 })
    const [busy, cut, lost] = double.setFaults([
      { when: { operation: 'PutObject', nth: 1 }, do: { kind: 'error', code: 'SlowDown' } },
      { when: { operation: 'PutObject', nth: 2 }, do: { kind: 'cutRequest' } },
      { when: { operation: 'PutObject', nth: 3 }, do: { kind: 'loseAnswer' } },
    ])
    await put('x', data)
    test.ok((await get('x')).bytes.equals(data))
    test.strictSame(
      [busy, cut, lost].map(rule => rule?.fired),
      [1, 1, 1],
    )
  })

  await group.test('Whatever is under way ends with the double', async test => {
    const { double, put, get } = await doubleFor(test)
    await put('there', data)
    double.setFaults([{ when: { operation: 'GetObject' }, do: { kind: 'late', ms: 600_000 } }])
    const waiting = expectCut(test, get('there'))
    while (double.requests.length < 2) await new Promise(resolve => setImmediate(resolve))
    await double.close()
    await waiting
  })
})

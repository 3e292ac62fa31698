import { S3Error } from './errors.ts'

type Route = {
  method: string
  of: 'bucket' | 'object'
  /** The query parameters that make a request one of this operation. */
  needs?: string[]
  /** Those that it may have beside them. */
  may?: string[]
}

const routes = {
  HeadBucket: { method: 'HEAD', of: 'bucket' },
  GetBucketLocation: { method: 'GET', of: 'bucket', needs: ['location'] },
  ListObjectsV2: {
    method: 'GET',
    of: 'bucket',
    needs: ['list-type'],
    may: ['prefix', 'delimiter', 'continuation-token', 'max-keys', 'start-after'],
  },
  ListMultipartUploads: {
    method: 'GET',
    of: 'bucket',
    needs: ['uploads'],
    may: ['prefix', 'key-marker', 'upload-id-marker', 'max-uploads'],
  },
  DeleteObjects: { method: 'POST', of: 'bucket', needs: ['delete'] },
  HeadObject: { method: 'HEAD', of: 'object', may: ['versionId'] },
  GetObject: { method: 'GET', of: 'object', may: ['versionId'] },
  PutObject: { method: 'PUT', of: 'object' },
  DeleteObject: { method: 'DELETE', of: 'object', may: ['versionId'] },
  RestoreObject: { method: 'POST', of: 'object', needs: ['restore'], may: ['versionId'] },
  CreateMultipartUpload: { method: 'POST', of: 'object', needs: ['uploads'] },
  UploadPart: { method: 'PUT', of: 'object', needs: ['partNumber', 'uploadId'] },
  ListParts: { method: 'GET', of: 'object', needs: ['uploadId'], may: ['max-parts', 'part-number-marker'] },
  CompleteMultipartUpload: { method: 'POST', of: 'object', needs: ['uploadId'] },
  AbortMultipartUpload: { method: 'DELETE', of: 'object', needs: ['uploadId'] },
} as const satisfies Record<string, Route>

export type Operation = keyof typeof routes

export type Target = {
  /** Undefined where the double has no such operation. */
  operation: Operation | undefined
  bucket: string
  key: string
  /** Decoded, as is `query`. */
  path: string
  query: [string, string][]
}

/** What a request in path style is about. */
export function targetOf(method: string, url: string): Target {
  const [rawPath = '', rawQuery = ''] = url.split(/\?(.*)/s)
  const path = decoded(rawPath)
  const query = rawQuery
    .split('&')
    .filter(Boolean)
    .map((pair): [string, string] => {
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      return [decoded(name), decoded(value)]
    })
  const [, bucket = '', key = ''] = path.split(/^\/([^/]*)\/?/)
  const names = query.map(([name]) => name).filter(name => name !== 'x-id')
  const of = key === '' ? 'bucket' : 'object'
  const found = Object.entries<Route>(routes).find(([, { needs = [], may = [], ...route }]) => {
    const fits = route.method === method && route.of === of && needs.every(name => names.includes(name))
    return fits && names.every(name => needs.includes(name) || may.includes(name))
  })
  const operation = bucket === '' ? undefined : (found?.[0] as Operation | undefined)
  return { operation, bucket, key, path, query }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new S3Error('InvalidArgument', "Couldn't parse the specified URI.")
  }
}

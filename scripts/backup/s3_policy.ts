import type { Config } from '../job/config.ts'

/** The settings of a cold tier that there is. */
export type Cold = Config['backup']['cold'] & { bucket: string }

/** Those of a configuration that has a cold tier. */
export function coldOf({ backup: { cold } }: Config): Cold {
  const { bucket } = cold
  if (bucket === null) throw new Error('backup.cold.bucket is null: there is no cold tier')
  return { ...cold, bucket }
}

/** What each request of ours has to be allowed to do: IAM's actions by S3's operations. */
const actions = {
  bucket: {
    ListObjectsV2: 's3:ListBucket',
    ListMultipartUploads: 's3:ListBucketMultipartUploads',
  },
  object: {
    GetObject: 's3:GetObject',
    HeadObject: 's3:GetObject',
    PutObject: 's3:PutObject',
    CreateMultipartUpload: 's3:PutObject',
    UploadPart: 's3:PutObject',
    CompleteMultipartUpload: 's3:PutObject',
    AbortMultipartUpload: 's3:AbortMultipartUpload',
    DeleteObject: 's3:DeleteObject',
    RestoreObject: 's3:RestoreObject',
  },
  /** To lock what is uploaded, and to be told that it is locked. */
  lock: ['s3:PutObjectRetention', 's3:GetObjectRetention'],
}

/** IAM's name for what an operation needs; with Object Lock, writing needs more. */
export function actionsFor(operation: string, { object_lock }: Pick<Cold, 'object_lock'>): string[] {
  const all: Record<string, string | undefined> = { ...actions.bucket, ...actions.object }
  const action = all[operation]
  const locks = action === 's3:PutObject' && object_lock !== null ? ['s3:PutObjectRetention'] : []
  return action === undefined ? [] : [action, ...locks]
}

/**
 * The least that candlekeep has to be allowed to do, as an IAM policy. It cannot delete versions, go around or change
 * Object Lock, or change the bucket: with versions or Object Lock, who steals its keys destroys nothing.
 */
export function accessPolicy(cold: Cold) {
  const { bucket, prefix, object_lock } = cold
  const arn = `arn:${partitionOf(cold.region)}:s3:::${bucket}`
  const onObjects = [...new Set(Object.values(actions.object)), ...(object_lock === null ? [] : actions.lock)]
  // IAM knows no condition by prefix for listing uploads
  const listing = prefix === '' ? {} : { Condition: { StringLike: { 's3:prefix': `${prefix}*` } } }
  const { ListObjectsV2, ListMultipartUploads } = actions.bucket
  return {
    Version: '2012-10-17',
    Statement: [
      { Sid: 'CandlekeepList', Effect: 'Allow', Action: [ListObjectsV2], Resource: arn, ...listing },
      { Sid: 'CandlekeepUploads', Effect: 'Allow', Action: [ListMultipartUploads], Resource: arn },
      { Sid: 'CandlekeepObjects', Effect: 'Allow', Action: onObjects, Resource: `${arn}/${prefix}*` },
    ],
  }
}

/** China's regions and those of the US government are worlds of their own. */
function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn'
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
}

const noncurrentDays = 30

/**
 * The lifecycle rules that a bucket should have. What is current never expires by its age: which backups go is decided
 * by candlekeep, by proof, and a rule by age would remove the last good one when no new one comes. Deleted and
 * overwritten versions stay for a month, to undo what somebody with stolen keys has done.
 */
export function lifecycleRules({ prefix }: Pick<Cold, 'prefix'>) {
  const common = { Status: 'Enabled', Filter: { Prefix: prefix } }
  return {
    Rules: [
      {
        ID: 'candlekeep-unfinished-uploads',
        ...common,
        // candlekeep aborts what its killed runs leave; this is for a host that never runs again
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
      },
      {
        ID: 'candlekeep-old-versions',
        ...common,
        NoncurrentVersionExpiration: { NoncurrentDays: noncurrentDays },
        Expiration: { ExpiredObjectDeleteMarker: true },
      },
    ],
  }
}

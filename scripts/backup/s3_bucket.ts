import type { HeadObjectCommandOutput, S3 } from '@aws-sdk/client-s3'
import { connect, type Patience } from './s3_client.ts'
import { isAnswer, isNotThere } from './s3_errors.ts'
import type { Cold } from './s3_policy.ts'

/** An object as a listing shows it. */
export type Entry = { name: string; bytes: number; modified: number }

/** Parts of an upload that was begun and is not done. */
export type Unfinished = { name: string; uploadId: string; initiated: number }

/**
 * The bucket of a cold tier, and in it what lies right under the prefix; names are keys without the prefix. Errors are
 * those of the SDK.
 */
export class Bucket {
  readonly s3: S3
  readonly cold: Cold
  /** The service's own time, as of its last answer. */
  readonly now: () => number

  private constructor(s3: S3, cold: Cold, now: () => number) {
    this.s3 = s3
    this.cold = cold
    this.now = now
  }

  static async open(cold: Cold, patience: Patience): Promise<Bucket> {
    const { s3, now } = await connect(cold, patience)
    return new Bucket(s3, cold, now)
  }

  /** The object of that name, as requests name it. */
  at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.cold.bucket, Key: this.cold.prefix + name }
  }

  /** What is there, by name; with `start`, only what begins so. */
  async list(signal: AbortSignal, start = ''): Promise<Entry[]> {
    const { bucket, prefix } = this.cold
    const about = { Bucket: bucket, Prefix: prefix + start, Delimiter: '/' }
    const entries: Entry[] = []
    let ContinuationToken: string | undefined
    do {
      const page = await this.s3.listObjectsV2({ ...about, ContinuationToken }, { abortSignal: signal })
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
        entries.push({ name: Key.slice(prefix.length), bytes: Size, modified: LastModified?.getTime() ?? 0 })
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (ContinuationToken !== undefined)
    return entries
  }

  /**
   * Whether there is an object of that name. By a listing: who may list by prefix only is told 403 and not 404 of what is
   * not there.
   */
  async has(name: string, signal: AbortSignal): Promise<boolean> {
    return (await this.list(signal, name)).some(entry => entry.name === name)
  }

  /** What the service says about an object; undefined: it is not there. */
  async head(name: string, signal: AbortSignal): Promise<HeadObjectCommandOutput | undefined> {
    const mode = this.cold.checksums === 'when_supported' ? ({ ChecksumMode: 'ENABLED' } as const) : {}
    try {
      return await this.s3.headObject({ ...this.at(name), ...mode }, { abortSignal: signal })
    } catch (error) {
      if (isNotThere(error)) return undefined
      throw error
    }
  }

  /** Removes an object; one that is not there is no error. A bucket that keeps versions puts a mark on top of it. */
  async remove(name: string, signal: AbortSignal): Promise<void> {
    try {
      await this.s3.deleteObject(this.at(name), { abortSignal: signal })
    } catch (error) {
      if (!isNotThere(error)) throw error
    }
  }

  /** Uploads that are not done, of whatever is right under the prefix. */
  async unfinished(signal: AbortSignal): Promise<Unfinished[]> {
    const { bucket, prefix } = this.cold
    const uploads: Unfinished[] = []
    let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
    let isMore: boolean
    do {
      const about = { Bucket: bucket, Prefix: prefix, ...markers }
      const page = await this.s3.listMultipartUploads(about, { abortSignal: signal })
      for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
        uploads.push({
          name: Key.slice(prefix.length),
          uploadId: UploadId,
          initiated: Initiated?.getTime() ?? Infinity,
        })
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
      isMore = page.IsTruncated === true && page.NextKeyMarker !== undefined
    } while (isMore)
    return uploads
  }

  /** Removes what an upload has brought so far; one that is not there any more is no error. */
  async abandon(
    { name, uploadId }: Pick<Unfinished, 'name' | 'uploadId'>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.s3.abortMultipartUpload({ ...this.at(name), UploadId: uploadId }, { abortSignal: signal })
    } catch (error) {
      if (!isAnswer(error, 'NoSuchUpload')) throw error
    }
  }

  close(): void {
    this.s3.destroy()
  }
}

import { Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { codeOf, messageOf } from '../job/errors.ts'
import { BadCopy } from './manifest.ts'
import type { Bucket } from './s3_bucket.ts'
import { explain, isAnswer, isNotThere } from './s3_errors.ts'
import { Archived, NotReadable } from './tier.ts'

/** How often a read goes on where its connection has ended. */
const resumptions = 3

/**
 * An object, as a stream that ends only when all of it has come: where a connection is cut short, the rest is asked for,
 * and where that does not help, it fails with a NotReadable. Throws a BadCopy where the object is not there.
 */
export async function readObject(
  bucket: Bucket,
  name: string,
  signal: AbortSignal,
): Promise<{ bytes: number; stream: Readable }> {
  const first = await open(bucket, name, {}, signal)
  const bytes = first.ContentLength ?? 0
  let body: Readable | undefined = bodyOf(first)

  async function* pieces(): AsyncGenerator<Uint8Array> {
    let come = 0
    for (let left = resumptions; ; left--) {
      let why = 'it ended too early'
      try {
        // of the same object, not of one that has taken its place
        const rest = { Range: `bytes=${come}-`, IfMatch: first.ETag }
        body ??= bodyOf(await open(bucket, name, rest, signal))
        for await (const piece of body) {
          come += (piece as Uint8Array).length
          yield piece as Uint8Array
        }
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof BadCopy || error instanceof NotReadable) throw error
        why = codeOf(error) || messageOf(explain(error, bucket.cold))
      }
      if (come === bytes) return
      if (come > bytes || left === 0)
        throw new NotReadable(`the connection broke off after ${come} of ${bytes} bytes (${why})`)
      body = undefined
    }
  }

  const stream = Readable.from(pieces(), { objectMode: false, highWaterMark: 1 << 20 })
  // a stream that is given up before its first byte never comes to the end of the generator
  stream.once('close', () => body?.destroy())
  return { bytes, stream }
}

/** A small object as text. */
export async function readText(bucket: Bucket, name: string, signal: AbortSignal): Promise<string> {
  const { stream } = await readObject(bucket, name, signal)
  return Buffer.concat((await stream.toArray()) as Buffer[]).toString()
}

async function open(
  bucket: Bucket,
  name: string,
  which: { Range?: string; IfMatch?: string | undefined },
  signal: AbortSignal,
): Promise<GetObjectCommandOutput> {
  try {
    return await bucket.s3.getObject({ ...bucket.at(name), ...which }, { abortSignal: signal })
  } catch (error) {
    if (isNotThere(error)) throw new BadCopy(`${name} is not there`)
    if (isAnswer(error, 'InvalidObjectState')) {
      const { StorageClass = bucket.cold.storage_class } = error as { StorageClass?: string }
      throw new Archived(`it is archived (${StorageClass}): ${howToRestore(StorageClass)}`)
    }
    throw error
  }
}

/** AWS's own figures. */
function howToRestore(storageClass: string): string {
  const takes = storageClass === 'DEEP_ARCHIVE' ? '12 hours' : '3 to 5 hours'
  return `have it restored first (aws s3api restore-object), which takes ${takes}`
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (Body instanceof Readable) return Body
  throw new TypeError('the SDK gave a body that is no stream of Node')
}

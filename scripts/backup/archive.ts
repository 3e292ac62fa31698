import { spawnSync } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { messageOf } from '../job/errors.ts'
import { decryption, encryption } from './age.ts'
import { BadCopy, type Manifest } from './manifest.ts'
import { type Context, NotReadable, type Tier } from './tier.ts'

/** A file and what is in it. */
export type HashedFile = { file: string; bytes: number; sha256: string }

const pieces = { highWaterMark: 1 << 20 }
/** Copies hold everything that the database does. */
const ownerOnly = { mode: 0o600 }

/** Compresses `file` to `target` (zstd, with a checksum of its own). Throws a BadCopy where its digest is not `sha256`. */
export async function compress(
  { file, bytes, sha256 }: HashedFile,
  target: string,
  { signal, progress }: Context,
): Promise<HashedFile> {
  const plain = meter(progress('compressing', bytes))
  const packed = meter()
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } })
  await pipeline(createReadStream(file, pieces), plain, zstd, packed, createWriteStream(target, ownerOnly), {
    signal,
  })
  if (plain.sha256() !== sha256) throw new BadCopy(`${file} is not what was proven`)
  await syncFile(target)
  return { file: target, bytes: packed.bytes(), sha256: packed.sha256() }
}

/** Throws a BadCopy where what was compressed does not come out as it went in: only then an archive is a copy. */
export async function proveArchive(
  archive: HashedFile,
  { bytes, sha256 }: { bytes: number; sha256: string },
  { signal, progress }: Context,
): Promise<void> {
  const packed = meter(progress('proving the archive', archive.bytes))
  const plain = meter()
  const from = createReadStream(archive.file, pieces)
  await pipeline(from, packed, createZstdDecompress(), plain, drain(), { signal })
  compare(packed, archive, 'the archive')
  compare(plain, { bytes, sha256 }, 'the database in the archive')
}

/** Encrypts `file` to `target` for the holders of the keys of `recipients` (age). */
export async function encrypt(
  file: string,
  target: string,
  recipients: string[],
  { signal }: Context,
): Promise<HashedFile> {
  const packed = meter()
  const age = await encryption(recipients)
  await pipeline(createReadStream(file, pieces), age, packed, createWriteStream(target, ownerOnly), {
    signal,
  })
  await syncFile(target)
  return { file: target, bytes: packed.bytes(), sha256: packed.sha256() }
}

/** Copies `file` to `target` and gives what was written. */
export async function copy(
  { file, bytes }: HashedFile,
  target: string,
  what: string,
  { signal, progress }: Context,
): Promise<HashedFile> {
  const copied = meter(progress(what, bytes))
  await pipeline(createReadStream(file, pieces), copied, createWriteStream(target, ownerOnly), { signal })
  await syncFile(target)
  return { file: target, bytes: copied.bytes(), sha256: copied.sha256() }
}

/** Reads a file in full. */
export async function hashFile(file: string, what: string, bytes: number, context: Context): Promise<string> {
  const read = meter(context.progress(what, bytes))
  await pipeline(createReadStream(file, pieces), read, drain(), { signal: context.signal })
  return read.sha256()
}

/**
 * Reads a backup from its tier in full, as a plain database into `file`; every digest on the way is compared with its
 * manifest. Without a `file`, or without the key (`identity`) of an encrypted one, what is stored is read and compared
 * as it is. Throws a BadCopy, or a NotReadable where it cannot be read now. Returns whether `file` has been written.
 */
export async function fetchCopy(
  tier: Tier,
  manifest: Manifest,
  { file, identity }: { file?: string | undefined; identity?: string | undefined },
  context: Context,
): Promise<boolean> {
  const { stored, database } = manifest
  const packed = meter(context.progress(`reading ${tier.name}`, stored.bytes))
  const decoded = file !== undefined && (stored.encryption === null || identity !== undefined)
  const steps = [
    ...(decoded && stored.encryption === 'age' ? [await decryption(identity ?? '')] : []),
    ...(decoded && stored.compression === 'zstd' ? [createZstdDecompress()] : []),
  ]
  // what is stored plain is digested once
  const plain = steps.length === 0 ? packed : meter()
  const raw = await tier.read(manifest, context)
  try {
    const end = decoded ? createWriteStream(file, ownerOnly) : drain()
    await pipeline([raw, packed, ...(plain === packed ? [] : [...steps, plain]), end], {
      signal: context.signal,
    })
  } catch (error) {
    context.signal.throwIfAborted()
    if (!isOfContent(error)) throw error
    if (stored.encryption === null || !decoded) throw new BadCopy(`it cannot be read: ${messageOf(error)}`)
    // a wrong key looks as damage does: where what is stored is as it was, it is the key
    await fetchCopy(tier, manifest, {}, context)
    throw new NotReadable(`it cannot be decrypted with the identity that is here: ${messageOf(error)}`)
  }
  compare(packed, stored, 'stored')
  if (decoded) compare(plain, database, 'the database')
  return decoded
}

function compare(found: Meter, expected: { bytes: number; sha256: string }, what: string): void {
  if (found.bytes() !== expected.bytes)
    throw new BadCopy(`${what} has ${found.bytes()} bytes instead of ${expected.bytes}`)
  if (found.sha256() !== expected.sha256) throw new BadCopy(`${what} is not what it was: its SHA-256 differs`)
}

/** Errors of zlib and age: what was read is not what they once wrote. */
function isOfContent(error: unknown): boolean {
  if (error instanceof NotReadable || error instanceof BadCopy) return false
  const { code = '', syscall } = error as NodeJS.ErrnoException
  // Z_BUF_ERROR: it ended too early
  return syscall === undefined && (code === '' || /^(ERR_)?Z(STD)?_/.test(code))
}

type Meter = Transform & { bytes: () => number; sha256: () => string }

/** Passes data on, counts it and digests it. */
function meter(moved: (bytes: number) => void = () => undefined): Meter {
  const hash: Hash = createHash('sha256')
  let bytes = 0
  let digest: string | undefined
  const stream = new Transform({
    transform(piece: Buffer, _encoding, done) {
      hash.update(piece)
      bytes += piece.length
      moved(piece.length)
      done(null, piece)
    },
  })
  return Object.assign(stream, { bytes: () => bytes, sha256: () => (digest ??= hash.digest('hex')) })
}

function drain() {
  return async (source: Readable) => {
    for await (const _ of source);
  }
}

/** Forces what was written to the disk. */
export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** So that what is read back comes from the disk: dd asks the kernel to forget the file (coreutils). Best effort. */
export function dropFromCache(file: string): void {
  spawnSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' })
}

import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { codeOf } from '../job/errors.ts'

/** What SQLite keeps beside a database while it is open or was not closed. */
export const sideSuffixes = ['-journal', '-wal', '-shm'] as const

/** A copy of a damaged database. */
export type Specimen = {
  file: string
  /** Bytes that the disk did not give; zeros stand for them. */
  unreadableBytes: number
}

const block = 4096
const piece = 1 << 20

/**
 * Copies a database and its log or journal (unless `logs` is false) as they are; not its shared memory, which is made
 * anew. What the disk does not give is left out block by block. Nobody may write to it meanwhile. It is not forced to
 * the disk: where the machine stops, it is taken once more.
 */
export function takeSpecimen(database: string, target: string, { logs = true } = {}): Specimen {
  let unreadableBytes = 0
  for (const suffix of ['', '-journal', '-wal']) rmSync(target + suffix, { force: true })
  for (const suffix of ['', ...(logs ? ['-journal', '-wal'] : [])]) {
    if (sizeOf(database + suffix) !== undefined)
      unreadableBytes += copyReadable(database + suffix, target + suffix)
  }
  rmSync(`${target}-shm`, { force: true })
  return { file: target, unreadableBytes }
}

/** Copies a file; how many bytes could not be read. The copy is forced to the disk. */
export function copyAround(file: string, target: string): number {
  const lost = copyReadable(file, target)
  const descriptor = openSync(target, 'r+')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  return lost
}

function copyReadable(file: string, target: string): number {
  try {
    copyFileSync(file, target, constants.COPYFILE_FICLONE)
    return 0
  } catch (error) {
    if (codeOf(error) !== 'EIO') throw error
    return copyInBlocks(file, target)
  }
}

function copyInBlocks(file: string, target: string): number {
  const [from, to] = [openSync(file, 'r'), openSync(target, 'w', 0o600)]
  const { size } = statSync(file)
  let lost = 0
  const copy = (at: number, length: number) => {
    const buffer = Buffer.alloc(length)
    try {
      readSync(from, buffer, 0, length, at)
    } catch (error) {
      if (codeOf(error) !== 'EIO') throw error
      if (length > block) {
        for (let offset = 0; offset < length; offset += block)
          copy(at + offset, Math.min(block, length - offset))
        return
      }
      lost += length
    }
    writeSync(to, buffer, 0, length, at)
  }
  try {
    for (let at = 0; at < size; at += piece) copy(at, Math.min(piece, size - at))
  } finally {
    closeSync(from)
    closeSync(to)
  }
  return lost
}

/** Bytes of a file; undefined: it is not there. */
export function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size
}

/** Tells whether a database has been written to since; an empty log or journal is as good as none. */
export function signatureOf(database: string): string {
  return ['', '-journal', '-wal']
    .map(suffix => statSync(database + suffix, { bigint: true, throwIfNoEntry: false }))
    .map(stat =>
      stat === undefined || stat.size === 0n ? '-' : [stat.ino, stat.size, stat.mtimeNs].join(':'),
    )
    .join(' ')
}

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Build, Stage } from './recovery_stage.ts'

/** What befalls a database; `random` gives numbers in [0, 1). */
export type Damage = {
  name: string
  strike: (target: Target) => void
  /** Where it does not apply. */
  unless?: (build: Build) => boolean
  /** Nothing at all may be lost by it. */
  lossless?: true
}

export type Target = { database: string; stage: Stage; random: () => number }

/** Changes the bytes of a file. */
export function change(file: string, edit: (bytes: Buffer) => Buffer | void): void {
  const bytes = readFileSync(file)
  writeFileSync(file, edit(bytes) ?? bytes)
}

/** A whole number from 0, less than `most`. */
export function below(random: () => number, most: number): number {
  return Math.floor(random() * most)
}

/** Number of a page that is not the first, from 0. */
export function somePage(bytes: Buffer, { stage: { pageSize }, random }: Target): number {
  return 1 + below(random, Math.floor(bytes.length / pageSize) - 1)
}

/** Noise. */
export function randomBytes(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => below(random, 256)))
}

/** Does something to some pages, each time another one. */
export function pages(count: number, edit: (page: Buffer, target: Target, whole: Buffer) => void) {
  return (target: Target) =>
    change(target.database, bytes => {
      const { pageSize } = target.stage
      for (let i = 0; i < count; i++) {
        const at = somePage(bytes, target) * pageSize
        edit(bytes.subarray(at, at + pageSize), target, bytes)
      }
    })
}

/** Overwrites the beginning of the file. */
export function header(length: number, fill: (length: number, target: Target) => Buffer) {
  return (target: Target) => change(target.database, bytes => void fill(length, target).copy(bytes))
}

function flips(count: number) {
  return (target: Target) =>
    change(target.database, bytes => {
      for (let i = 0; i < count; i++) {
        const at = below(target.random, bytes.length)
        bytes[at] = (bytes[at] as number) ^ (1 << below(target.random, 8))
      }
    })
}

/** Root pages of the indexes, by their numbers in the file. */
function overwriteIndexes(target: Target): void {
  const { database, stage, random } = target
  change(database, bytes => {
    const indexes = indexPages(bytes, stage.pageSize)
    for (let i = 0; i < 3; i++) {
      const at = (indexes[below(random, indexes.length)] as number) * stage.pageSize
      randomBytes(40, random).copy(bytes, at + 60)
    }
  })
}

/** Leaves and roots of indexes begin with 10 or 2 (SQLite, "B-tree Pages"); so do tables without rowids. */
function indexPages(bytes: Buffer, pageSize: number): number[] {
  const found: number[] = []
  for (let page = 1; page < bytes.length / pageSize; page++)
    if ([2, 10].includes(bytes[page * pageSize] as number)) found.push(page)
  return found
}

const zeros = (length: number) => Buffer.alloc(length)
const noise = (length: number, { random }: Target) => randomBytes(length, random)

/** All kinds of damage of issue 5, each with numbers of its own. */
export const damages: Damage[] = [
  { name: 'missing', strike: ({ database }) => rmSync(database) },
  { name: 'no bytes', strike: ({ database }) => writeFileSync(database, '') },
  {
    name: 'cut at a page',
    strike: target =>
      change(target.database, bytes => bytes.subarray(0, somePage(bytes, target) * target.stage.pageSize)),
  },
  {
    name: 'cut within a page',
    strike: ({ database, random }) =>
      change(database, bytes => bytes.subarray(0, 1 + below(random, bytes.length - 1))),
  },
  { name: 'magic overwritten', strike: header(16, zeros) },
  { name: 'header overwritten', strike: header(100, noise) },
  { name: 'first page zeroed', strike: target => header(target.stage.pageSize, zeros)(target) },
  { name: 'first page garbage', strike: target => header(target.stage.pageSize, noise)(target) },
  {
    name: 'all of it garbage',
    strike: ({ database, random }) =>
      change(database, bytes => randomBytes(Math.min(bytes.length, 50_000), random)),
  },
  {
    name: 'a text file',
    strike: ({ database }) => writeFileSync(database, 'symbol,price\nBTCUSDT,60000\n'.repeat(2000)),
  },
  { name: 'one bit flipped', strike: flips(1) },
  { name: 'ten bits flipped', strike: flips(10) },
  { name: 'a hundred bits flipped', strike: flips(100) },
  {
    name: 'a page torn',
    strike: pages(1, (page, target, whole) => {
      const other = somePage(whole, target) * target.stage.pageSize
      whole.copy(page, page.length / 2, other, other + page.length / 2)
    }),
  },
  { name: 'pages torn, zeros behind', strike: pages(4, page => void page.fill(0, page.length / 2)) },
  { name: 'a page zeroed', strike: pages(1, page => void page.fill(0)) },
  { name: 'ten pages zeroed', strike: pages(10, page => void page.fill(0)) },
  {
    name: 'a range zeroed',
    strike: ({ database, random }) =>
      change(database, bytes => {
        const at = below(random, bytes.length)
        bytes.fill(0, at, Math.min(at + 20_000, bytes.length))
      }),
  },
  {
    name: 'pages of noise',
    strike: pages(8, (page, target) => void randomBytes(page.length, target.random).copy(page)),
  },
  {
    name: 'pages swapped',
    strike: pages(2, (page, target, whole) => {
      const at = somePage(whole, target) * target.stage.pageSize
      const other = whole.subarray(at, at + page.length)
      const kept = Buffer.from(page)
      other.copy(page)
      kept.copy(other)
    }),
  },
  {
    name: 'half of the pages of noise',
    strike: target =>
      change(target.database, bytes => {
        const { pageSize } = target.stage
        for (let page = 1; page < bytes.length / pageSize; page++)
          if (target.random() < 0.5) randomBytes(pageSize, target.random).copy(bytes, page * pageSize)
      }),
  },
  { name: 'an index overwritten', strike: overwriteIndexes },
  {
    name: 'garbage behind the end',
    strike: ({ database, random }) =>
      change(database, bytes => Buffer.concat([bytes, randomBytes(10_000, random)])),
  },
  {
    name: 'page count too large',
    strike: ({ database }) =>
      change(database, bytes => void bytes.writeUInt32BE(bytes.readUInt32BE(28) + 50, 28)),
  },
  {
    name: 'free list that leads nowhere',
    strike: ({ database }) =>
      change(database, bytes => {
        bytes.writeUInt32BE(7, 32)
        bytes.writeUInt32BE(9, 36)
      }),
  },
  {
    name: 'the log of another database beside it',
    strike: ({ database, stage, random }) => {
      if (!existsSync(`${database}-wal`)) writeFileSync(`${database}-wal`, foreignLog(stage.pageSize, random))
    },
  },
]

/** A write-ahead log of one committed frame that makes a page of noise the second one (SQLite, "WAL-mode File Format"). */
function foreignLog(pageSize: number, random: () => number): Buffer {
  const log = Buffer.alloc(32 + 24 + pageSize)
  log.writeUInt32BE(0x377f0682, 0)
  log.writeUInt32BE(3007000, 4)
  log.writeUInt32BE(pageSize, 8)
  log.writeUInt32BE(1, 12)
  randomBytes(8, random).copy(log, 16)
  const sums = checksum(log.subarray(0, 24), [0, 0])
  sums.forEach((sum, i) => log.writeUInt32BE(sum, 24 + 4 * i))
  const frame = log.subarray(32)
  frame.writeUInt32BE(2, 0)
  frame.writeUInt32BE(2, 4)
  log.copy(frame, 8, 16, 24)
  randomBytes(pageSize, random).copy(frame, 24)
  const own = checksum(frame.subarray(24), checksum(frame.subarray(0, 8), sums))
  own.forEach((sum, i) => frame.writeUInt32BE(sum, 16 + 4 * i))
  return log
}

/** Of little-endian words, as the magic number 0x377f0682 says. */
function checksum(bytes: Buffer, [first, second]: number[]): number[] {
  let [a, b] = [first as number, second as number]
  for (let i = 0; i < bytes.length; i += 8) {
    a = (a + bytes.readUInt32LE(i) + b) >>> 0
    b = (b + bytes.readUInt32LE(i + 4) + a) >>> 0
  }
  return [a, b]
}

import { readFileSync, writeFileSync } from 'node:fs'

/** What was done to a file: to which pages, and whether what they hold now may look like something. */
export type Damage = { what: string; touched: Set<number>; plausible: boolean }

type Random = () => number

export const damageKinds = [
  'bytes',
  'bit',
  'zeroed',
  'garbage',
  'sector',
  'swapped',
  'truncated',
  'header',
  'page 1',
  'old page',
] as const

/** Damages a file. `old`: the same database at an earlier time. */
export function damage(
  file: string,
  kind: (typeof damageKinds)[number],
  random: Random,
  old: string,
): Damage {
  const bytes = readFileSync(file)
  const size = pageSizeOf(bytes)
  const count = Math.floor(bytes.length / size)
  const any = () => 1 + Math.floor(random() * count)
  const other = () => 2 + Math.floor(random() * Math.max(1, count - 1))
  const touched = new Set<number>()
  const times = 1 + Math.floor(random() * 3)
  const fill = (page: number, from: number, length: number, byte: () => number) => {
    touched.add(page)
    for (let i = 0; i < length; i++) bytes[(page - 1) * size + from + i] = byte()
  }
  const noise = () => Math.floor(random() * 256)
  let result = bytes
  for (let i = 0; i < times; i++) {
    switch (kind) {
      case 'bytes': {
        const length = 1 + Math.floor(random() * 40)
        fill(any(), Math.floor(random() * (size - length)), length, noise)
        break
      }
      case 'bit': {
        const at = Math.floor(random() * bytes.length)
        touched.add(1 + Math.floor(at / size))
        bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8))
        break
      }
      case 'zeroed':
        fill(other(), 0, size, () => 0)
        break
      case 'garbage':
        fill(other(), 0, size, noise)
        break
      case 'sector':
        fill(any(), Math.floor((random() * size) / 512) * 512, 512, () => 0)
        break
      case 'swapped': {
        const [a, b] = [other(), other()].map(page => Math.min(page, count)) as [number, number]
        const copy = Buffer.from(bytes.subarray((a - 1) * size, a * size))
        bytes.copy(bytes, (a - 1) * size, (b - 1) * size, b * size)
        copy.copy(bytes, (b - 1) * size)
        if (a !== b) for (const page of [a, b]) touched.add(page)
        break
      }
      case 'truncated': {
        const left = Math.min(result.length, Math.floor(random() * bytes.length))
        result = result.subarray(0, left)
        for (let page = Math.floor(left / size) + 1; page <= count; page++) touched.add(page)
        break
      }
      case 'header':
        fill(1, 0, 100, noise)
        break
      case 'page 1':
        fill(1, 0, size, () => 0)
        break
      case 'old page': {
        const before = readFileSync(old)
        const page = other()
        if (page * size <= before.length && pageSizeOf(before) === size) {
          before.copy(bytes, (page - 1) * size, (page - 1) * size, page * size)
          touched.add(page)
        }
        break
      }
    }
  }
  writeFileSync(file, result)
  const plausible = ['bytes', 'bit', 'sector', 'swapped', 'old page'].includes(kind)
  return { what: `${kind}: pages ${[...touched].slice(0, 20).join(' ')}`, touched, plausible }
}

function pageSizeOf(bytes: Buffer): number {
  const size = bytes.readUInt16BE(16)
  return size === 1 ? 65_536 : size
}

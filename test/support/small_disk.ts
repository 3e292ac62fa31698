import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

export type SmallDisk = {
  /** Makes room. */
  grow(): void
  /** Takes it away, also from those who have files on it open. */
  vanish(): void
}

const large = 64 << 20

/** Puts a disk of its own (a tmpfs) in the place of `folder`, with what is in that. It goes with the test. */
export function mountDisk(test: Test, folder: string): SmallDisk {
  const aside = `${folder}.aside`
  if (existsSync(folder)) renameSync(folder, aside)
  mkdirSync(folder, { recursive: true })
  mount('-t', 'tmpfs', '-o', `size=${large}`, 'tmpfs', folder)
  let mounted = true
  const vanish = () => {
    if (mounted) execFileSync('/bin/umount', ['--lazy', folder])
    mounted = false
  }
  test.teardown(vanish)
  if (existsSync(aside)) {
    cpSync(aside, folder, { recursive: true })
    rmSync(aside, { recursive: true })
  }
  return { grow: () => rmSync(join(folder, filler), { force: true }), vanish }
}

const filler = '.filler'

/** Fills such a disk but for `free` bytes. */
export function fillDisk(folder: string, free: number): void {
  const { bavail, bsize } = statfsSync(folder)
  writeFileSync(join(folder, filler), Buffer.alloc(Math.max(0, bavail * bsize - free)))
}

function mount(...args: string[]): void {
  execFileSync('/bin/mount', args)
}

import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

/** For tap's `skip`: mounting takes root. With `CI=true` nothing is skipped. */
export function skipWithoutRoot(): string | false {
  return process.getuid?.() === 0 || process.env['CI'] === 'true' ? false : 'only root can mount a small disk'
}

/** A disk at `folder` without a free byte: a file of garbage takes all of it. It goes with the test. */
export function mountFullDisk(test: Test, folder: string, garbage = 'garbage'): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  test.teardown(() => execFileSync('/bin/umount', ['--lazy', folder]))
  const filler = openSync(join(folder, garbage), 'w')
  try {
    for (;;) writeSync(filler, Buffer.alloc(4096, 'garbage '))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(filler)
  }
}

import { chownSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '../job/process.ts'

/** Run by root, it belongs to whom the folder above belongs: root's check must not keep the next one out. */
export function makeScratchFolder(folder: string): void {
  const scratch = join(folder, '..')
  const owner = statSync(join(scratch, '..'))
  for (const path of [scratch, folder]) {
    if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined && process.getuid?.() === 0)
      chownSync(path, owner.uid, owner.gid)
  }
}

/**
 * Runs `work` with a folder for this process in `scratch` (made when it is needed) and takes it away afterwards; also
 * those of processes that were killed.
 */
export async function inScratchFolder<T>(scratch: string, work: (folder: string) => Promise<T>): Promise<T> {
  clearLeftovers(scratch)
  const folder = join(scratch, `run-${process.pid}`)
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function clearLeftovers(scratch: string): void {
  try {
    for (const name of readdirSync(scratch)) {
      const pid = /^run-(\d+)$/.exec(name)?.[1]
      if (pid !== undefined && !isAlive(Number(pid)))
        rmSync(join(scratch, name), { recursive: true, force: true })
    }
  } catch {
    // not there yet, or another user's: then nothing of ours is in it
  }
}

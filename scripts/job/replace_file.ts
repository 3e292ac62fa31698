import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Puts `text` in the place of `file`: whoever reads it sees the old text or the new one, also after a power cut.
 * Whatever goes wrong on the way, the old file stays and nothing is left over. `mode` is what the file has then, also
 * where the umask is stricter.
 */
export function replaceFile(file: string, text: string, mode?: number): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    const descriptor = openSync(temporary, 'w', mode ?? 0o644)
    try {
      if (mode !== undefined) fchmodSync(descriptor, mode)
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(dirname(file))
}

/** Forces names that were given or taken in a folder to the disk. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

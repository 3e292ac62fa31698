import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Everything below a folder as Debian's programs see it: kind, mode and owner, and of each file its time and content.
 * Whoever reads a database in WAL mode makes an empty log and an index beside it: neither those nor the times of folders
 * are in it.
 */
export function digestOfFolder(folder: string): string {
  const script = `find . -name '*-shm' -o -name '*-wal' -size 0 -o -type d -printf '%y %m %u:%g %p\\n' -o -printf '%y %m %u:%g %s %T@ %p\\n' | LC_ALL=C sort -k 3
    find . -type f ! -name '*-shm' ! -size 0 -print0 | LC_ALL=C sort -z | xargs -0r sha256sum`
  return execFileSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8' })
}

/** The files in a folder by name, each with its SHA-256 (Debian's sha256sum). */
export function sumsIn(folder: string): Map<string, string> {
  const script = "find . -maxdepth 1 -type f -printf '%f\\0' | LC_ALL=C sort -z | xargs -0r sha256sum --"
  const lines = execFileSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
  return new Map(lines.map(line => [line.slice(66), line.slice(0, 64)]))
}

/**
 * All that is in a database to which nobody writes now, as Debian's sqlite3 writes it; of a copy with what lies beside
 * it, as a transaction that was cut off has to be rolled back first.
 */
export function dump(file: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'candlekeep-'))
  try {
    for (const suffix of ['', '-wal', '-journal'])
      if (existsSync(file + suffix)) copyFileSync(file + suffix, join(folder, `copy${suffix}`))
    const text = execFileSync('sqlite3', [join(folder, 'copy'), '.dump'], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    if (text.includes('**** ERROR')) throw new Error(`sqlite3 cannot read ${file}: ${text.slice(0, 300)}`)
    return text
  } finally {
    rmSync(folder, { recursive: true })
  }
}

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

// What lies in the folder of a tier, looked at by Debian's programs (sqlite3, zstd, sha256sum) and none of ours.

type StoredManifest = {
  id: string
  stored: { file: string; bytes: number; sha256: string }
  database: { bytes: number; sha256: string; tables: { name: string; rows: number }[] }
}

const name = /^agent_backup_\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}\.(db|db\.zst|manifest\.json)$/
const temporary = /^\.agent_backup_.*\.tmp(-journal|-wal|-shm)?$/

/** The files in it that have a final name, each with its SHA-256; others may go at any moment. */
export function filesIn(folder: string): Map<string, string> {
  const names = namesIn(folder).filter(found => !temporary.test(found))
  return new Map(sumsOf(folder, names))
}

/** Names that only a run in progress, or one that was killed, has there. */
export function temporaryIn(folder: string): string[] {
  return namesIn(folder).filter(found => temporary.test(found))
}

/** The backups in it that have a manifest. */
export function backupsIn(folder: string): string[] {
  return namesIn(folder).flatMap(found => /^(agent_.*)\.manifest\.json$/.exec(found)?.[1] ?? [])
}

/**
 * What is wrong with it. Whatever has a final name has to be whole: a manifest has its database, byte for byte what
 * it says; a database has its manifest, or the manifest's temporary name; sqlite3 finds it sound and counts the rows
 * that it should have.
 */
export function faultsOf(folder: string): string[] {
  const names = namesIn(folder)
  const sums = new Map(
    sumsOf(
      folder,
      names.filter(found => /\.db(\.zst)?$/.test(found) && name.test(found)),
    ),
  )
  return names.flatMap(found => {
    if (temporary.test(found)) return []
    if (!name.test(found)) return [`${found} should not be there`]
    if (found.endsWith('.manifest.json'))
      return existsSync(join(folder, manifestOf(join(folder, found)).stored.file))
        ? []
        : [`${found} has no database`]
    return faultsOfDatabase(folder, found, sums.get(found))
  })
}

function faultsOfDatabase(folder: string, file: string, sum: string | undefined): string[] {
  const own = file.replace(/\.db(\.zst)?$/, '.manifest.json')
  const found = [own, `.${own}.tmp`].find(candidate => existsSync(join(folder, candidate)))
  if (found === undefined) return [`${file} has no manifest`]
  const { stored, database } = manifestOf(join(folder, found))
  const faults: string[] = []
  if (stored.sha256 !== sum || stored.bytes !== statSync(join(folder, file)).size)
    faults.push(`${file} is not what its manifest says`)
  if (file.endsWith('.zst')) {
    const { stdout } = spawnSync('sh', ['-c', 'zstd -dcq "$1" | sha256sum', 'sh', join(folder, file)], {
      encoding: 'utf8',
    })
    if (stdout.slice(0, 64) !== database.sha256) faults.push(`zstd unpacks ${file} to something else`)
  } else faults.push(...faultsOfPlain(join(folder, file), database.tables))
  return faults
}

/** What Debian's sqlite3 has to say against a hot copy. */
export function faultsOfPlain(file: string, tables: { name: string; rows: number }[]): string[] {
  const counts = tables.map(table => `SELECT count(*) FROM "${table.name}";`)
  const said = sqlite3(file, `PRAGMA integrity_check; PRAGMA journal_mode; ${counts.join(' ')}`)
  const expected = ['ok', 'delete', ...tables.map(({ rows }) => String(rows))].join('\n')
  const beside = ['-wal', '-shm', '-journal'].filter(suffix => existsSync(file + suffix))
  return [
    ...(said === expected ? [] : [`sqlite3 says of ${file}: ${said}, not ${expected}`]),
    ...beside.map(suffix => `${file}${suffix} lies beside it`),
  ]
}

/** What Debian's sqlite3 answers, errors too. */
export function sqlite3(file: string, sql: string): string {
  const { stdout, stderr } = spawnSync('sqlite3', ['-readonly', file, sql], { encoding: 'utf8' })
  return (stdout + stderr).trim()
}

export function manifestOf(file: string): StoredManifest {
  return JSON.parse(readFileSync(file, 'utf8')) as StoredManifest
}

function sumsOf(folder: string, names: string[]): [string, string][] {
  if (names.length === 0) return []
  const lines = execFileSync('sha256sum', names, { cwd: folder, encoding: 'utf8' }).trimEnd().split('\n')
  return lines.map(line => [line.slice(66), line.slice(0, 64)])
}

function namesIn(folder: string): string[] {
  // what a test fills a disk with is none of its business
  return existsSync(folder)
    ? readdirSync(folder)
        .filter(found => found !== '.filler')
        .toSorted()
    : []
}

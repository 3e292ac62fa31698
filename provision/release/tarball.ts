import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { create } from 'tar'

/** Files of one folder, by their paths below it. */
export type Contents = { folder: string; files: string[]; programs?: string[] }

/** Any fixed time will do; tar warns of those before 1970, and zip and others know none before 1980. */
const fixedTime = new Date('1980-01-01T00:00:00Z')

/**
 * Packs files as a gzipped tar. The same files give the same bytes, whatever their times, owners and modes, and in
 * whatever order they are named: all are 0644, programs and folders 0755.
 */
export async function writeTarball(contents: Contents, target: string, signal: AbortSignal): Promise<void> {
  const { folder, files, programs = [] } = contents
  const runs = new Set(programs)
  const pack = create(
    {
      cwd: folder,
      // more takes four times as long and saves a hundredth
      gzip: { level: 6 },
      portable: true,
      noDirRecurse: true,
      // node_modules may be a link to where the packages are
      follow: true,
      strict: true,
      onWriteEntry(entry) {
        entry.noMtime = false
        entry.mtime = fixedTime
        const open = entry.type === 'Directory' || runs.has(entry.path)
        if (entry.stat !== undefined) entry.stat.mode = open ? 0o755 : 0o644
      },
    },
    withFolders(files),
  )
  const bytes = async function* () {
    yield* pack
  }
  await pipeline(bytes, createWriteStream(target, { flags: 'wx' }), { signal })
}

/** The files and the folders that they are in, each folder before what is in it: their modes are packed too. */
function withFolders(files: string[]): string[] {
  const all = new Set(files)
  for (const file of files)
    for (let end = file.lastIndexOf('/'); end > 0; end = file.lastIndexOf('/', end - 1))
      all.add(file.slice(0, end))
  return [...all].sort()
}

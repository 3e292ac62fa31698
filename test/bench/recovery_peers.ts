import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Another way to get a database back. */
export type Peer = {
  name: string
  /** What a database that it brought has been proven to be. */
  proves: string
  /** Writes the database to a file, which is not there yet. */
  restore: (target: string) => void
}

/** The newest file of the hot tier, as a person would copy it. */
export function cpPeer(backups: string): Peer {
  const newest = readdirSync(backups)
    .filter(name => name.endsWith('.db'))
    .sort()
    .at(-1)
  if (newest === undefined) throw new Error(`there is no backup in ${backups}`)
  return {
    name: 'cp',
    proves: 'its structure; not that it is what was backed up',
    restore: target => call('cp', [join(backups, newest), target]),
  }
}

/** A repository of restic's with the database as it is now. undefined: restic is not here. */
export function resticPeer(folder: string, database: string): Peer | undefined {
  if (spawnSync('restic', ['version']).error !== undefined) return undefined
  const env = {
    ...process.env,
    RESTIC_REPOSITORY: join(folder, 'restic'),
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(folder, 'restic-cache'),
  }
  const restic = (...args: string[]) => execFileSync('restic', ['--quiet', ...args], { env })
  restic('init')
  restic('backup', database)
  return {
    name: 'restic restore',
    proves: 'a digest of each piece, its structure',
    restore: target => {
      const into = join(folder, 'restic-restored')
      restic('restore', 'latest', '--target', into)
      call('mv', [join(into, database), target])
      rmSync(into, { recursive: true })
    },
  }
}

/**
 * Litestream (0.3.13) replicates a database while `live` changes it. It is fetched for this bench only. undefined: it
 * cannot be had.
 */
export async function litestreamPeer(
  folder: string,
  database: string,
  live: () => void,
): Promise<Peer | undefined> {
  const program = fetchLitestream(join(folder, 'litestream'))
  if (program === undefined) return undefined
  const replica = `file://${join(folder, 'replica')}`
  const child = spawn(program, ['replicate', database, replica], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const ended = new Promise(resolve => child.once('close', resolve))
  while (!said.includes('snapshot written') && child.exitCode === null) await delay(200)
  live()
  // it looks for changes each second
  await delay(5000)
  child.kill('SIGTERM')
  await ended
  return {
    name: 'litestream restore',
    proves: 'a checksum of what was stored, its structure',
    restore: target => call(program, ['restore', '-o', target, replica]),
  }
}

function fetchLitestream(folder: string): string | undefined {
  mkdirSync(folder, { recursive: true })
  const wanted = ['install', '--no-save', '--prefix', folder, '@flydotio/litestream@1.0.1']
  spawnSync('npm', wanted, { stdio: 'ignore' })
  const program = join(folder, 'node_modules/@flydotio', `litestream-linux-${process.arch}`, 'litestream')
  return existsSync(program) ? program : undefined
}

function call(program: string, args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { compress, fetchCopy } from '../../scripts/backup/archive.ts'
import { openColdTier } from '../../scripts/backup/cold_tier.ts'
import type { BackupFacts, Manifest } from '../../scripts/backup/manifest.ts'
import type { Patience } from '../../scripts/backup/s3_client.ts'
import type { Context, Source, Tier } from '../../scripts/backup/tier.ts'
import { type Config, loadConfig } from '../../scripts/job/config.ts'
import type { CheatSheet } from '../../scripts/job/config_types.ts'
import type { S3Place } from './s3/client.ts'
import { makeWorkspace, temporaryFolder } from './workspace.ts'

export type ColdSettings = Partial<CheatSheet['backup']['cold']>

/** Parts of 64 KiB, which no cheat sheet may have, so that a small file has several. Only the double takes them. */
export const smallParts = 1 / 16
export const smallestPart = 1 << 16

export type ColdHere = {
  config: Config
  tier: Tier
  scratch: string
  source: (id: string, database: Buffer) => Source
  /** Stores a database under that name. */
  put: (id: string, database: Buffer, context?: Context) => Promise<Manifest>
  /** Reads it again in full, as the tier has it, decoded. */
  fetch: (manifest: Manifest, identity?: string) => Promise<Buffer>
}

const patience: Patience = { connectMs: 5000, idleMs: 5000, attempts: 3 }

/** The cold tier of a configuration of its own, driven directly; it goes with the test. */
export function coldTierAt(
  test: Test,
  place: S3Place,
  settings: ColdSettings = {},
  given: Partial<Patience> & { env?: Record<string, string> } = {},
): ColdHere {
  const { env = place.env, ...patient } = given
  setCredentials(env)
  const { part_mb = smallParts, ...cold } = settings
  const workspace = makeWorkspace(test, { url: 'http://127.0.0.1:1', folder: temporaryFolder(test) })
  workspace.configure(sheet => {
    const where = { bucket: place.bucket, endpoint: place.url, region: place.region, path_style: true }
    sheet.backup = { cold: { ...where, ...cold } }
  })
  const config = loadConfig(workspace.file)
  config.backup.cold.part_mb = part_mb
  const scratch = join(workspace.folder, 'scratch')
  mkdirSync(scratch)
  const tier = openColdTier(config, scratch, { ...patience, ...patient })
  test.teardown(() => tier.close())

  const source = (id: string, database: Buffer): Source => {
    const file = join(workspace.folder, `${id}.db`)
    writeFileSync(file, database)
    const sha256 = createHash('sha256').update(database).digest('hex')
    const plain = { file, bytes: database.length, sha256 }
    let made: ReturnType<Source['archive']> | undefined
    const archive = () => (made ??= compress(plain, join(scratch, `${id}.db.zst`), quietly()))
    return { facts: factsOf(id, plain), file, archive }
  }
  let fetched = 0
  return {
    config,
    tier,
    scratch,
    source,
    put: (id, database, context = quietly()) => tier.put(source(id, database), context),
    async fetch(manifest, identity) {
      const file = join(workspace.folder, `fetched-${++fetched}.db`)
      await fetchCopy(tier, manifest, { file, identity }, quietly())
      return readFileSync(file)
    },
  }
}

/** What work on a tier is given where nobody looks on. */
export function quietly(signal: AbortSignal = new AbortController().signal): Context {
  return { signal, progress: () => () => undefined }
}

/** The SDK finds these and no others, whatever the machine has. */
function setCredentials(env: Record<string, string>): void {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name]
  const nowhere = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' }
  Object.assign(process.env, { ...nowhere, AWS_EC2_METADATA_DISABLED: 'true', ...env })
}

/** What is said of a database that was never really one. */
export function factsOf(id: string, { bytes, sha256 }: { bytes: number; sha256: string }): BackupFacts {
  const [, date, time] = /_(\d{4}-\d{2}-\d{2})_(\d{2}-\d{2}-\d{2})$/.exec(id) ?? []
  const at = `${date}T${time?.replaceAll('-', ':')}.000Z`
  return {
    id,
    taken_at: at,
    proven_at: at,
    source: {
      host: 'here',
      database: '/agent.db',
      owner: { uid: 0, gid: 0, mode: '0600' },
      journal_mode: 'wal',
      method: 'backup',
      state: null,
    },
    database: {
      bytes,
      sha256,
      page_size: 4096,
      page_count: Math.ceil(bytes / 4096),
      schema_sha256: '0'.repeat(64),
      user_version: 0,
      application_id: 0,
      tables: [{ name: 'trades', rows: 3 }],
      candles: [],
    },
    tool: { candlekeep: '0', sqlite: '3', node: '26' },
  }
}

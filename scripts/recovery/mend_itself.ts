import { copyFileSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { needRoom } from '../backup/snapshot.ts'
import { bringOver } from './bring_over.ts'
import type { Base, CaseFile } from './case_file.ts'
import type { Candidate } from './choose.ts'
import type { Damage } from './diagnosis.ts'
import { problemsListed } from './look.ts'
import type { Look } from './mender_protocol.ts'
import { sizeOf } from './specimen.ts'
import { askMender, type RecoveryTools } from './tools.ts'

type Itself = Extract<Base, { kind: 'itself' }>
type Attempt = (
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
) => Promise<Itself['how'] | undefined>

/**
 * Makes the new database of the copy of the damaged one, where nothing of its tables is lost by that; it is still to be
 * proven. undefined: that cannot be done. The copy may be gone then.
 */
export async function mendItself(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<Itself | undefined> {
  for (const attempt of attempts[file.found.diagnosis.damage] ?? []) {
    const how = await attempt(tools, file, order)
    if (how !== undefined) return { kind: 'itself', how }
  }
  return undefined
}

const attempts: Partial<Record<Damage, Attempt[]>> = {
  foreign_log: [withoutLog],
  candles: [withoutLog],
  truncated: [withoutLog],
  pages: [withoutLog],
  indexes: [withoutLog, reindexed],
  free_pages: [withoutLog, vacuumed],
}

const logs = ['-wal', '-journal']

/**
 * Where the file alone is sound, and with its log or journal it is not, that belongs to another database or another time.
 * What it holds is still looked at like a damaged database, unless it is plainly another one's.
 */
async function withoutLog(tools: RecoveryTools, file: CaseFile): Promise<Itself['how'] | undefined> {
  const { specimen, restored } = file
  const { damage } = file.found.diagnosis
  const there = logs.filter(suffix => (sizeOf(specimen + suffix) ?? 0) > 0)
  if (there.length === 0) return undefined
  needRoom(dirname(restored), sizeOf(specimen) ?? 0)
  copyFileSync(specimen, restored)
  const look = await lookAt(tools, restored)
  const worse = damage === 'candles' && (look?.broken.length ?? 0) > 0
  const sound = look !== undefined && look.problems.length === 0 && look.structures.length > 0 && !worse
  if (!sound) {
    file.clear(restored)
    if (damage === 'foreign_log') for (const suffix of there) file.clear(specimen + suffix)
    return undefined
  }
  if (damage === 'foreign_log' || !tools.config.recovery.salvage) return 'without its log'
  return (await bringOver(tools, file)) === 'broken' ? undefined : 'without its log'
}

async function reindexed(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<Itself['how'] | undefined> {
  const { doubtful } = file.found.diagnosis
  const rows = doubtful.reduce((sum, { rowids }) => sum + rowids.length, 0)
  // a row and its index differ: it can be the row that is damaged, and then an earlier backup has it otherwise
  if (rows > 0 && rows < problemsListed && (await differFromBackup(tools, file, order))) return undefined
  const { trouble } = await askMender(tools, { task: 'reindex', file: file.specimen })
  const look = trouble === undefined ? await lookAt(tools, file.specimen) : undefined
  if (look === undefined || look.problems.length > 0) return undefined
  file.update({ doubtful_rows: rows })
  renameSync(file.specimen, file.restored)
  return 'indexes rebuilt'
}

/** The tables as they are, and a list of free pages that is right. */
async function vacuumed(tools: RecoveryTools, file: CaseFile): Promise<Itself['how'] | undefined> {
  const { specimen, restored } = file
  needRoom(dirname(restored), sizeOf(specimen) ?? 0)
  const { trouble } = await askMender(tools, { task: 'vacuum', file: specimen, target: restored })
  const look = trouble === undefined ? await lookAt(tools, restored) : undefined
  if (look !== undefined && look.problems.length === 0) return 'written anew'
  file.clear(restored)
  return undefined
}

/** Whether rows that an index does not have, or otherwise, are not as the newest hot backup has them. */
async function differFromBackup(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
): Promise<boolean> {
  const newest = order.find(({ tier }) => tier === 'hot')
  if (newest === undefined) return false
  const { findings } = await askMender(tools, {
    task: 'compare',
    file: file.specimen,
    earlier: tools.tiers.hot.fileOf(newest.manifest),
    rows: file.found.diagnosis.doubtful,
  })
  const differing = findings.differing?.length ?? 0
  if (differing > 0)
    tools.log.info(`${differing} rows that an index has otherwise are not what the backup has`)
  return differing > 0
}

async function lookAt(tools: RecoveryTools, file: string): Promise<Look | undefined> {
  const { findings } = await askMender(tools, { task: 'look', file, seals: tools.seals(), live: false })
  return findings.look
}

import type { Manifest } from '../backup/manifest.ts'
import { bringOver, giveUp } from './bring_over.ts'
import type { Base, CaseFile } from './case_file.ts'
import type { Candidate } from './choose.ts'
import { type JournalMode, prove } from './prove.ts'
import { type Judgement, type PassedOver, restoreFirst } from './restore.ts'
import { askMender, type RecoveryTools } from './tools.ts'

/** A new database, and the backup whose owner and mode are to be given to it where the damaged one has none. */
export type Made = { base: Base; manifest: Manifest | undefined }

type Wishes = {
  /** Whether what can be read of the damaged one is brought over. */
  salvage: boolean
  journalModeOf: (manifest: Manifest | undefined) => JournalMode
}

/** Makes the new database from the first good backup, proven. undefined: none is good. */
export async function fromBackup(
  tools: RecoveryTools,
  file: CaseFile,
  order: readonly Candidate[],
  { salvage, journalModeOf }: Wishes,
): Promise<Made | undefined> {
  const { records } = tools
  let without: Candidate | undefined
  const judge = async (candidate: Candidate): Promise<Judgement> => {
    const { tier, manifest } = candidate
    const journalMode = journalModeOf(manifest)
    const brought = salvage && without !== candidate ? await bringOver(tools, file) : 'nothing'
    const flaw =
      brought === 'broken'
        ? undefined
        : await prove(tools, file, journalMode, brought === 'done' ? undefined : manifest)
    if (brought !== 'broken' && flaw === undefined) return 'good'
    if (brought !== 'nothing') {
      // whose fault that is shows without what was brought over
      without = candidate
      if (flaw !== undefined) giveUp(file, `the database was not sound with it: ${flaw.what}`)
      return 'again'
    }
    file.update({ salvage: null, not_salvaged: null })
    const { what, ofIts } = flaw ?? { what: 'it was not proven', ofIts: false }
    if (ofIts) records.verified(tier, manifest.id, what)
    return { flaw: what }
  }
  const passOver = (entry: PassedOver) => file.update({ passed_over: [...file.found.passed_over, entry] })
  const found = await restoreFirst(tools, order, file.restored, judge, passOver)
  if (found === undefined) return undefined
  const { tier, manifest } = found
  const covered = records.of(tier).get(manifest.id)?.coversUntil ?? Date.parse(manifest.taken_at)
  const { id, taken_at } = manifest
  const base: Base = { kind: 'backup', id, tier, taken_at, covers_until: new Date(covered).toISOString() }
  return { base, manifest }
}

/** There is no good backup: makes it from the tables of the damaged database and what can be read of them. */
export async function fromRemains(
  tools: RecoveryTools,
  file: CaseFile,
  journalMode: JournalMode,
): Promise<Made | undefined> {
  file.clear(file.restored)
  const { trouble } = await askMender(tools, { task: 'outline', file: file.specimen, target: file.restored })
  if (trouble !== undefined || (await bringOver(tools, file)) !== 'done') return undefined
  const flaw = await prove(tools, file, journalMode)
  return flaw === undefined ? { base: { kind: 'remains' }, manifest: undefined } : undefined
}

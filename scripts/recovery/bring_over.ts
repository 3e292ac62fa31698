import { dirname } from 'node:path'
import { needRoom } from '../backup/snapshot.ts'
import { messageOf, UserError } from '../job/errors.ts'
import type { CaseFile } from './case_file.ts'
import { sizeOf } from './specimen.ts'
import { askMender, type RecoveryTools } from './tools.ts'

/**
 * Brings what can be read of the damaged database, and the new one lacks, over into that. `nothing`: the new one is
 * untouched; `broken`: it broke off, and the new one is worth nothing any more. Why, stands in the case.
 */
export async function bringOver(
  tools: RecoveryTools,
  file: CaseFile,
): Promise<'done' | 'nothing' | 'broken'> {
  file.clear(file.aside)
  try {
    // at most all of it is new, or is put aside
    needRoom(dirname(file.restored), sizeOf(file.specimen) ?? 0)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    giveUp(file, messageOf(error))
    return 'nothing'
  }
  const { findings, trouble } = await askMender(tools, {
    task: 'salvage',
    damaged: file.specimen,
    into: file.restored,
    aside: file.aside,
    seals: tools.seals(),
  })
  const { salvage } = findings
  if (salvage === undefined) {
    giveUp(file, trouble && 'damaged' in trouble ? trouble.damaged : (trouble?.unknown ?? 'it broke off'))
    return 'broken'
  }
  if ('nothing' in salvage) {
    giveUp(file, salvage.nothing)
    return 'nothing'
  }
  file.update({ salvage, not_salvaged: null })
  return 'done'
}

/** Nothing is brought over, for a reason. */
export function giveUp(file: CaseFile, why: string): void {
  file.clear(file.aside)
  file.update({ salvage: null, not_salvaged: why })
}

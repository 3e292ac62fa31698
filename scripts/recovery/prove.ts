import { existsSync } from 'node:fs'
import type { Manifest } from '../backup/manifest.ts'
import { isCandleTable } from '../candles/intervals.ts'
import { some } from '../job/words.ts'
import type { CaseFile } from './case_file.ts'
import type { Look } from './mender_protocol.ts'
import type { Salvage } from './salvage.ts'
import { sideSuffixes } from './specimen.ts'
import { askMender, type RecoveryTools } from './tools.ts'

export type JournalMode = 'wal' | 'rollback'

/** What is wrong with a new database. `ofIts`: that is the database's own fault, and not that of the disk, say. */
export type Flaw = { what: string; ofIts: boolean }

/**
 * Sets the journal mode of the new database and reads all of it once more. undefined: it is proven. `manifest`: what has
 * to be in it to the row.
 */
export async function prove(
  tools: RecoveryTools,
  file: CaseFile,
  journalMode: JournalMode,
  manifest?: Manifest,
): Promise<Flaw | undefined> {
  const { restored } = file
  const { findings, trouble } = await askMender(tools, {
    task: 'settle',
    file: restored,
    journalMode,
    seals: tools.seals(),
  })
  const { look } = findings
  if (look === undefined) {
    if (trouble !== undefined && 'damaged' in trouble) return { what: trouble.damaged, ofIts: true }
    return { what: trouble?.unknown ?? 'it was not proven', ofIts: false }
  }
  if (look.problems.length > 0)
    return { what: `SQLite finds damage in it: ${some(look.problems, 3)}`, ofIts: true }
  const left = sideSuffixes.filter(suffix => existsSync(restored + suffix))
  if (left.length > 0) return { what: `${left.join(', ')} lies beside it`, ofIts: false }
  const what = disagreement(look, file.found.salvage, manifest)
  return what === undefined ? undefined : { what, ofIts: true }
}

/** How the rows that were counted differ from those that should be there; of candles whole months are replaced. */
function disagreement(
  look: Look,
  salvage: Salvage | null,
  manifest: Manifest | undefined,
): string | undefined {
  const expected =
    salvage?.tables
      .filter(({ table }) => !isCandleTable(table))
      .map(({ table, inBackup, salvaged }) => ({ name: table, rows: inBackup + salvaged })) ??
    manifest?.database.tables ??
    []
  const found = new Map(look.rows.map(({ table, rows }) => [table, rows]))
  const [wrong] = expected.filter(({ name, rows }) => found.has(name) && found.get(name) !== rows)
  if (wrong === undefined) return undefined
  return `${wrong.name} has ${found.get(wrong.name)} rows instead of ${wrong.rows}`
}

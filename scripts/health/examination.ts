import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BrokenSeal, CandleFacts, SealsOfSymbol } from '../candles/inspect.ts'
import type { CandleTable } from '../candles/intervals.ts'
import { type FileFacts, lookAtFile } from '../database/file_facts.ts'
import { inScratchFolder } from '../database/scratch.ts'
import type { Answered, Trouble } from '../database/worker.ts'
import { compileCacheOf } from '../job/compile_cache.ts'
import { type Examiner, startExaminer } from './examiner.ts'
import type { Findings, SizeFacts, StructureFacts } from './examiner_protocol.ts'
import { takeView } from './view.ts'

export type ExaminationRequest = {
  database: string
  /** Our own folder: a copy of the database is made there, for as long as it is looked at. */
  state: string
  table: CandleTable
  /** Open time of the newest candle that can have closed. */
  lastClosed: number
  quick: boolean
  /** The seals to compare, as they are at the moment of the call: all that are due, or `only` those of these names. */
  seals: (only?: Set<string>) => SealsOfSymbol[]
  signal: AbortSignal
  /** Before a seal that does not match is looked at again. */
  pauseMs?: number
}

/** What was seen of a database. What could not be seen says why. */
export type Examination = {
  file: FileFacts
  hotJournal: boolean
  /** For how long writers had to wait, where the database does not let them write beside a reader. */
  heldMs: number | undefined
  size: SizeFacts | undefined
  candles: CandleFacts | Trouble
  structure: StructureFacts | Trouble
  /** Seals that are broken, and the names of what was found to be as sealed. */
  seals: { broken: BrokenSeal[]; verified: Set<string> } | Trouble
}

/**
 * Looks at a database that others write to: they never wait for more than it takes to copy it. What they write in
 * between makes no difference: everything that is looked at is one state, and a seal that does not match is read
 * again before it counts.
 */
export function examine(request: ExaminationRequest): Promise<Examination> {
  return inScratchFolder(join(request.state, 'scratch'), async folder => {
    // two, side by side: SQLite's own check takes one processor all the time
    const cache = compileCacheOf(request.state)
    const [first, second] = [startExaminer(request.signal, cache), startExaminer(request.signal, cache)]
    try {
      return await examineIn(folder, request, first, second)
    } finally {
      await Promise.all([first.end(), second.end()])
    }
  })
}

/** The same, in a folder and by examiners that are there already. */
export async function examineIn(
  folder: string,
  request: ExaminationRequest,
  first: Examiner,
  second: Examiner,
): Promise<Examination> {
  const file = lookAtFile(request.database)
  const view = await takeView(request.database, folder, first)
  if ('trouble' in view) {
    const { trouble } = view
    const nothing = { hotJournal: false, heldMs: undefined, size: undefined }
    return { file, ...nothing, candles: trouble, structure: trouble, seals: trouble }
  }
  const [structure, contents] = await Promise.all([
    view.holdsWriters ? notChecked : first.ask({ task: 'structure', file: view.file, quick: request.quick }),
    readContents(request, second, view.file),
  ])
  const recheck = async (only: Set<string>) => {
    const later = await takeView(request.database, folder, second)
    return 'trouble' in later ? undefined : readContents(request, second, later.file, only)
  }
  return {
    file,
    hotJournal: view.hotJournal,
    heldMs: view.heldMs,
    size: contents.findings.size,
    candles: contents.findings.candles ?? troubleOf(contents),
    structure: structure.findings.structure ?? troubleOf(structure),
    seals: await confirmSeals(contents, recheck, request),
  }
}

const notChecked: Answered<Findings> = {
  findings: {},
  trouble: {
    unknown:
      "there is no room for a copy of the database, and SQLite's check would keep its writers out for too long",
  },
}

type Contents = Answered<Findings> & { asked: string[] }

async function readContents(
  { table, lastClosed, seals }: ExaminationRequest,
  examiner: Examiner,
  file: string,
  only?: Set<string>,
): Promise<Contents> {
  const asked = seals(only)
  const examined = await examiner.ask({ task: 'contents', file, table, lastClosed, seals: asked })
  return { ...examined, asked: asked.map(({ name }) => name) }
}

const rounds = 3

/**
 * A sync that commits while the seals and then the candles are read breaks a seal only for the moment: what does not
 * match is read again, with the seals as they are then.
 */
async function confirmSeals(
  contents: Contents,
  recheck: (only: Set<string>) => Promise<Contents | undefined>,
  { signal, pauseMs = 250 }: ExaminationRequest,
): Promise<Examination['seals']> {
  let suspect = contents.findings.broken
  if (suspect === undefined) return troubleOf(contents)
  for (let round = 0; round < rounds && suspect.length > 0; round++) {
    // once the time is up nothing can be read again: what did not match then counts as broken
    await delay(pauseMs, undefined, { signal }).catch(() => undefined)
    const again = await recheck(new Set(suspect.map(({ name }) => name)))
    suspect = again?.findings.broken ?? suspect
  }
  const broken = new Set(suspect.map(({ name }) => name))
  return { broken: suspect, verified: new Set(contents.asked.filter(name => !broken.has(name))) }
}

function troubleOf({ trouble }: Answered<Findings>): Trouble {
  return trouble ?? { unknown: 'the database could not be looked into' }
}

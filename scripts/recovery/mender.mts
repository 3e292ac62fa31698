/**
 * Works on databases for a recovery, in a process of its own: damage can bring SQLite to a crash, and its work cannot
 * be stopped from within. Reads requests from standard input and answers on standard output, both a line of JSON each.
 */
import { createInterface } from 'node:readline'
import { endWithParent } from '../database/orphan.ts'
import { copySealed } from '../database/sealed_copy.ts'
import { codeOf, messageOf } from '../job/errors.ts'
import { look, lookAtSeals, settle } from './look.ts'
import type { MenderAnswer, MenderRequest } from './mender_protocol.ts'
import { compareRows, makeOutline, rebuildIndexes, vacuumInto, writeThrough } from './mending.ts'
import { salvage } from './salvage.ts'

// copies hold everything that the database does, also while they are made
process.umask(0o077)
endWithParent()

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as MenderRequest))}\n`)

async function answer(request: MenderRequest): Promise<MenderAnswer> {
  try {
    return await work(request)
  } catch (error) {
    return { error: { code: codeOf(error), message: messageOf(error) } }
  }
}

async function work(request: MenderRequest): Promise<MenderAnswer> {
  if (request.task === 'copy') return { copy: await copySealed(request.file, request.target) }
  if (request.task === 'look') return { look: look(request.file, request.seals, request) }
  if (request.task === 'seals') return { broken: lookAtSeals(request.file, request.seals) }
  if (request.task === 'compare')
    return { differing: compareRows(request.file, request.earlier, request.rows) }
  if (request.task === 'salvage') return { salvage: salvage(request) }
  if (request.task === 'settle') return { look: settle(request.file, request.journalMode, request.seals) }
  if (request.task === 'through') return { pages: await writeThrough(request.file, request.target) }
  if (request.task === 'reindex') rebuildIndexes(request.file)
  else if (request.task === 'vacuum') vacuumInto(request.file, request.target)
  else makeOutline(request.file, request.target)
  return {}
}

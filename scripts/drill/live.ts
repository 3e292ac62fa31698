import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type BackupFacts, idAt } from '../backup/manifest.ts'
import { DamagedSource, type Snapshotter, takeSnapshot } from '../backup/snapshot.ts'
import type { Context } from '../backup/tier.ts'
import { makeScratchFolder } from '../database/scratch.ts'
import { messageOf } from '../job/errors.ts'

/** What is in the live database, or why that cannot be told. */
export type Live = { database: BackupFacts['database'] } | { why: string }

type LiveTools = {
  database: string
  snapshotter: Snapshotter
  scratch: string
  now: () => number
  context: Context
}

/**
 * Looks at the live database once, when it is first asked: at a copy, so that what is counted is one moment and the agent
 * goes on. That it is damaged or not there is for the health check to say; a drill is about backups.
 */
export function lookOnce(tools: LiveTools): () => Promise<Live> {
  let looked: Promise<Live> | undefined
  return () => (looked ??= look(tools))
}

async function look({ database, snapshotter, scratch, now, context }: LiveTools): Promise<Live> {
  const target = join(scratch, 'live.db')
  try {
    makeScratchFolder(scratch)
    const { facts } = await takeSnapshot(snapshotter, { database, id: idAt(now()), target, now }, context)
    return { database: facts.database }
  } catch (error) {
    context.signal.throwIfAborted()
    const why = messageOf(error).replaceAll(/\s*\n\s*/g, ' ')
    return { why: error instanceof DamagedSource && !why.includes('damaged') ? `it is damaged: ${why}` : why }
  } finally {
    rmSync(target, { force: true })
  }
}

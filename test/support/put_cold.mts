/** Takes a file to the cold tier, as the process that a test kills: `put_cold.mts FILE ID SCRATCH`, with `CANDLEKEEP_CONFIG`. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { compress } from '../../scripts/backup/archive.ts'
import { openColdTier } from '../../scripts/backup/cold_tier.ts'
import { loadConfig } from '../../scripts/job/config.ts'
import { factsOf, quietly, smallParts } from './cold_tier.ts'

const [file = '', id = '', scratch = ''] = process.argv.slice(2)
const config = loadConfig(undefined)
config.backup.cold.part_mb = smallParts
const database = readFileSync(file)
const plain = {
  file,
  bytes: database.length,
  sha256: createHash('sha256').update(database).digest('hex'),
}
const tier = openColdTier(config, scratch)
const archive = () => compress(plain, join(scratch, `${id}.db.zst`), quietly())
await tier.put({ facts: factsOf(id, plain), file, archive }, quietly())
tier.close()

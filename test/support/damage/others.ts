import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { below, change, type Damage, somePage, type Target } from '../damages.ts'
import { sqlite } from '../recovery_stage.ts'

/** Writes that never reached the disk: pages are as they were when the backup was taken. */
function staleTo(count: number) {
  return (target: Target) => {
    const hot = join(target.database, '../../backups/hot')
    const name = readdirSync(hot).find(found => found.endsWith('.db')) as string
    const older = readFileSync(join(hot, name))
    change(target.database, bytes => {
      const { pageSize } = target.stage
      for (let i = 0; i < count; i++) {
        const at = somePage(older, target) * pageSize
        if (at + pageSize <= bytes.length) older.copy(bytes, at, at, at + pageSize)
      }
    })
  }
}

/** One price of a candle is another one, in an otherwise sound database: SQLite sees nothing. */
function changePrice({ database, random }: Target): void {
  sqlite(
    database,
    `UPDATE ohlcv_h4 SET close = close + 0.01
     WHERE rowid = (SELECT rowid FROM ohlcv_h4 LIMIT 1 OFFSET ${below(random, 800)})`,
  )
}

function putInstead(sql: string) {
  return ({ database, stage }: Target) => {
    rmSync(database)
    sqlite(database, `PRAGMA journal_mode = ${stage.journalMode}; ${sql}`)
  }
}

/** What befalls a database beside its bytes, and what only the seals and the backups tell. */
export const otherDamages: Damage[] = [
  { name: 'a price changed', strike: changePrice, lossless: true },
  { name: 'a page of an earlier time', strike: staleTo(1) },
  { name: 'thirty pages of an earlier time', strike: staleTo(30) },
  {
    name: 'a byte of the header',
    strike: ({ database, random }) =>
      change(database, bytes => {
        const at = 16 + below(random, 84)
        bytes[at] = (bytes[at] as number) ^ (1 + below(random, 255))
      }),
  },
  {
    name: 'bits flipped in the schema',
    strike: ({ database, stage, random }) =>
      change(database, bytes => {
        for (let i = 0; i < 8; i++) {
          const at = 100 + below(random, stage.pageSize - 100)
          bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8))
        }
      }),
  },
  { name: 'an empty database in its place', strike: putInstead('PRAGMA user_version = 1; VACUUM;') },
  {
    name: 'the database of something else in its place',
    strike: putInstead(
      'CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO customers (name) VALUES (1);',
    ),
  },
]

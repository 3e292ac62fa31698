import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Stage } from './recovery_stage.ts'
import { sqlite } from './recovery_stage.ts'

/** The agent's tables, and what names a row of each. */
const keys: Record<string, string> = {
  trade_log: 'id',
  audit: 'rowid',
  fills: 'id',
  positions: 'symbol',
  grid: 'level, side',
  models: 'id',
  sentiment: 'rowid',
  state: 'one',
}

type Rows = Map<string, string>

/** Rows of a table by key, both as SQL writes their values. */
function rowsOf(file: string, table: string): Rows {
  const key = keys[table] as string
  const printed = sqlite(file, `.mode quote\n.separator '|'\nSELECT ${key}, '=', * FROM ${table};`)
  return new Map(
    printed
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split("|'='|") as [string, string]),
  )
}

/** What Debian's sqlite3, which goes on after each error, can read of rows of a damaged copy by their keys. */
function readable(damaged: string, table: string, wanted: Rows): Set<string> {
  const key = (keys[table] as string).split(', ')
  const queries = [...wanted.keys()].map(values => {
    const where = values.split('|').map((value, i) => `${key[i]} = ${value}`)
    return `SELECT ${keys[table]}, '=', * FROM ${table} WHERE ${where.join(' AND ')};`
  })
  const { stdout } = spawnSync('sqlite3', ['-batch', damaged], {
    input: `.mode quote\n.separator '|'\n${queries.join('\n')}`,
    // a flipped bit can make text of what is no UTF-8
    encoding: 'latin1',
    maxBuffer: 1 << 28,
  })
  return new Set(
    stdout.split('\n').filter(line => {
      const [name, row] = line.split("|'='|")
      return name !== undefined && row !== undefined && wanted.get(name) === row
    }),
  )
}

/** The rows of a table that were put aside, as SQL writes their values. */
function asideOf(aside: string, table: string): string {
  const tables = sqlite(aside, "SELECT name FROM sqlite_master WHERE type = 'table';").split('\n')
  return tables.includes(table) ? sqlite(aside, `.mode quote\n.separator '|'\nSELECT * FROM ${table};`) : ''
}

const known = new Map<string, Rows>()

/** Those of the stage never change. */
function knownRows(file: string, table: string): Rows {
  const name = `${file} ${table}`
  const rows = known.get(name) ?? rowsOf(file, table)
  known.set(name, rows)
  return rows
}

/**
 * What is wrong with a recovered database, a line each: it is sound, has every candle and no other, every row of the
 * backup, every row that sqlite3 can read of the damaged one, and none that there never was. `itself`: nothing at all may
 * be lost. `aside`: where rows are that were read and not brought over, such as those that refer to what is lost.
 */
export function judgeRecovered(
  recovered: string,
  damaged: string | undefined,
  { truth, backedUp }: Stage,
  { itself, aside }: { itself: boolean; aside: string | undefined },
): string[] {
  const check = sqlite(recovered, 'PRAGMA integrity_check;').trim()
  if (check !== 'ok') return [`integrity_check: ${check.slice(0, 200)}`]
  const wrong: string[] = []
  const candles = sqlite(
    recovered,
    `ATTACH '${truth}' AS truth;
     SELECT (SELECT count(*) FROM (SELECT * FROM truth.ohlcv_h4 EXCEPT SELECT * FROM main.ohlcv_h4)),
       (SELECT count(*) FROM (SELECT * FROM main.ohlcv_h4 EXCEPT SELECT * FROM truth.ohlcv_h4));`,
  ).trim()
  if (candles !== '0|0') wrong.push(`candles that lack | that are too many: ${candles}`)
  for (const table of Object.keys(keys)) {
    const now = rowsOf(recovered, table)
    const [before, then] = [knownRows(backedUp, table), knownRows(truth, table)]
    const strange = new Map([...now].filter(([key, row]) => then.get(key) !== row && before.get(key) !== row))
    // a bit that was flipped in a row of the agent's nobody can see: what sqlite3 reads so in the damaged one stays so
    const flipped =
      damaged === undefined || strange.size === 0 ? new Set() : readable(damaged, table, strange)
    const invented = [...strange].filter(([key, row]) => !flipped.has(`${key}|'='|${row}`))
    if (invented.length > 0)
      wrong.push(`${table}: ${invented.length} rows that never were: ${invented[0]?.join(' = ')}`)
    const gone = [...(itself ? then : before)].filter(([key]) => then.has(key) && !now.has(key))
    if (gone.length > 0) wrong.push(`${table}: ${gone.length} rows are gone: ${gone[0]?.join(' = ')}`)
    if (itself) {
      const other = [...then].filter(([key, row]) => now.get(key) !== row)
      if (other.length > 0)
        wrong.push(`${table}: ${other.length} rows are not as they were: ${other[0]?.join(' = ')}`)
    }
    const fresh: Rows = new Map([...then].filter(([key]) => !before.has(key)))
    if (damaged === undefined || fresh.size === 0) continue
    const kept = aside === undefined ? '' : asideOf(aside, table)
    const left = [...readable(damaged, table, fresh)].filter(line => {
      const [name, row] = line.split("|'='|") as [string, string]
      // one whose record is damaged is put aside as it lies there, under its rowid
      return !now.has(name) && !kept.includes(row) && !kept.includes(`'|${name}|`)
    })
    if (left.length > 0)
      wrong.push(`${table}: ${left.length} rows that can be read were left behind: ${left[0]}`)
  }
  const schema = (file: string) =>
    sqlite(
      file,
      "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2;",
    )
  if (schema(recovered) !== schema(truth)) wrong.push('its schema is another one')
  return wrong
}

/** The files of a database, by suffix and digest; a log without anything in it is as good as none. */
export function filesOf(database: string): Record<string, string> {
  const found = ['', '-journal', '-wal'].filter(
    suffix => existsSync(database + suffix) && (suffix === '' || statSync(database + suffix).size > 0),
  )
  return Object.fromEntries(
    found.map(suffix => [
      suffix,
      createHash('sha256')
        .update(readFileSync(database + suffix))
        .digest('hex'),
    ]),
  )
}

/** What is wrong with what was kept of the damaged files. */
export function judgeEvidence(quarantine: string, name: string, before: Record<string, string>): string[] {
  const folders = existsSync(quarantine) ? readdirSync(quarantine) : []
  if (folders.length !== 1) return [`${folders.length} recoveries in quarantine`]
  const folder = join(quarantine, folders[0] as string)
  const kept = filesOf(join(folder, 'damaged', name))
  const wrong = Object.entries(before)
    .filter(([suffix, digest]) => kept[suffix] !== digest)
    .map(([suffix]) => `the damaged ${name}${suffix} is not kept as it was`)
  for (const report of ['report.json', 'report.md', 'recovery.json'])
    if (!existsSync(join(folder, report))) wrong.push(`there is no ${report}`)
  for (const left of ['specimen.db', 'restored.db'])
    if (existsSync(join(folder, left))) wrong.push(`${left} is left over`)
  return wrong
}

/** Owner, mode and journal mode of a database that nobody has open. */
export function natureOf(database: string): string {
  const { uid, gid, mode } = statSync(database)
  return [
    uid,
    gid,
    (mode & 0o7777).toString(8),
    sqlite(database, 'PRAGMA journal_mode; PRAGMA page_size;').trim().replace('\n', ' '),
  ].join(' ')
}

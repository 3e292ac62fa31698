import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Salvage, salvage, type TableSalvage } from '../scripts/recovery/salvage.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { type Damage, damage, damageKinds } from './support/salvage_damage.ts'
import { type Lives, makeLives, quoted } from './support/salvage_databases.ts'
import { Oracle, placesOf, type Rows, sqlite3 } from './support/salvage_oracle.ts'
import { temporaryFolder } from './support/workspace.ts'

// Random databases, random damage. The oracle is Debian's sqlite3, which reads an undamaged copy.

const skip = skipWithoutPackages({ sqlite3: 'sqlite3' })

type Case = { folder: string; lives: Lives; harm: Damage; result: Salvage }

/** What is wrong with the outcome, in words; nothing, as it should be. */
function faultsOf(one: Case): string[] {
  const { folder, lives, result } = one
  const [truth, backup, into] = [lives.truth, lives.backup, join(folder, 'into.db')].map(
    file => new Oracle(file),
  ) as [Oracle, Oracle, Oracle]
  const asideFile = join(folder, 'aside.db')
  const aside = existsSync(asideFile) ? new Oracle(asideFile) : undefined
  const faults = lives.tables.flatMap(table => {
    const told = result.tables.find(({ table: name }) => name === table)
    return faultsOfTable(one, table, told, { truth, backup, into, aside }).map(fault => `${table}: ${fault}`)
  })
  for (const oracle of [truth, backup, into, aside]) oracle?.close()
  const verdict = sqlite3(join(folder, 'into.db'), 'PRAGMA integrity_check')
  if (verdict !== 'ok') faults.push(`the outcome is damaged: ${verdict}`)
  const left = readdirSync(folder).filter(name => /(into|aside)\.db-/.test(name))
  if (left.length > 0) faults.push(`left over: ${left.join()}`)
  return faults
}

type Oracles = { truth: Oracle; backup: Oracle; into: Oracle; aside: Oracle | undefined }

function faultsOfTable(
  { harm, result }: Case,
  table: string,
  told: TableSalvage | undefined,
  oracles: Oracles,
): string[] {
  const { truth, backup, into, aside } = oracles
  const isNew = !backup.has(table)
  const places = placesOf(truth, table)
  const hit = (key: string) => [...(places.get(key) ?? [])].some(page => harm.touched.has(page))
  // what the schema says of a table may be gone with its page
  const schemaHit = truth.pages('sqlite_schema').some(({ pageno }) => harm.touched.has(pageno))
  if (told === undefined) return isNew && schemaHit ? [] : ['it is not in the report']
  const faults: string[] = []
  const expect = (right: boolean, what: string) => {
    if (!right) faults.push(what)
  }
  const columns = (isNew ? truth : backup).columns(table)
  const before: Rows = isNew ? new Map() : backup.rows(table, columns)
  const live = truth.rows(table, columns)
  const after: Rows = into.has(table) ? into.rows(table, columns) : new Map()
  const reasons =
    aside?.has(table) === true
      ? aside.counts(`SELECT why, count(*) FROM ${quoted(table)} GROUP BY 1`)
      : new Map<string, number>()
  const [conflicts, refused] = [reasons.get('conflict') ?? 0, reasons.get('refused') ?? 0]

  for (const [key, row] of before)
    expect(after.get(key) === row, `the backup's row ${key} is lost or changed`)
  const added = [...after].filter(([key]) => !before.has(key))
  for (const [key, row] of added)
    expect(
      live.get(key) === row || (harm.plausible && (hit(key) || !live.has(key))),
      `row ${key} never was: ${row}`,
    )
  if (added.length > 0) {
    // columns that were added since have come over with the rows
    const all = into.columns(table)
    const [full, fullTruth] = [into.rows(table, all), truth.rows(table, all)]
    for (const [key] of added)
      expect(hit(key) || full.get(key) === fullTruth.get(key), `row ${key} lacks values`)
  }

  let [missing, equal] = [0, 0]
  for (const [key, row] of live) {
    if (!after.has(key)) missing += 1
    if (hit(key) || schemaHit) continue
    if (before.get(key) === row) equal += 1
    const settled = after.get(key) === row || told.distrusted !== null || before.has(key) || refused > 0
    expect(settled, `row ${key} was on sound pages, and is not there`)
  }
  expect(told.inBackup === before.size, `in backup: ${told.inBackup}, counted ${before.size}`)
  expect(told.salvaged === added.length, `salvaged: ${told.salvaged}, counted ${added.length}`)
  if (told.distrusted === null) {
    expect(told.conflicts === conflicts, `conflicts: ${told.conflicts}, counted ${conflicts}`)
    expect(told.refused === refused, `refused: ${told.refused}, counted ${refused}`)
    const alike = told.read - told.conflicts - told.salvaged - told.refused
    // a row whose new column is not at its default differs
    expect(alike + conflicts >= equal, `${alike} alike, counted at least ${equal}`)
    if (!harm.plausible)
      expect(
        missing <= told.knownLost + told.refused,
        `${missing} rows are missing, and ${told.knownLost} known lost`,
      )
    if (told.whole && !harm.plausible && result.how === 'as it is')
      expect(told.read === live.size, `read ${told.read} of ${live.size}`)
  }
  return faults
}

await t.test('a damaged database', { skip }, async group => {
  for (const kind of damageKinds) {
    await group.test(`with damage of the kind: ${kind}`, async test => {
      const random = seededRandom(test)
      const counts = { salvaged: 0, conflicts: 0, refused: 0, distrusted: 0, lost: 0, grafted: 0 }
      const faults: string[] = []
      const cases = runs(8, 300)
      for (let n = 0; n < cases && faults.length === 0; n++) {
        const folder = temporaryFolder(test)
        // each case by a seed of its own, in the order of the run's
        const lives = makeLives(folder, random)
        const [damaged, into, aside] = ['damaged.db', 'into.db', 'aside.db'].map(name =>
          join(folder, name),
        ) as [string, string, string]
        copyFileSync(lives.truth, damaged)
        copyFileSync(lives.backup, into)
        const harm = damage(damaged, kind, random, lives.backup)
        const result = salvage({ damaged, into, aside, seals: [] })
        if ('nothing' in result) {
          rmSync(folder, { recursive: true })
          continue
        }
        for (const fault of faultsOf({ folder, lives, harm, result }))
          faults.push(`case ${n}, ${harm.what}: ${fault}`)
        for (const one of result.tables) count(counts, one)
        if (result.how === 'grafted') counts.grafted += 1
        if (faults.length === 0) rmSync(folder, { recursive: true })
      }
      test.comment(`${cases} cases: ${JSON.stringify(counts)}`)
      test.same(faults.slice(0, 8), [])
    })
  }
})

function count(
  counts: Record<string, number>,
  { salvaged, conflicts, refused, distrusted, knownLost }: TableSalvage,
): void {
  const add = (name: string, number: number) => (counts[name] = (counts[name] ?? 0) + number)
  add('salvaged', salvaged)
  add('conflicts', conflicts)
  add('refused', refused)
  add('distrusted', distrusted === null ? 0 : 1)
  add('lost', knownLost)
}

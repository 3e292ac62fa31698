import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import type { Ended } from './support/command.ts'
import { logDamages } from './support/damage/logs.ts'
import { otherDamages } from './support/damage/others.ts'
import { type Damage, damages } from './support/damages.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { seed } from './support/properties.ts'
import { randomFrom } from './support/random.ts'
import { filesOf, judgeEvidence, judgeRecovered, natureOf } from './support/recovery_judge.ts'
import { type Build, makeStage, type Stage } from './support/recovery_stage.ts'

const skip = skipWithoutPackages({ sqlite3: 'sqlite3' })
const soak = process.env['CANDLEKEEP_SOAK'] === '1'
/** Of each kind, in each kind of database. */
const rounds = soak ? 4 : 1
const sample = 6
/** In CI the same cases each time, unless a seed is given: another hundred flipped bits are for the soak. */
const start = soak || process.env['FC_SEED'] ? seed : 20261125
const draw = randomFrom(start)
const builds: Build[] = [
  { journalMode: 'delete', pageSize: 1024 },
  { journalMode: 'wal', pageSize: 4096 },
]

t.jobs = 2
for (const build of builds) {
  const name = `each damage of a database in journal mode ${build.journalMode} with pages of ${build.pageSize} bytes is recovered from`
  await t.test(name, { skip }, async test => {
    test.comment(`FC_SEED=${start}`)
    const stage = await makeStage(test, build)
    // in CI some kinds, as the seed has it
    const kinds = [...damages, ...logDamages, ...otherDamages].filter(({ unless }) => !unless?.(build))
    const order = kinds.map(damage => ({ damage, at: draw() })).toSorted((a, b) => a.at - b.at)
    const chosen = soak ? kinds : order.slice(0, sample).map(({ damage }) => damage)
    test.jobs = 2
    const cases: Promise<unknown>[] = []
    for (let round = 0; round < rounds; round++)
      for (const damage of chosen) {
        // cases run side by side: each has numbers of its own
        const own = Math.floor(draw() * 2 ** 31)
        cases.push(
          test.test(`${damage.name} (${own})`, { buffered: true }, one =>
            recoverFrom(one, stage, damage, randomFrom(own)),
          ),
        )
      }
    await Promise.all(cases)
  })
}

async function recoverFrom(test: Test, stage: Stage, damage: Damage, random: () => number): Promise<void> {
  const workspace = stage.clone(test)
  const { database } = workspace
  const nature = natureOf(database)
  const intact = filesOf(database)
  damage.strike({ database, stage, random })
  const before = filesOf(database)
  const damaged = keepAside(database)

  const checked = await workspace.run('db_recovery', ['--check', '--json'])
  test.same(filesOf(database)[''], before[''], 'a check changes nothing')
  const sound = checked.status === 0
  if (!sound) test.equal(checked.status, 1, `the damage is found: ${checked.stderr}`)
  const recovery = await workspace.run('db_recovery', ['--yes', '--json'])
  test.ok(recovery.status === 0, `it ends well: ${saying(recovery)}`)
  const told = recovery.json?.['recovery'] as
    | { base: { kind: string }; quarantine: string }
    | null
    | undefined
  if (sound) test.same(filesOf(database), before, `what is sound is left alone: ${saying(checked)}`)
  else if (told) {
    test.same(
      judgeEvidence(join(database, '../quarantine'), basename(database), before),
      [],
      'the evidence is kept',
    )
    for (const suffix of ['-journal', '-wal'])
      test.notOk(
        suffix in before && filesOf(database)[suffix] === before[suffix],
        `the old ${suffix} is not beside the new database`,
      )
    test.equal(natureOf(database), nature, 'owner, mode, journal mode and page size are as before')
  }
  const itself = told === undefined || told === null || told.base.kind === 'itself'
  const harmless = sound && before[''] !== intact[''] && !damage.lossless
  // where neither SQLite nor the seals see anything, a flipped bit of the agent's own rows stays
  const judged = judgeRecovered(database, sound ? undefined : damaged, stage, {
    itself: damage.lossless ?? (itself && !harmless),
    aside: told?.quarantine === undefined ? undefined : asideIn(told.quarantine),
  })
  test.same(
    harmless ? judged.filter(line => !/rows that never were|its schema/.test(line)) : judged,
    [],
    `nothing is lost, and nothing is there that never was: ${saying(recovery)}`,
  )
  test.equal((await workspace.run('db_recovery', ['--check'])).status, 0, 'it is sound afterwards')
  const health = await workspace.run('health_check', ['--full'])
  test.match(health.stdout, /\[3\/6\] (?!❌)/, `the health check finds it whole: ${health.stdout}`)
}

function asideIn(quarantine: string): string | undefined {
  const file = join(quarantine, 'not_restored.db')
  return existsSync(file) ? file : undefined
}

/** The damaged files once more, for the oracle to read. */
function keepAside(database: string): string | undefined {
  const folder = join(database, '../../aside')
  mkdirSync(folder)
  const copy = join(folder, basename(database))
  for (const suffix of ['', '-journal', '-wal'])
    if (existsSync(database + suffix)) cpSync(database + suffix, copy + suffix)
  return existsSync(copy) ? copy : undefined
}

function saying({ status, stderr }: Ended): string {
  return `status ${status}\n${stderr}`
}

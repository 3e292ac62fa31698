import { createHash } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Manifest, renderManifest } from '../scripts/backup/manifest.ts'
import type { TierName } from '../scripts/job/config.ts'
import { execute } from './support/agent_database.ts'
import { startEverything } from './support/alerts/channels.ts'
import { type BackupsHere, backupsHere, smallDatabase } from './support/backup_here.ts'
import { expectStatus } from './support/command.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { sumsIn } from './support/digest.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'

// That a stored backup is not what was stored is found by reading it again, whatever has become of it.

skipWithoutPackages({ sqlite3: 'sqlite3', zstd: 'zstd' })
const random = seededRandom(t)
const folders = ['hot', 'warm'] as const

type Two = BackupsHere & {
  /** Two backups of states of the same size; both tiers have both. */
  older: string
  newer: string
  folderOf: (tier: TierName) => string
  dataOf: (tier: TierName, id: string) => string
  manifestOf: (tier: TierName, id: string) => string
}

async function twoBackups(test: Test): Promise<Two> {
  const here = backupsHere(test)
  smallDatabase(here.workspace.database)
  here.at('2026-11-24T02:00:00Z')
  const first = await here.backUp()
  execute(here.workspace.database, "UPDATE trade_log SET side = 'put' WHERE id % 3 = 0")
  here.at('2026-11-25T02:00:00Z')
  const second = await here.backUp()
  const folderOf = (tier: TierName) => (tier === 'hot' ? here.hot : here.warm)
  return {
    ...here,
    older: first.facts.id,
    newer: second.facts.id,
    folderOf,
    dataOf: (tier, id) => join(folderOf(tier), `${id}.db${tier === 'warm' ? '.zst' : ''}`),
    manifestOf: (tier, id) => join(folderOf(tier), `${id}.manifest.json`),
  }
}

/** What `--verify` finds: `tier id: result`. */
async function found(two: Two, id?: string, tiers?: TierName[]): Promise<string[]> {
  const { verified, troubles } = await two.verify(id, tiers)
  return [
    ...verified.map(
      entry =>
        `${entry.tier} ${entry.id === two.newer ? 'newer' : entry.id === two.older ? 'older' : entry.id} ${entry.result}`,
    ),
    ...troubles.map(({ tier, message }) => `${tier} ${message}`),
  ].toSorted()
}

const allProven = ['hot newer proven', 'hot older proven', 'warm newer proven', 'warm older proven']

await t.test('backups that are as they were stored are proven', async test => {
  const two = await twoBackups(test)
  test.same(await found(two), allProven)
  test.same(await found(two, two.older), ['hot older proven', 'warm older proven'], 'or one of them')
  test.same(await found(two, two.older, ['warm']), ['warm older proven'])
  await test.rejects(two.verify('agent_backup_2026-01-01_00-00-00'), {
    message: 'there is no backup agent_backup_2026-01-01_00-00-00 on hot, warm',
    status: 64,
  })
})

/** Each place in a file of `bytes` bytes, or `most` of them: the first, the last, and any others. */
function places(bytes: number, most: number): number[] {
  if (bytes <= most) return Array.from({ length: bytes }, (_, place) => place)
  const some = new Set([0, bytes - 1])
  while (some.size < most) some.add(Math.floor(random() * bytes))
  return [...some]
}

await t.test('any byte that is another one is found', async group => {
  for (const tier of folders) {
    for (const [what, most] of [
      ['manifest', Number.POSITIVE_INFINITY],
      ['database', runs(150, Number.POSITIVE_INFINITY)],
    ] as const) {
      await group.test(`in the ${what} on the ${tier} tier`, async test => {
        const two = await twoBackups(test)
        const file = what === 'manifest' ? two.manifestOf(tier, two.newer) : two.dataOf(tier, two.newer)
        const whole = readFileSync(file)
        const tried = places(whole.length, most)
        const missed: string[] = []
        for (const place of tried) {
          const bad = Buffer.from(whole)
          const mask = random() < 0.5 ? 1 << Math.floor(random() * 8) : 1 + Math.floor(random() * 255)
          bad[place] = (whole[place] as number) ^ mask
          writeFileSync(file, bad)
          const [result] = await found(two, two.newer, [tier])
          if (result !== `${tier} newer bad`) missed.push(`byte ${place} ^ ${mask}: ${result}`)
        }
        test.same(missed, [], `${tried.length} of ${whole.length} bytes, one at a time`)
        const others = allProven.filter(line => line !== `${tier} newer proven`)
        test.same(
          await found(two),
          [...others, `${tier} newer bad`].toSorted(),
          'the others are proven still',
        )
        test.same(
          two.rows(`SELECT tier FROM backups WHERE failed_at IS NOT NULL AND id = '${two.newer}'`),
          [{ tier }],
          'the history has it',
        )
        writeFileSync(file, whole)
        test.same(await found(two), allProven, 'as it was, it is proven again')
        test.same(two.rows('SELECT id FROM backups WHERE failed_at IS NOT NULL'), [])
      })
    }
  }
})

await t.test('a file of another length is found', async group => {
  for (const tier of folders) {
    for (const what of ['manifest', 'database'] as const) {
      await group.test(`a ${what} on the ${tier} tier`, async test => {
        const two = await twoBackups(test)
        const file = what === 'manifest' ? two.manifestOf(tier, two.older) : two.dataOf(tier, two.older)
        const whole = readFileSync(file)
        const missed: string[] = []
        const see = async (label: string) => {
          const [result] = await found(two, two.older, [tier])
          if (result !== `${tier} older bad`) missed.push(`${label}: ${result}`)
        }
        // 0: emptied
        for (const length of places(whole.length, runs(60, Number.POSITIVE_INFINITY))) {
          writeFileSync(file, whole)
          truncateSync(file, length)
          await see(`cut to ${length}`)
        }
        for (const tail of ['\0', '\n', ' ', Buffer.alloc(1024), whole]) {
          writeFileSync(file, Buffer.concat([whole, Buffer.from(tail)]))
          await see(`${tail.length} more`)
        }
        // with the length that it had
        writeFileSync(file, Buffer.alloc(whole.length))
        await see('zeros')
        rmSync(file)
        const gone = await found(two, two.older).catch((error: Error) => [error.message])
        const other = tier === 'hot' ? 'warm older proven' : 'hot older proven'
        // of a manifest that is gone nothing is known: the backup counts no more
        test.same(gone, what === 'manifest' ? [other] : [other, `${tier} older bad`].toSorted(), 'gone')
        test.same(missed, [])
      })
    }
  }
})

type Mixup = { name: string; mix: (two: Two, tier: TierName) => void; finds: (tier: TierName) => string[] }

const swap = (a: string, b: string) => {
  renameSync(a, `${a}.aside`)
  renameSync(b, a)
  renameSync(`${a}.aside`, b)
}
const rewrite = (file: string, change: (manifest: Manifest) => object) => {
  const {
    format: _,
    manifest_sha256: __,
    ...manifest
  } = JSON.parse(readFileSync(file, 'utf8')) as Manifest & {
    format: string
    manifest_sha256: string
  }
  writeFileSync(file, renderManifest(change(manifest) as Manifest))
}
const bothBad = (tier: TierName) => [`${tier} newer bad`, `${tier} older bad`]
const newerBad = (tier: TierName) => [`${tier} newer bad`, `${tier} older proven`]
const stranger = 'agent_backup_2026-11-23_02-00-00'

const mixups: Mixup[] = [
  {
    name: 'the databases of two backups are swapped',
    mix: ({ dataOf, older, newer }, tier) => swap(dataOf(tier, older), dataOf(tier, newer)),
    finds: bothBad,
  },
  {
    name: 'the manifests of two backups are swapped',
    mix: ({ manifestOf, older, newer }, tier) => swap(manifestOf(tier, older), manifestOf(tier, newer)),
    finds: bothBad,
  },
  {
    name: 'two backups have each the name of the other',
    mix({ manifestOf, dataOf, older, newer }, tier) {
      swap(manifestOf(tier, older), manifestOf(tier, newer))
      swap(dataOf(tier, older), dataOf(tier, newer))
    },
    finds: bothBad,
  },
  {
    name: 'an older database lies under the name of a newer one',
    mix: ({ dataOf, older, newer }, tier) => copyFileSync(dataOf(tier, older), dataOf(tier, newer)),
    finds: newerBad,
  },
  {
    name: 'an older backup lies under the name of a newer one, manifest and all',
    mix({ manifestOf, dataOf, older, newer }, tier) {
      copyFileSync(dataOf(tier, older), dataOf(tier, newer))
      copyFileSync(manifestOf(tier, older), manifestOf(tier, newer))
    },
    finds: newerBad,
  },
  {
    name: 'a backup has been given another date',
    mix({ manifestOf, dataOf, newer }, tier) {
      renameSync(dataOf(tier, newer), dataOf(tier, stranger))
      renameSync(manifestOf(tier, newer), manifestOf(tier, stranger))
    },
    finds: tier => [`${tier} ${stranger} bad`, `${tier} older proven`],
  },
  {
    name: 'a manifest is about the database of another backup',
    mix: ({ manifestOf, newer, older }, tier) =>
      rewrite(manifestOf(tier, newer), manifest => {
        return {
          ...manifest,
          stored: { ...manifest.stored, file: manifest.stored.file.replace(newer, older) },
        }
      }),
    finds: newerBad,
  },
  {
    name: 'a manifest leads out of the folder',
    mix: ({ manifestOf, newer }, tier) =>
      rewrite(manifestOf(tier, newer), manifest => {
        return { ...manifest, stored: { ...manifest.stored, file: `${newer}.db/../../../agent.db` } }
      }),
    finds: newerBad,
  },
  {
    name: 'a manifest says other counts than the database has',
    mix: ({ manifestOf, newer }, tier) =>
      rewrite(manifestOf(tier, newer), ({ database, ...manifest }) => {
        const tables = database.tables.map(table => ({ ...table, rows: table.rows + 1 }))
        return { ...manifest, database: { ...database, tables } }
      }),
    finds: newerBad,
  },
  {
    name: 'another manifest of ours is written by hand, with other white space',
    mix: ({ manifestOf, newer }, tier) => {
      const file = manifestOf(tier, newer)
      writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, 'utf8'))))
    },
    finds: newerBad,
  },
]

await t.test('what is not in its place is found', async group => {
  for (const { name, mix, finds } of mixups) {
    for (const tier of folders) {
      await group.test(`${name} (${tier})`, async test => {
        const two = await twoBackups(test)
        mix(two, tier)
        test.same(await found(two, undefined, [tier]), finds(tier).toSorted())
        const other = tier === 'hot' ? 'warm' : 'hot'
        test.same(await found(two, undefined, [other]), [`${other} newer proven`, `${other} older proven`])
        // nothing is done about it but to say so
        const before = sumsIn(two.folderOf(tier))
        await found(two)
        test.same(sumsIn(two.folderOf(tier)), before)
      })
    }
  }

  await group.test('a manifest of a version to come is told from a damaged one', async test => {
    const two = await twoBackups(test)
    const file = two.manifestOf('hot', two.newer)
    const { manifest_sha256: _, ...body } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    const next = { ...body, format: 'candlekeep backup 2' }
    const manifest_sha256 = createHash('sha256').update(JSON.stringify(next)).digest('hex')
    writeFileSync(file, `${JSON.stringify({ ...next, manifest_sha256 }, null, 2)}\n`)
    test.match((await two.verify(two.newer, ['hot'])).verified, [
      { result: 'bad', why: 'its manifest is one of another version: candlekeep backup 2' },
    ])
  })

  await group.test('a database that is damaged inside is found, though all digests are right', async test => {
    const two = await twoBackups(test)
    const file = two.dataOf('hot', two.newer)
    const bytes = readFileSync(file)
    // the middle of a page of a b-tree: SQLite's check, and nothing else, can tell
    bytes.fill(0xff, 1024 * 3, 1024 * 3 + 100)
    writeFileSync(file, bytes)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    rewrite(two.manifestOf('hot', two.newer), manifest => {
      return {
        ...manifest,
        database: { ...manifest.database, sha256 },
        stored: { ...manifest.stored, sha256 },
      }
    })
    test.match((await two.verify(two.newer, ['hot'])).verified, [{ result: 'bad' }])
  })
})

await t.test('people are told, and of the recovery once all of a tier has been read', async test => {
  const { workspace, services, at } = await startEverything(test)
  workspace.configure(sheet => (sheet.backup = { warm: { path: 'warm', mount: null } }))
  smallDatabase(workspace.database)
  expectStatus(test, await workspace.run('backup', [], at(0)), 0)
  execute(workspace.database, 'DELETE FROM trade_log WHERE id = 1')
  // the warm tier keeps one a day
  expectStatus(test, await workspace.run('backup', [], at(24 * 60)), 0)
  const warm = join(workspace.folder, 'warm')
  const [older = '', newer = ''] = readdirSync(warm).flatMap(
    name => /^(agent.*)\.db\.zst$/.exec(name)?.[1] ?? [],
  )
  test.not(newer, '', 'there are two')
  const file = join(warm, `${older}.db.zst`)
  const whole = readFileSync(file)
  const bad = Buffer.from(whole)
  bad[2000] = (bad[2000] as number) ^ 1
  writeFileSync(file, bad)

  const good = await workspace.run('backup', ['--verify', newer], at(24 * 60 + 61))
  expectStatus(test, good, 0)
  test.match(
    good.stdout,
    /^hot {3}✅ agent_\S+ {2}proven\nwarm {2}✅ agent_\S+ {2}proven\n✅ 2\/2 backups are as they were stored · /,
  )
  test.equal(services.slack.length, 0)

  const ended = await workspace.run('backup', ['--verify'], at(24 * 60 + 62))
  expectStatus(test, ended, 1)
  test.match(
    ended.stdout,
    new RegExp(
      `\nwarm {2}❌ ${older} {2}DAMAGED: it cannot be read: .*\n❌ 3/4 backups are as they were stored · 1 damaged · `,
    ),
  )
  const json = await workspace.run('backup', ['--verify', '--json', '--tiers', 'warm'], at(24 * 60 + 63))
  expectStatus(test, json, 1)
  test.match(json.json, {
    job: 'backup',
    outcome: 'failed',
    exit_status: 1,
    task: 'verify',
    verified: [
      { tier: 'warm', id: newer, result: 'proven', why: '' },
      { tier: 'warm', id: older, result: 'bad', why: /it cannot be read/ },
    ],
    errors: [],
  })
  const told = services.slack.map(({ text }) => text)
  test.match(told, [new RegExp(`^🔴 CRITICAL: the warm tier has 1 damaged backup: ${older} \\(`)])
  test.match(await workspace.run('backup', ['--list'], at(24 * 60 + 64)), {
    status: 0,
    stdout: new RegExp(`${older} .* damaged: it cannot be read.*\n4 backups on 2 tiers, .* · 1 damaged\n$`),
  })

  // one that is well says nothing of the others, nor does a tier that cannot be looked at
  writeFileSync(file, whole)
  expectStatus(test, await workspace.run('backup', ['--verify', newer], at(24 * 60 + 120)), 0)
  renameSync(warm, `${warm}.away`)
  writeFileSync(warm, '')
  const unread = await workspace.run('backup', ['--verify'], at(24 * 60 + 180))
  expectStatus(test, unread, 2)
  test.match(
    unread.stdout,
    /\nwarm {2}❓ .*warm cannot be used: a file is where .*\n⚠️ {2}2\/2 backups .* · 1 tier could not be looked at · /,
  )
  test.match(await workspace.run('backup', ['--verify', '--tiers', 'warm'], at(24 * 60 + 181)), {
    status: 1,
    stdout: /\n❌ there is no backup to prove · 1 tier could not be looked at · /,
  })
  rmSync(warm)
  renameSync(`${warm}.away`, warm)
  test.equal(services.slack.length, 1, 'no all-clear until then')
  expectStatus(test, await workspace.run('backup', ['--verify'], at(24 * 60 + 400)), 0)
  expectStatus(test, await workspace.run('backup', ['--verify'], at(24 * 60 + 500)), 0)
  test.match(
    services.slack.slice(1).map(({ text }) => text),
    [/^✅ RECOVERED: no backup of the warm tier is damaged \(/],
  )
  test.same(services.faults, [])
})

await t.test('where there is nothing to prove, nothing is proven', async test => {
  const here = backupsHere(test)
  const ended = await here.workspace.run('backup', ['--verify'])
  expectStatus(test, ended, 2)
  test.match(ended.stdout, /^⚠️ {2}there is no backup to prove · 0 B · /)
})

await t.test('what a proof leaves behind is nothing', async test => {
  const two = await twoBackups(test)
  const before = [sumsIn(two.hot), sumsIn(two.warm)]
  const scratch = join(two.workspace.state, 'scratch/test')
  const packed = readdirSync(scratch)
  cpSync(two.dataOf('hot', two.older), join(two.hot, 'copy_of_mine.db'))
  await found(two)
  rmSync(join(two.hot, 'copy_of_mine.db'))
  test.same([sumsIn(two.hot), sumsIn(two.warm)], before)
  test.same(readdirSync(scratch), packed)
})

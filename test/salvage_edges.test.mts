import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import type { Candle } from '../scripts/candles/candle.ts'
import { createTable, insertSql } from '../scripts/candles/candle_table.ts'
import type { SealsOfSymbol } from '../scripts/candles/inspect.ts'
import { intervals } from '../scripts/candles/intervals.ts'
import { monthOf, monthRange, seal } from '../scripts/candles/seals.ts'
import { readCandles } from '../scripts/candles/stored.ts'
import { type Salvage, salvage, type TableSalvage } from '../scripts/recovery/salvage.ts'
import { brokenSeals } from '../scripts/recovery/salvage_candles.ts'
import { execute, query } from './support/agent_database.ts'
import { skipWithoutPackages } from './support/debian.ts'
import { leaveHotJournal } from './support/hot_journal.ts'
import { runs } from './support/properties.ts'
import { seededRandom } from './support/random.ts'
import { sqlite3 } from './support/salvage_oracle.ts'
import { temporaryFolder } from './support/workspace.ts'

const skip = skipWithoutPackages({ sqlite3: 'sqlite3' })

type Stage = { truth: string; backup: string; damaged: string; into: string; aside: string }

function stage(test: Test): Stage {
  const folder = temporaryFolder(test)
  const file = (name: string) => join(folder, `${name}.db`)
  const [truth, backup] = [file('truth'), file('backup')]
  return { truth, backup, damaged: file('damaged'), into: file('into'), aside: file('aside') }
}

/** A database that is backed up after `before` and lives on with `since`; `damaged` and `into` are copies. */
function live(test: Test, before: string, since: string): Stage {
  const files = stage(test)
  execute(files.truth, before)
  copyFileSync(files.truth, files.backup)
  execute(files.truth, since)
  copyFileSync(files.truth, files.damaged)
  copyFileSync(files.backup, files.into)
  return files
}

function salvaged({ damaged, into, aside }: Stage, seals: SealsOfSymbol[] = []): Salvage {
  const result = salvage({ damaged, into, aside, seals })
  if ('nothing' in result) throw new Error(result.nothing)
  if (sqlite3(into, 'PRAGMA integrity_check') !== 'ok') throw new Error('the outcome is damaged')
  return result
}

function table({ tables }: Salvage, name: string): TableSalvage {
  return tables.find(one => one.table === name) as TableSalvage
}

/** Overwrites pages of a file, by another process's means. */
function overwrite(file: string, pages: number[], fill: (page: Buffer) => void, size = 4096): void {
  const bytes = readFileSync(file)
  for (const page of pages) fill(bytes.subarray((page - 1) * size, page * size))
  writeFileSync(file, bytes)
}

const series = (from: number, to: number) =>
  `WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})`

await t.test('what an agent relies on', { skip }, async group => {
  await group.test('its triggers do not fire, and are there afterwards', test => {
    const before = `CREATE TABLE trades (id INTEGER PRIMARY KEY, price REAL); CREATE TABLE seen (id);
      CREATE TRIGGER each AFTER INSERT ON trades BEGIN INSERT INTO seen VALUES (new.id); END;
      INSERT INTO trades VALUES (1, 1.5)`
    const files = live(test, before, 'INSERT INTO trades VALUES (2, 2.5), (3, 3.5)')
    const result = salvaged(files)
    test.same(
      result.tables.map(({ salvaged: rows, refused }) => [rows, refused]),
      [
        [2, 0],
        [2, 0],
      ],
    )
    test.same(query(files.into, 'SELECT id FROM seen'), [{ id: 1 }, { id: 2 }, { id: 3 }])
    test.same(
      query(files.into, 'SELECT type, name, sql FROM sqlite_master'),
      query(files.truth, 'SELECT type, name, sql FROM sqlite_master'),
    )
    test.end()
  })

  await group.test('rowids of lost rows are not given again', test => {
    const before =
      'CREATE TABLE trades (id INTEGER PRIMARY KEY AUTOINCREMENT, price); INSERT INTO trades (price) VALUES (1)'
    const files = live(
      test,
      before,
      'INSERT INTO trades (price) VALUES (2), (3), (4); DELETE FROM trades WHERE id > 2; CREATE TABLE fresh (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO fresh VALUES (99); DELETE FROM fresh',
    )
    salvaged(files)
    test.same(query(files.into, 'SELECT * FROM sqlite_sequence ORDER BY name'), [
      { name: 'fresh', seq: 99 },
      { name: 'trades', seq: 4 },
    ])
    test.end()
  })

  await group.test('a row of the backup never gives way', test => {
    const before = `CREATE TABLE positions (symbol TEXT UNIQUE ON CONFLICT REPLACE, amount REAL);
      INSERT INTO positions VALUES ('BTCUSDT', 0.5), ('ETHUSDT', 1)`
    const files = live(test, before, "INSERT INTO positions VALUES ('BTCUSDT', 0.7), ('SOLUSDT', 9)")
    const one = table(salvaged(files), 'positions')
    test.match(one, { salvaged: 1, refused: 1, conflicts: 0, returned: 1 })
    test.same(query(files.into, 'SELECT rowid, * FROM positions'), [
      { rowid: 1, symbol: 'BTCUSDT', amount: 0.5 },
      { rowid: 2, symbol: 'ETHUSDT', amount: 1 },
      { rowid: 4, symbol: 'SOLUSDT', amount: 9 },
    ])
    test.same(query(files.aside, 'SELECT * FROM positions'), [
      { why: 'refused', original_rowid: 3, symbol: 'BTCUSDT', amount: 0.7, record: null },
    ])
    test.end()
  })

  await group.test('foreign keys that held hold, and those that nobody kept hinder nothing', test => {
    const before = `PRAGMA foreign_keys = OFF; CREATE TABLE orders (id INTEGER PRIMARY KEY, note);
      CREATE TABLE fills (id INTEGER PRIMARY KEY, o INTEGER REFERENCES orders, x);
      CREATE TABLE fees (f INTEGER REFERENCES fills (id), k TEXT, PRIMARY KEY (k)) WITHOUT ROWID;
      CREATE TABLE loose (id INTEGER PRIMARY KEY, o INTEGER REFERENCES orders);
      INSERT INTO loose VALUES (1, 7777);
      INSERT INTO orders ${series(1, 500)} SELECT i, hex(zeroblob(40)) FROM n`
    const since = `PRAGMA foreign_keys = OFF; INSERT INTO orders ${series(501, 900)} SELECT i, hex(zeroblob(40)) FROM n;
      INSERT INTO fills ${series(1, 900)} SELECT i, i, 'x' FROM n; INSERT INTO fees SELECT id, 'k' || id FROM fills;
      INSERT INTO loose VALUES (2, 7778)`
    const files = live(test, before, since)
    const leaf = query<{ pageno: number }>(
      files.truth,
      "SELECT pageno FROM dbstat WHERE name = 'orders' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1",
    )
    overwrite(files.damaged, [leaf[0]?.pageno ?? 0], page => page.fill(0))
    const result = salvaged(files)
    test.equal(sqlite3(files.into, 'PRAGMA foreign_key_check'), 'loose|1|orders|0\nloose|2|orders|0')
    const [fills, fees] = [table(result, 'fills'), table(result, 'fees')]
    test.ok(fills.refused > 0)
    test.equal(fees.refused, fills.refused, 'what refers to a row that had to go goes as well')
    test.equal(fills.salvaged + fills.refused, 900)
    test.end()
  })

  await group.test('columns and tables that are new since come over', test => {
    const before =
      'CREATE TABLE trades (id INTEGER PRIMARY KEY, price REAL); INSERT INTO trades VALUES (1, 1.5); PRAGMA user_version = 7; PRAGMA application_id = 99'
    const since = `ALTER TABLE trades ADD COLUMN note TEXT DEFAULT 'a, b'; ALTER TABLE trades ADD COLUMN "x, y" NUMERIC(3, 2);
      INSERT INTO trades VALUES (2, 2.5, 'n', 0.5); CREATE TABLE signals (at INTEGER, what TEXT);
      CREATE INDEX by_time ON signals (at); INSERT INTO signals VALUES (5, 'buy'); PRAGMA user_version = 8`
    const files = live(test, before, since)
    const result = salvaged(files)
    for (const name of ['trades', 'signals'])
      test.same(
        query(files.into, `SELECT rowid, * FROM ${name}`),
        query(files.truth, `SELECT rowid, * FROM ${name}`),
      )
    const schema = 'SELECT name, sql FROM sqlite_master ORDER BY name'
    test.same(query(files.into, schema), query(files.truth, schema))
    test.match(table(result, 'signals'), { inBackup: 0, salvaged: 1 })
    test.equal(sqlite3(files.into, 'PRAGMA user_version; PRAGMA application_id'), '7\n99')
    test.notOk(existsSync(files.aside))
    test.end()
  })

  await group.test('a table that was made anew with other columns is not mixed with the old one', test => {
    const files = live(
      test,
      "CREATE TABLE notes (id INTEGER PRIMARY KEY, text); INSERT INTO notes VALUES (1, 'old')",
      "DROP TABLE notes; CREATE TABLE notes (text, id INTEGER PRIMARY KEY); INSERT INTO notes VALUES ('new', 2)",
    )
    const one = table(salvaged(files), 'notes')
    test.match(one, { salvaged: 0, distrusted: /definition/ })
    test.same(query(files.into, 'SELECT * FROM notes'), [{ id: 1, text: 'old' }])
    test.match(query(files.aside, 'SELECT * FROM notes'), [{ why: 'distrusted', text: 'new', id: 2 }])
    test.end()
  })

  await group.test('a page of another table of the same form is no page of rows', test => {
    const before = ['a', 'b']
      .map(
        name => `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, x, y);
      INSERT INTO ${name} ${series(1, 400)} SELECT i, '${name}' || i, hex(randomblob(20)) FROM n;`,
      )
      .join('')
    const since = ['a', 'b']
      .map(name => `INSERT INTO ${name} ${series(401, 402)} SELECT i, '${name}' || i, 'new' FROM n;`)
      .join('')
    const files = live(test, before, since)
    const pages = ['a', 'b'].map(name => {
      const found = query<{ pageno: number }>(
        files.truth,
        `SELECT pageno FROM dbstat WHERE name = '${name}' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1`,
      )
      return found[0]?.pageno ?? 0
    }) as [number, number]
    const bytes = readFileSync(files.damaged)
    const [a, b] = pages.map(page => Buffer.from(bytes.subarray((page - 1) * 4096, page * 4096))) as [
      Buffer,
      Buffer,
    ]
    b.copy(bytes, (pages[0] - 1) * 4096)
    a.copy(bytes, (pages[1] - 1) * 4096)
    writeFileSync(files.damaged, bytes)
    const result = salvaged(files)
    for (const name of ['a', 'b']) {
      test.equal(table(result, name).salvaged, 0)
      test.same(query(files.into, `SELECT * FROM ${name}`), query(files.backup, `SELECT * FROM ${name}`))
    }
    test.end()
  })
})

await t.test('a page in the place of another', { skip }, async group => {
  const leavesOf = (file: string, name: string) =>
    query<{ pageno: number }>(
      file,
      `SELECT pageno FROM dbstat WHERE name = '${name}' AND pagetype = 'leaf' ORDER BY path`,
    ).map(({ pageno }) => pageno)
  const copyPage = (file: string, from: number, to: number) => {
    const source = readFileSync(file).subarray((from - 1) * 4096, from * 4096)
    overwrite(file, [to], page => source.copy(page))
  }

  await group.test('is noticed by its rowids', test => {
    const before = `CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE b (id INTEGER PRIMARY KEY, x TEXT);
      INSERT INTO a VALUES (1, 'a'); INSERT INTO b VALUES (50000, 'b')`
    const since = `INSERT INTO a ${series(2, 2000)} SELECT i, 'a' || i FROM n;
      INSERT INTO b ${series(50_001, 52_000)} SELECT i, 'b' || i FROM n`
    const files = live(test, before, since)
    copyPage(files.damaged, leavesOf(files.truth, 'b')[3] as number, leavesOf(files.truth, 'a')[3] as number)
    const result = salvaged(files)
    test.same(query(files.into, "SELECT * FROM a WHERE x NOT LIKE 'a%'"), [], 'no row of the other table')
    test.equal(table(result, 'b').salvaged, 2000, 'which is not touched by it')
    test.ok(table(result, 'a').salvaged > 1500)
    test.equal(table(result, 'a').salvaged + table(result, 'a').knownLost, 1999)
    test.end()
  })

  await group.test('is noticed by its records, which are too short', test => {
    const before = `CREATE TABLE w (a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE TABLE x (name TEXT);
      CREATE INDEX names ON x (name); INSERT INTO w VALUES ('A', 1, 'c')`
    const since = `INSERT INTO w VALUES ('A', 2, 'c'); INSERT INTO x ${series(1, 20)} SELECT 'S' || i FROM n`
    const files = live(test, before, since)
    copyPage(
      files.damaged,
      leavesOf(files.truth, 'names')[0] as number,
      leavesOf(files.truth, 'w')[0] as number,
    )
    const result = salvaged(files)
    test.same(query(files.into, 'SELECT * FROM w'), [{ a: 'A', b: 1, c: 'c' }])
    test.match(table(result, 'w'), { salvaged: 0, refused: 20 })
    test.match(table(result, 'x'), { salvaged: 20, refused: 0 })
    test.end()
  })
})

await t.test('a flipped bit in a key above the rows costs no more than a page of them', { skip }, test => {
  const random = seededRandom(test)
  const before = `CREATE TABLE trades (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO trades ${series(1, 6000)} SELECT i, 'note ' || i FROM n`
  const files = live(test, before, `INSERT INTO trades ${series(6001, 12_000)} SELECT i, 'note ' || i FROM n`)
  const [root] = query<{ pageno: number; ncell: number }>(
    files.truth,
    "SELECT pageno, ncell FROM dbstat WHERE name = 'trades' AND pagetype = 'internal'",
  )
  const { pageno, ncell } = root as { pageno: number; ncell: number }
  const sound = readFileSync(files.damaged)
  for (let n = 0; n < runs(12, 500); n++) {
    const bytes = Buffer.from(sound)
    const page = (pageno - 1) * 4096
    const cell = page + bytes.readUInt16BE(page + 12 + 2 * Math.floor(random() * ncell))
    // the key comes after the pointer; its first bit says how long it is
    const [at, bit] = [cell + 4 + Math.floor(random() * 2), Math.floor(random() * 7)]
    bytes[at] = (bytes[at] as number) ^ (1 << bit)
    writeFileSync(files.damaged, bytes)
    copyFileSync(files.backup, files.into)
    rmSync(files.aside, { force: true })
    const one = table(salvaged(files), 'trades')
    // two, where the key is still in order and wrong for those on both sides
    if (one.salvaged < 6000 - 2 * 300) test.equal(one.salvaged, 6000, `byte ${at} bit ${bit}`)
  }
  test.end()
})

await t.test('what lies beside the damaged file counts', { skip }, async group => {
  const before = `CREATE TABLE trades (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO trades ${series(1, 300)} SELECT i, 'n' || i FROM n`
  const headers: [string, (page: Buffer) => void][] = [
    ['sound', () => undefined],
    ['gone', page => page.fill(0, 0, 100)],
    ['garbage, with all of page 1', page => page.fill(0xa5)],
  ]
  for (const [header, harm] of headers) {
    await group.test(`a log, where the header is ${header}`, test => {
      const files = live(test, before, 'PRAGMA journal_mode = WAL')
      const writer = new Database(files.truth)
      writer.pragma('wal_autocheckpoint = 0')
      writer.exec(`INSERT INTO trades ${series(301, 400)} SELECT i, 'n' || i FROM n`)
      // by another process: reading the file here would drop SQLite's locks
      execFileSync('cp', [files.truth, files.damaged])
      execFileSync('cp', [`${files.truth}-wal`, `${files.damaged}-wal`])
      writer.close()
      overwrite(files.damaged, [1], harm)
      const result = salvaged(files)
      test.match(table(result, 'trades'), { inBackup: 300, read: 400, salvaged: 100 })
      test.same(query(files.into, 'SELECT * FROM trades'), query(files.truth, 'SELECT * FROM trades'))
      test.same(
        readdirSync(join(files.into, '..')).filter(name =>
          /^(into|aside|damaged).*-(wal|shm|journal)$/.test(name),
        ),
        [],
      )
      test.equal(readFileSync(files.into)[18], 1, 'the outcome is in rollback mode')
      test.end()
    })
    await group.test(`a hot journal, where the header is ${header}`, test => {
      const files = live(test, before, `INSERT INTO trades ${series(301, 400)} SELECT i, 'n' || i FROM n`)
      leaveHotJournal(files.damaged)
      test.ok(existsSync(`${files.damaged}-journal`))
      overwrite(files.damaged, [1], harm)
      const result = salvaged(files)
      test.match(table(result, 'trades'), { inBackup: 300, read: 400, salvaged: 100 })
      test.same(query(files.into, 'SELECT * FROM trades'), query(files.truth, 'SELECT * FROM trades'))
      test.end()
    })
  }

  await group.test('a log, where the file itself has been cut to nothing', test => {
    const files = live(test, before, 'PRAGMA journal_mode = WAL')
    const writer = new Database(files.truth)
    writer.pragma('wal_autocheckpoint = 0')
    writer.exec(`INSERT INTO trades ${series(301, 2000)} SELECT i, 'n' || i FROM n`)
    writeFileSync(files.damaged, '')
    execFileSync('cp', [`${files.truth}-wal`, `${files.damaged}-wal`])
    writer.close()
    const one = table(salvaged(files), 'trades')
    test.match(one, { inBackup: 300, refused: 0, conflicts: 0 })
    test.ok(one.salvaged > 1500, `${one.salvaged} of 1700 rows, which are in the log`)
    const wrong = `ATTACH '${files.truth}' AS t; SELECT count(*) FROM (SELECT * FROM trades EXCEPT SELECT * FROM t.trades)`
    test.equal(sqlite3(files.into, wrong), '0')
    test.end()
  })

  await group.test('of nothing comes nothing', test => {
    for (const harm of [
      (file: string) => truncateSync(file, 0),
      (file: string) => truncateSync(file, 1000),
    ]) {
      const files = live(test, before, '')
      harm(files.damaged)
      test.match(salvage({ ...files, seals: [] }), { nothing: String })
      test.ok(readFileSync(files.into).equals(readFileSync(files.backup)), 'the backup is as it was')
    }
    test.end()
  })
})

await t.test('sealed candles', { skip }, async group => {
  const { table: name, step } = intervals['4h']
  const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
  const start = Date.UTC(2026, 0, 1)
  const fill = (file: string, from: number, to: number, random: () => number) => {
    const database = new Database(file)
    createTable(database, name)
    const insert = database.prepare(insertSql(name, 1))
    const price = () => 100 + Math.floor(random() * 1e6) / 7
    database.transaction(() => {
      for (let i = from; i < to; i++) {
        for (const symbol of symbols) {
          insert.run(
            start + i * step,
            symbol,
            price(),
            price(),
            price(),
            price(),
            price(),
            price(),
            Math.floor(random() * 1e4),
          )
        }
      }
    })()
    database.close()
  }
  const candlesOf = (file: string, symbol: string): Candle[] => {
    const database = new Database(file, { readonly: true })
    try {
      return readCandles(database, intervals['4h'], symbol, { from: 0, to: start * 2 })
    } finally {
      database.close()
    }
  }
  const sealsOf = (file: string, until: number): SealsOfSymbol[] =>
    symbols.map(symbol => {
      const candles = candlesOf(file, symbol).filter(({ openTime }) => openTime < start + until * step)
      const months = [...new Set(candles.map(({ openTime }) => monthOf(openTime)))]
      return {
        name: `4h ${symbol}`,
        interval: '4h',
        symbol,
        months: months.map(month => {
          const { from, to } = monthRange(month, step)
          const sealed = seal(candles.filter(({ openTime }) => openTime >= from && openTime <= to))
          return [month, { sealed, pending: undefined }]
        }),
      }
    })

  await group.test('come over where they are as sealed, and only then', test => {
    const random = seededRandom(test)
    const origin = stage(test)
    fill(origin.truth, 0, 400, random)
    copyFileSync(origin.truth, origin.backup)
    fill(origin.truth, 400, 520, random)
    const seals = sealsOf(origin.truth, 510)
    const sound = readFileSync(origin.truth)
    const flips = runs(40, 3000)
    let [visible, refused, whole] = [0, 0, 0]
    const wrong: string[] = []
    for (let n = 0; n < flips; n++) {
      for (const file of [origin.damaged, origin.into, origin.aside]) rmSync(file, { force: true })
      const bytes = Buffer.from(sound)
      const at = Math.floor(random() * bytes.length * 8)
      bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7))
      writeFileSync(origin.damaged, bytes)
      copyFileSync(origin.backup, origin.into)
      const where = `byte ${at >> 3} bit ${at & 7}`
      const result = salvaged(origin, seals)
      const one = table(result, name)
      refused += one.refused
      const strange = sqlite3(
        origin.into,
        `ATTACH '${origin.truth}' AS t; SELECT count(*) FROM (SELECT * FROM ${name} EXCEPT SELECT * FROM t.${name})`,
      )
      if (strange !== '0') wrong.push(`${where}: ${strange} candles never were`)
      const count = Number(sqlite3(origin.into, `SELECT count(*) FROM ${name}`))
      if (one.salvaged === count - 1200) whole += one.salvaged === 330 ? 1 : 0
      else wrong.push(`${where}: ${one.salvaged} salvaged, counted ${count - 1200}`)
      if (one.salvaged !== 330) visible += 1
    }
    test.comment(`${flips} flips: ${whole} hindered nothing, ${visible} did; ${refused} candles were refused`)
    test.same(wrong.slice(0, 5), [])
    test.ok(whole > 0)
    test.ok(visible > 0)
    test.end()
  })

  await group.test('do not come over under a name that a flipped bit has made', test => {
    const random = seededRandom(test)
    const files = stage(test)
    fill(files.truth, 0, 400, random)
    copyFileSync(files.truth, files.into)
    fill(files.truth, 400, 520, random)
    const seals = sealsOf(files.truth, 520)
    const last = `SELECT pageno FROM dbstat WHERE name = '${name}' AND pagetype = 'leaf' ORDER BY path DESC LIMIT 1`
    const page = query<{ pageno: number }>(files.truth, last)[0]?.pageno ?? 0
    copyFileSync(files.truth, files.damaged)
    overwrite(files.damaged, [page], bytes => (bytes[bytes.indexOf('ETHUSDT')] = 'D'.charCodeAt(0)))
    const one = table(salvaged(files, seals), name)
    test.ok(one.refused > 0)
    test.equal(one.salvaged, 2 * 120, 'those of the other symbols come over')
    test.same(query(files.into, `SELECT DISTINCT symbol FROM ${name} ORDER BY 1`).length, 3)
    test.end()
  })

  await group.test('that are wrong in the backup are put right', test => {
    const random = seededRandom(test)
    const files = stage(test)
    fill(files.truth, 0, 400, random)
    copyFileSync(files.truth, files.damaged)
    copyFileSync(files.truth, files.into)
    const seals = sealsOf(files.truth, 400)
    execute(
      files.into,
      `UPDATE ${name} SET close = close + 1 WHERE symbol = 'ETHUSDT' AND timestamp = ${start + 5 * step};
      DELETE FROM ${name} WHERE symbol = 'SOLUSDT' AND timestamp = ${start + 6 * step}`,
    )
    const broken = () => {
      const database = new Database(files.into, { readonly: true })
      const found = brokenSeals(database, seals)
      database.close()
      return found.map(({ symbol, month }) => `${symbol} ${month}`)
    }
    test.same(broken(), ['ETHUSDT 2026-01', 'SOLUSDT 2026-01'])
    test.match(table(salvaged(files, seals), name), { salvaged: 2, conflicts: 0, refused: 0 })
    test.same(broken(), [])
    for (const symbol of symbols) test.same(candlesOf(files.into, symbol), candlesOf(files.truth, symbol))
    test.end()
  })
})

await t.test('a large table with twenty pages destroyed', { skip }, test => {
  const random = seededRandom(test)
  const rows = runs(100_000, 1_000_000)
  const before = `CREATE TABLE sentiment (at INTEGER, symbol TEXT, score REAL, note TEXT); CREATE INDEX by_time ON sentiment (at);
    INSERT INTO sentiment ${series(1, rows * 0.9)} SELECT i, 'S' || (i % 60), i / 7.0, hex(zeroblob(i % 30)) FROM n`
  const files = live(
    test,
    before,
    `INSERT INTO sentiment ${series(rows * 0.9 + 1, rows)} SELECT i, 'S' || (i % 60), i / 7.0, hex(zeroblob(i % 30)) FROM n`,
  )
  const leaves = query<{ pageno: number }>(
    files.truth,
    // of the last page nobody knows how many rows it had
    "SELECT pageno FROM dbstat WHERE name = 'sentiment' AND pagetype = 'leaf' ORDER BY path DESC LIMIT -1 OFFSET 1",
  )
  const bad = Array.from({ length: 20 }, () => leaves[Math.floor(random() * leaves.length)]?.pageno ?? 0)
  overwrite(files.damaged, bad, page => page.forEach((_, i) => (page[i] = Math.floor(random() * 256))))
  const one = table(salvaged(files), 'sentiment')
  const lost = rows - Number(sqlite3(files.into, 'SELECT count(*) FROM sentiment'))
  test.comment(`${one.salvaged} salvaged, ${lost} lost`)
  test.equal(one.knownLost, lost, 'where rowids have no gaps, the bound is exact')
  test.equal(one.salvaged, rows * 0.1 - lost)
  const altered = `ATTACH '${files.truth}' AS t; SELECT count(*) FROM (SELECT rowid, * FROM sentiment EXCEPT SELECT rowid, * FROM t.sentiment)`
  test.equal(sqlite3(files.into, altered), '0', 'none is altered')
  test.end()
})

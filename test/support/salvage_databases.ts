import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

/** A database as it was when it was backed up, and as it was when it was damaged. */
export type Lives = { backup: string; truth: string; tables: string[] }

type Random = () => number

const tableNames = ['trade_log', 'order', 'a "b" c', "it's", 'überblick', 'rowid', 'semi;colon', 'Positions']
const columnNames = [
  'symbol',
  'group',
  'x"y',
  'ümlaut',
  'two words',
  '_rowid_',
  "o'clock",
  'oid',
  '%s',
  'select',
]
const types = [
  'INTEGER',
  'TEXT',
  'REAL',
  'BLOB',
  '',
  'NUMERIC',
  'DATETIME',
  'VARCHAR(9)',
  'TEXT NOT NULL',
  'INT',
]

/**
 * Makes a database with random tables and rows in `folder`, backs it up, and lets it live on: rows are added, changed and
 * removed, columns and tables are added, sometimes all of it is laid out anew.
 */
export function makeLives(folder: string, random: Random): Lives {
  const [truth, backup] = ['truth.db', 'backup.db'].map(name => join(folder, name)) as [string, string]
  const some = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const database = new Database(truth)
  const encoding = some(['UTF-8', 'UTF-8', 'UTF-16le', 'UTF-16be'])
  database.exec(`PRAGMA page_size = ${some([512, 1024, 4096])}; PRAGMA encoding = '${encoding}';
    PRAGMA auto_vacuum = ${some([0, 0, 1, 2])}; PRAGMA synchronous = OFF`)
  database.exec('CREATE TABLE fired (times INTEGER); INSERT INTO fired VALUES (0)')
  const names = [...tableNames].sort(() => random() - 0.5).slice(0, 2 + Math.floor(random() * 3))
  const writers = names.map(name => new RandomTable(database, name, random))
  for (const writer of writers) writer.insert(some([0, 3, 60, 400, 400]))
  database.close()
  copyFileSync(truth, backup)
  const later = new Database(truth)
  later.pragma('synchronous = OFF')
  for (const writer of writers) {
    writer.database = later
    if (random() < 0.3) writer.addColumn()
    writer.insert(some([0, 2, 40, 150]))
    writer.change(some([0, 1, 10]))
    if (random() < 0.4) writer.remove(some([1, 10]))
    writer.insert(some([0, 5]))
  }
  const added = random() < 0.3 ? [new RandomTable(later, 'new since', random)] : []
  for (const writer of added) writer.insert(some([0, 5, 100]))
  if (random() < 0.2) later.exec('VACUUM')
  later.close()
  return { backup, truth, tables: ['fired', ...[...writers, ...added].map(({ name }) => name)] }
}

type Column = { name: string; type: string }

class RandomTable {
  database: Database.Database
  readonly name: string
  readonly #random: Random
  readonly #columns: Column[]
  readonly #kind: 'alias' | 'autoincrement' | 'rowid' | 'text key' | 'without rowid'
  #next = 1

  constructor(database: Database.Database, name: string, random: Random) {
    this.database = database
    this.name = name
    this.#random = random
    this.#kind = this.#some(['alias', 'autoincrement', 'rowid', 'text key', 'without rowid'])
    const own = [...columnNames].sort(() => random() - 0.5).slice(0, 2 + Math.floor(random() * 4))
    this.#columns = own.map(column => ({ name: column, type: this.#some(types) }))
    const columns = this.#columns.map(({ name: column, type }) => `${quoted(column)} ${type}`)
    const key = {
      alias: ['id INTEGER PRIMARY KEY'],
      autoincrement: ['id INTEGER PRIMARY KEY AUTOINCREMENT'],
      rowid: ['id INTEGER'],
      'text key': ['id TEXT PRIMARY KEY'],
      'without rowid': ['id INTEGER'],
    }[this.#kind]
    if (this.#kind === 'without rowid') {
      columns.splice(1, 0, `part TEXT COLLATE ${this.#some(['BINARY', 'NOCASE', 'RTRIM'])}`)
      columns.push(`PRIMARY KEY (part, id ${this.#some(['ASC', 'DESC'])})`)
    }
    if (this.#kind !== 'without rowid' && random() < 0.3)
      columns.push(`twice AS (id || id) ${this.#some(['STORED', 'VIRTUAL'])}`)
    const strict = this.#kind === 'without rowid' ? 'WITHOUT ROWID' : ''
    database.exec(`CREATE TABLE ${quoted(name)} (${[...key, ...columns].join(', ')}) ${strict}`)
    const [first] = this.#columns
    if (random() < 0.5 && first !== undefined)
      database.exec(`CREATE INDEX ${quoted(`by ${name}`)} ON ${quoted(name)} (${quoted(first.name)})`)
    if (random() < 0.3)
      database.exec(`CREATE TRIGGER ${quoted(`on ${name}`)} AFTER INSERT ON ${quoted(name)} BEGIN
        UPDATE fired SET times = times + 1; END`)
  }

  insert(count: number): void {
    const names = [
      'id',
      ...(this.#kind === 'without rowid' ? ['part'] : []),
      ...this.#columns.map(({ name }) => name),
    ]
    const sql = `INSERT OR IGNORE INTO ${quoted(this.name)} (${names.map(quoted).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`
    const statement = this.database.prepare(sql)
    for (let i = 0; i < count; i++) {
      const id = this.#next++
      const far =
        this.#kind === 'alias' && this.#random() < 0.01
          ? (2n ** 62n + BigInt(id)) * (id % 2 === 0 ? 1n : -1n)
          : BigInt(id)
      const key = this.#kind === 'text key' ? `key ${id} ${id % 3}` : far
      const part = this.#kind === 'without rowid' ? [`P${id % 5}${id % 2 === 0 ? 'x' : ''}`] : []
      statement.run(key, ...part, ...this.#columns.map(({ type }) => this.#value(type)))
    }
  }

  /** One column of some rows gets another value. */
  change(count: number): void {
    const { name, type } = this.#some(this.#columns)
    const statement = this.database.prepare(
      `UPDATE OR IGNORE ${quoted(this.name)} SET ${quoted(name)} = ? WHERE id = ?`,
    )
    for (let i = 0; i < count; i++) {
      const id = Math.floor(this.#random() * this.#next)
      statement.run(this.#value(type), this.#kind === 'text key' ? `key ${id} ${id % 3}` : BigInt(id))
    }
  }

  remove(count: number): void {
    const from = Math.floor(this.#random() * this.#next)
    const key = this.#kind === 'text key' ? 'CAST(substr(id, 5) AS INTEGER)' : 'id'
    this.database.exec(`DELETE FROM ${quoted(this.name)} WHERE ${key} BETWEEN ${from} AND ${from + count}`)
  }

  addColumn(): void {
    const [name, type] = this.#some([
      ['added', 'REAL'],
      ['later, too', "TEXT DEFAULT 'a, (b)'"],
      ['count', 'INTEGER NOT NULL DEFAULT 7'],
    ] as const)
    this.database.exec(`ALTER TABLE ${quoted(this.name)} ADD COLUMN ${quoted(name)} ${type}`)
    this.#columns.push({ name, type })
  }

  #value(type: string): null | bigint | number | string | Buffer {
    const random = this.#random
    const text = () =>
      this.#some(['', 'up only', 'ä€😀', "'; DROP TABLE x", 'n\0ul', '12']) + 'z'.repeat(long())
    const long = () => (random() < 0.05 ? Math.floor(random() * 3000) : Math.floor(random() * 20))
    const integer = () =>
      this.#some([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), BigInt(Math.floor(random() * 2 ** 40))])
    const real = () => this.#some([-0, 0.1, Number.POSITIVE_INFINITY, 1e300, 5, random() * 1e5])
    const blob = () => Buffer.from(Array.from({ length: long() }, () => Math.floor(random() * 256)))
    if (random() < 0.1 && !type.includes('NOT NULL')) return null
    if (/INT/.test(type)) return random() < 0.02 ? text() : integer()
    if (/TEXT|CHAR|DATE/.test(type)) return text()
    if (/REAL/.test(type)) return real()
    if (type === 'BLOB') return blob()
    return this.#some([integer, real, text, blob])()
  }

  #some<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T
  }
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

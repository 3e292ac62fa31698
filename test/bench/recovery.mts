/**
 * How long it takes from a damaged database to a proven one that serves (RTO) and what is lost (RPO), beside what else
 * brings a database back: `cp` of the backup, restic and Litestream, each with SQLite's check and the same resync.
 *
 *     npm run bench:recovery
 *
 * A day passes between the backup and the damage. `BENCH_MB=50,250` has it take databases of those sizes.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { day } from '../../scripts/job/time.ts'
import { verdict } from './measure.ts'
import {
  compare,
  damages,
  fill,
  makePlace,
  type Place,
  placeIn,
  run,
  sqlite,
  startExchange,
  trade,
} from './recovery_database.ts'
import { cpPeer, litestreamPeer, type Peer, resticPeer } from './recovery_peers.ts'

const folder = mkdtempSync(join(tmpdir(), 'bench-recovery-'))
const sizes = (process.env['BENCH_MB'] || '1000').split(',').map(Number)
const exchange = await startExchange()
// as cron's jobs have it
process.env['NODE_COMPILE_CACHE'] = join(folder, 'compiled')

try {
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
  )
  for (const megabytes of sizes) for (const mode of ['wal', 'delete'] as const) await bench(megabytes, mode)
} finally {
  exchange.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function bench(megabytes: number, mode: 'wal' | 'delete'): Promise<void> {
  const own = join(folder, `${megabytes}-${mode}`)
  await exchange.set(Date.now() - day)
  const place = makePlace(join(own, 'place'), exchange.url)
  const trades = fill(place, mode, megabytes)
  run(place, 'backup', ['--tiers', 'hot,warm'], { at: Date.now() - day })
  await exchange.set(Date.now())
  const live = ({ database, ...rest }: Place) => {
    trade(database, trades + 1, Math.ceil(trades * 1.01))
    run({ database, ...rest }, 'daily_candle_sync')
  }
  const peers = await peersOf(own, place, mode, live)
  live(place)
  const truth = join(own, 'truth.db')
  cpSync(place.database, truth)

  const { size } = statSync(truth)
  const since = Math.ceil(trades * 1.01) - trades
  console.log(
    `\n${(size / 1e6).toFixed(0)} MB, ${mode} mode: ${trades} rows of the agent's, ${since} more since the backup a day ago`,
  )
  for (const [name, strike] of Object.entries(damages)) {
    const others = peers.map(peer => ({ peer, ...bringBackBy(peer, place, truth, own) }))
    const ours = { ...recover(place, truth, own, strike), since: name === 'file gone' ? since : 0 }
    report(`${(size / 1e6).toFixed(0)} MB, ${mode} mode, ${name}`, ours, others)
  }
  rmSync(own, { recursive: true })
}

/** What cannot be had is said. */
async function peersOf(
  own: string,
  place: Place,
  mode: string,
  live: (place: Place) => void,
): Promise<Peer[]> {
  const peers = [cpPeer(join(place.folder, 'backups/hot'))]
  const restic = resticPeer(own, place.database)
  if (restic) peers.push(restic)
  else console.log('restic is not here (apt-get install restic): it is left out')
  // it puts a database into WAL mode
  if (mode !== 'wal') return peers
  const replicated = cloneOf(place, join(own, 'replicated'))
  const litestream = await litestreamPeer(own, replicated.database, () => live(replicated))
  if (litestream) peers.push(litestream)
  else console.log('Litestream cannot be had from the registry: it is left out')
  rmSync(replicated.folder, { recursive: true })
  return peers
}

function cloneOf(place: Place, target: string): Place {
  mkdirSync(dirname(target), { recursive: true })
  spawnSync('cp', ['-a', place.folder, target])
  // what was copied is not for the one who is measured to write
  spawnSync('sync')
  return placeIn(target)
}

type Result = { seconds: number; lost: number }

function bringBackBy(peer: Peer, place: Place, truth: string, own: string): Result {
  const target = placeIn(join(own, 'peer'))
  mkdirSync(dirname(target.database), { recursive: true })
  cpSync(place.config, target.config)
  cpSync(join(place.folder, 'state'), join(target.folder, 'state'), { recursive: true })
  spawnSync('sync')
  const began = performance.now()
  peer.restore(target.database)
  const said = sqlite(target.database, 'PRAGMA integrity_check')
  if (said !== 'ok') throw new Error(`${peer.name} brought back a database with damage: ${said}`)
  run(target, 'daily_candle_sync', ['--lookback', '10'])
  const seconds = (performance.now() - began) / 1000
  const { lost } = compare(target.database, truth)
  rmSync(target.folder, { recursive: true })
  return { seconds, lost }
}

type Ours = Result & {
  /** Rows since the backup, where all of the file is gone. */
  since: number
  serving: number
  salvaged: number
  said: number
  check: string
  base: string
}

/** The real command. */
function recover(
  place: Place,
  truth: string,
  own: string,
  strike: (database: string) => void,
): Omit<Ours, 'since'> {
  const target = cloneOf(place, join(own, 'damaged'))
  strike(target.database)
  spawnSync('sync')
  const { seconds, startedAt, json } = run(target, 'db_recovery', ['--yes'])
  const { recovery, rows } = json as {
    recovery: { serving_at: string; base: { kind: string; how?: string } }
    rows: { salvaged: number; known_lost: number }
  }
  const found = compare(target.database, truth)
  rmSync(target.folder, { recursive: true })
  return {
    ...found,
    seconds,
    serving: (Date.parse(recovery.serving_at) - startedAt) / 1000,
    salvaged: rows.salvaged,
    said: rows.known_lost,
    base: recovery.base.how ?? recovery.base.kind,
  }
}

function report(what: string, ours: Ours, others: ({ peer: Peer } & Result)[]): void {
  const line = (name: string, seconds: number, rest: string) =>
    console.log(`   ${name.padEnd(48)} ${seconds.toFixed(1).padStart(6)} s   ${rest}`)
  console.log(`\n${what} (load ${loadavg()[0]?.toFixed(1)})`)
  line(
    'candlekeep, proven and in place',
    ours.serving,
    `${ours.lost} rows lost (${ours.said} it said at most), ${ours.salvaged} salvaged, from: ${ours.base}; proves: digest, structure, rows, seals`,
  )
  line('candlekeep, with backup, resync and health check', ours.seconds, `sqlite3 says ${ours.check}`)
  for (const { peer, seconds, lost } of others)
    line(
      `${peer.name} + integrity_check + resync`,
      seconds,
      `${lost} rows lost; proves: ${peer.proves}; candlekeep serves in ${(ours.serving / seconds).toFixed(2)} of it`,
    )
  const ratio = ours.serving / (others[0]?.seconds ?? Number.NaN)
  verdict(
    'from damage to a proven database that serves',
    `${ours.serving.toFixed(1)} s`,
    '≤ 30 s',
    ours.serving <= 30,
  )
  verdict('beside cp + integrity_check + resync', `${ratio.toFixed(2)} times`, '≤ 1.5 times', ratio <= 1.5)
  // without a file there is nothing to salvage: what came after the backup is gone
  const bound = Math.max(ours.said, ours.since)
  verdict(
    'rows lost, by comparison',
    `${ours.lost}`,
    `≤ ${bound}, and sqlite3 says ok`,
    ours.lost <= bound && ours.check === 'ok',
  )
}

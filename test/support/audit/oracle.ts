import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { hour, minute } from '../../../scripts/job/time.ts'

/** What was true in each minute of a time, worked out anew from the raw rows. */
export type Minutes = {
  /** Minutes in which it was fresh and sound; in which it was not; of which nothing is known. */
  up: number
  down: number
  unknown: number
  stale: number
  damaged: number
  /** Ages in minutes, of each minute's middle, ascending. */
  backupAges: number[]
  syncAges: number[]
}

type Row = Record<string, number | string | null>

/** Rows as Debian's sqlite3 reads them. */
function rowsOf(state: string, sql: string): Row[] {
  const answer = execFileSync('sqlite3', ['-readonly', '-json', join(state, 'ops.db'), sql], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  })
  return answer === '' ? [] : (JSON.parse(answer) as Row[])
}

/**
 * Minute by minute, with the cheat sheet's limits: a sync may be 26 h old, the newest candle too. All times of the history
 * are whole minutes, so the middle of each tells of all of it.
 */
export function countMinutes(state: string, from: number, to: number): Minutes {
  const number = (value: unknown) => Number(value)
  const syncs = rowsOf(
    state,
    `SELECT started_at, finished_at, figures ->> 'last_closed' AS closed, figures ->> 'counts' AS counts,
       figures ->> 'complete' AS complete
     FROM runs WHERE job = 'daily_sync' AND finished_at IS NOT NULL`,
  ).map(row => ({
    from: Math.max(number(row['started_at']), number(row['finished_at'])),
    end: number(row['finished_at']),
    closed: Date.parse(String(row['closed'])) + 4 * hour,
    counts: row['counts'] === 1,
    brought: number(row['complete']) > 0,
  }))
  const seen = rowsOf(
    state,
    `SELECT checked_at, figures ->> 'newest_candle_closed' AS closed FROM checks
     WHERE name = 'data_freshness' AND closed IS NOT NULL ORDER BY run`,
  ).map(row => ({ at: number(row['checked_at']), closed: Date.parse(String(row['closed'])) }))
  const newest = [
    ...syncs.filter(({ brought }) => brought).map(({ end, closed }) => ({ at: end, closed })),
    ...seen,
  ]
  const sound = [
    ...rowsOf(
      state,
      `SELECT checked_at AS at, status = 'critical' AS damaged FROM checks WHERE name = 'database_integrity' ORDER BY run`,
    ),
    ...rowsOf(state, `SELECT started_at AS at, 1 AS damaged FROM recoveries WHERE damage <> 'none'`),
    ...rowsOf(state, 'SELECT serving_at AS at, 0 AS damaged FROM recoveries WHERE serving_at IS NOT NULL'),
  ].map(row => ({ at: number(row['at']), damaged: row['damaged'] === 1 }))
  // a backup is proven a minute after it was taken, whenever it was proven again
  const backups = rowsOf(state, 'SELECT taken_at, covers_until, failed_at, removed_at FROM backups').map(
    row => ({
      from: number(row['taken_at']) + minute,
      until: Math.min(number(row['failed_at'] ?? Infinity), number(row['removed_at'] ?? Infinity)),
      covers: number(row['covers_until']),
    }),
  )
  const begin = number(rowsOf(state, 'SELECT min(started_at) AS begin FROM runs')[0]?.['begin'])

  const counted: Minutes = { up: 0, down: 0, unknown: 0, stale: 0, damaged: 0, backupAges: [], syncAges: [] }
  for (let at = Math.max(from, begin) + minute / 2; at < to; at += minute) {
    const heard = syncs.filter(sync => sync.counts && sync.from <= at)
    const last = Math.max(...heard.map(({ end }) => end))
    const candle = newest
      .filter(fact => fact.at <= at)
      .reduce((a, b) => (b.at >= a.at ? b : a), { at: -1, closed: Infinity })
    const [doubt, old] =
      heard.length > 0 ? [false, at - last > 26 * hour] : [at - begin <= 26 * hour, at - begin > 26 * hour]
    const stale = old || at - candle.closed > 26 * hour
    const damaged = sound
      .filter(fact => fact.at <= at)
      .reduce((a, b) => (b.at >= a.at ? b : a), { at: -1, damaged: false }).damaged
    if (stale) counted.stale++
    if (damaged) counted.damaged++
    if (stale || damaged) counted.down++
    else if (doubt) counted.unknown++
    else counted.up++
    if (heard.length > 0) counted.syncAges.push((at - last) / minute)
    else if (old) counted.syncAges.push((at - begin) / minute)
    const there = backups.filter(backup => backup.from <= at && at < backup.until)
    const covers = there.length === 0 ? begin : Math.max(...there.map(backup => backup.covers))
    counted.backupAges.push(Math.max(0, at - covers) / minute)
  }
  counted.backupAges.sort((a, b) => a - b)
  counted.syncAges.sort((a, b) => a - b)
  return counted
}

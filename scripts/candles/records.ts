import type { History } from '../job/history.ts'
import { type Candle, candleFields } from './candle.ts'
import type { Interval } from './intervals.ts'
import type { KeptSeal, KeptSeals, Seal } from './seals.ts'
import type { Revision } from './store.ts'
import type { RejectedRow } from './validate.ts'

/** A seal that a commit brings. */
export type SealChange = {
  symbol: string
  month: string
  /** The kept seal, confirmed or pending, that the candles match before the commit; undefined: none. */
  before: Seal | undefined
  seal: Seal
}

/** What a commit has to leave in the history, before it happens. */
export type CommitRecord = {
  revisions: Revision[]
  rejected: (RejectedRow & { symbol: string })[]
  seals: SealChange[]
}

/** What the agent's database holds of a symbol: how many candles, and the open time of the newest. */
type StoredCount = { symbol: string; count: number; last: number }

type SealRow = {
  symbol: string
  month: string
  last: number | null
  digest: string | null
  pendingLast: number | null
  pendingDigest: string | null
}

/** What the history knows of the candles of one interval. */
export class CandleRecords {
  #history: History
  #interval: Interval
  #run: number
  #now: () => number

  constructor(history: History, interval: Interval, run: number, now: () => number) {
    this.#history = history
    this.#interval = interval
    this.#run = run
    this.#now = now
  }

  /** First candle that the exchange has, by symbol, where a sync has asked for it. */
  firstCandles(): Map<string, number> {
    const rows = this.#history.transact(database =>
      database
        .prepare('SELECT symbol, open_time FROM first_candles WHERE interval = ?')
        .raw()
        .all(this.#interval),
    ) as [string, number][]
    return new Map(rows)
  }

  rememberFirstCandle(symbol: string, openTime: number): void {
    this.#history.transact(database =>
      database
        .prepare('INSERT OR REPLACE INTO first_candles (interval, symbol, open_time) VALUES (?, ?, ?)')
        .run(this.#interval, symbol, openTime),
    )
  }

  /**
   * What was just seen to be stored, so that reports and metrics need not open the agent's database. `all`: these are
   * all symbols that have candles, and what was remembered of others is forgotten.
   */
  rememberStored(stored: readonly StoredCount[], { all = false } = {}): void {
    if (stored.length === 0 && !all) return
    const seenAt = this.#now()
    this.#history.transact(database => {
      if (all) database.prepare('DELETE FROM stored_candles WHERE interval = ?').run(this.#interval)
      const remember = database.prepare(
        'INSERT OR REPLACE INTO stored_candles (interval, symbol, count, last, seen_at) VALUES (?, ?, ?, ?, ?)',
      )
      for (const { symbol, count, last } of stored) remember.run(this.#interval, symbol, count, last, seenAt)
    })
  }

  /** All seals of the interval. */
  seals(): KeptSeals {
    const rows = this.#history.transact(database =>
      database
        .prepare(
          `SELECT symbol, month, last, digest, pending_last AS pendingLast, pending_digest AS pendingDigest
           FROM candle_seals WHERE interval = ?`,
        )
        .all(this.#interval),
    ) as SealRow[]
    const seals: KeptSeals = new Map()
    for (const { symbol, month, last, digest, pendingLast, pendingDigest } of rows) {
      const months = seals.get(symbol) ?? new Map<string, KeptSeal>()
      const kept = { sealed: sealFrom(last, digest), pending: sealFrom(pendingLast, pendingDigest) }
      seals.set(symbol, months.set(month, kept))
    }
    return seals
  }

  /** When each symbol's stored candles were last compared with their seals; since they were sealed, where never. */
  verifiedSymbols(): { symbol: string; at: number }[] {
    return this.#history.transact(database =>
      database
        .prepare(
          `SELECT symbol, min(coalesce(verified_at, sealed_at)) AS at FROM candle_seals
           WHERE interval = ? GROUP BY symbol ORDER BY symbol`,
        )
        .all(this.#interval),
    ) as { symbol: string; at: number }[]
  }

  /** The stored candles of these symbols were just found to be what their seals say. */
  markVerified(symbols: string[]): void {
    if (symbols.length === 0) return
    const now = this.#now()
    this.#history.transact(database => {
      const mark = database.prepare(
        'UPDATE candle_seals SET verified_at = ? WHERE interval = ? AND symbol = ?',
      )
      for (const symbol of symbols) mark.run(now, this.#interval, symbol)
    })
  }

  /**
   * Written before the agent's database is committed: old values, rejected rows, and the seals as pending. Killed
   * between the two commits, nothing is lost, and either state of the database matches its seal.
   */
  prepare({ revisions, rejected, seals }: CommitRecord): void {
    if (revisions.length + rejected.length + seals.length === 0) return
    const now = this.#now()
    this.#history.transact(database => {
      const revise = database.prepare(
        `INSERT OR IGNORE INTO candle_revisions (interval, symbol, open_time, old, new, recorded_at, run)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      for (const { symbol, old, new: replacement } of revisions) {
        const values = [asText(old), asText(replacement)]
        revise.run(this.#interval, symbol, old.openTime, ...values, now, this.#run)
      }
      const quarantine = database.prepare(
        `INSERT INTO quarantined_rows (interval, symbol, reason, raw, recorded_at, run) VALUES (?, ?, ?, ?, ?, ?)`,
      )
      for (const { symbol, reason, raw } of rejected) {
        quarantine.run(this.#interval, symbol, reason, raw, now, this.#run)
      }
      const pend = database.prepare(
        `INSERT INTO candle_seals (interval, symbol, month, pending_last, pending_digest, sealed_at)
         VALUES (@interval, @symbol, @month, @last, @digest, @now)
         ON CONFLICT (interval, symbol, month) DO UPDATE
         SET last = coalesce(@lastBefore, last), digest = coalesce(@digestBefore, digest),
           pending_last = @last, pending_digest = @digest`,
      )
      // a pending seal that turned out to hold is confirmed here: overwritten, it would be missed if this commit fails
      for (const { symbol, month, before, seal } of seals) {
        const was = { lastBefore: before?.last ?? null, digestBefore: before?.digest ?? null }
        pend.run({ interval: this.#interval, symbol, month, ...seal, ...was, now })
      }
    })
  }

  /** Written after the commit: the pending seals hold from now on. */
  confirm(seals: SealChange[]): void {
    if (seals.length === 0) return
    const now = this.#now()
    this.#history.transact(database => {
      const confirm = database.prepare(
        `UPDATE candle_seals SET last = pending_last, digest = pending_digest, pending_last = NULL,
           pending_digest = NULL, sealed_at = ?
         WHERE interval = ? AND symbol = ? AND month = ? AND pending_digest IS NOT NULL`,
      )
      for (const { symbol, month } of seals) confirm.run(now, this.#interval, symbol, month)
    })
  }
}

function asText(candle: Candle): string {
  return JSON.stringify(candleFields.map(field => candle[field]))
}

function sealFrom(last: number | null, digest: string | null): Seal | undefined {
  return last === null || digest === null ? undefined : { last, digest }
}

import type { Candle } from './candle.ts'
import type { Fetched } from './fetch.ts'
import type { CandleRecords, SealChange } from './records.ts'
import {
  type KeptSeal,
  type KeptSeals,
  matchesSeal,
  matchingSeal,
  monthOf,
  monthRange,
  seal,
} from './seals.ts'
import type { CandleStore, StoredBatch } from './store.ts'
import type { SyncTools } from './tools.ts'

type Waiting = {
  symbol: string
  fetched: Fetched
  resolve: (stored: StoredBatch) => void
  reject: (error: unknown) => void
}

/** A transaction takes symbols until it has this many candles: longer ones would hold the agent up. */
const candlesATransaction = 20_000

/**
 * Commits what was fetched: each symbol whole, symbols that are ready at the same time in one transaction. With every
 * commit go the old values of what it overwrites and the seals of the months it touches.
 */
export class CandleWriter {
  #store: CandleStore
  #records: CandleRecords
  #step: number
  #seals: KeptSeals
  #lastClosed: number
  #waiting: Waiting[] = []
  #writing = false

  constructor({ store, records, step }: SyncTools, seals: KeptSeals, lastClosed: number) {
    this.#store = store
    this.#records = records
    this.#step = step
    this.#seals = seals
    this.#lastClosed = lastClosed
  }

  /** Resolves when the symbol's candles are on disk. */
  write(symbol: string, fetched: Fetched): Promise<StoredBatch> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ symbol, fetched, resolve, reject })
      if (this.#writing) return
      this.#writing = true
      setImmediate(() => void this.#writeAll())
    })
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup()
      try {
        const stored = await this.#commit(group)
        for (const [i, { resolve }] of group.entries()) resolve(stored[i] as StoredBatch)
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#writing = false
  }

  #takeGroup(): Waiting[] {
    let count = 0
    const size = this.#waiting.findIndex(({ fetched }) => {
      count += fetched.candles.length
      return count >= candlesATransaction
    })
    return this.#waiting.splice(0, size === -1 ? this.#waiting.length : size + 1)
  }

  async #commit(group: Waiting[]): Promise<StoredBatch[]> {
    const batches = group.map(({ symbol, fetched }) => ({ symbol, candles: fetched.candles }))
    const rejected = group.flatMap(({ symbol, fetched }) => fetched.rejected.map(row => ({ ...row, symbol })))
    let changes: SealChange[] = []
    const stored = await this.#store.save(batches, saved => {
      changes = saved.flatMap((batch, i) => this.#sealChanges(batch, batches[i]?.candles ?? []))
      this.#records.prepare({
        revisions: saved.flatMap(({ revisions }) => revisions),
        rejected,
        seals: changes,
      })
    })
    this.#records.confirm(changes)
    for (const { symbol, month, seal: sealed } of changes) {
      const months = this.#seals.get(symbol) ?? new Map<string, KeptSeal>()
      this.#seals.set(symbol, months.set(month, { sealed, pending: undefined }))
    }
    return stored
  }

  /**
   * The new seals of the months that a batch touched. A month that did not match its seal before is only sealed anew
   * when all of it has just been read again: sealing it as it stands would bless what is wrong with it.
   */
  #sealChanges(batch: StoredBatch, fetched: Candle[]): SealChange[] {
    const { symbol, inserted, revisions } = batch
    const fresh = new Set(inserted.map(({ openTime }) => openTime))
    const old = new Map(revisions.map(revision => [revision.old.openTime, revision.old]))
    const read = new Set(fetched.map(({ openTime }) => openTime))
    const months = new Set(fetched.map(({ openTime }) => monthOf(openTime)))
    return [...months].flatMap(month => {
      const { from, to } = monthRange(month, this.#step)
      const now = this.#store.candles(symbol, { from, to: Math.min(to, this.#lastClosed) })
      const changed = seal(now)
      const kept = this.#seals.get(symbol)?.get(month)
      if (changed === undefined || isSame(kept, changed)) return []
      const before = now
        .filter(({ openTime }) => !fresh.has(openTime))
        .map(candle => old.get(candle.openTime) ?? candle)
      const sound =
        kept === undefined || matchesSeal(kept, before) || now.every(({ openTime }) => read.has(openTime))
      return sound ? [{ symbol, month, before: kept && matchingSeal(kept, before), seal: changed }] : []
    })
  }
}

function isSame(kept: KeptSeal | undefined, changed: { last: number; digest: string }): boolean {
  return (
    kept?.pending === undefined &&
    kept?.sealed?.last === changed.last &&
    kept.sealed.digest === changed.digest
  )
}

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { decimalsOf } from './decimals.ts'
import { hash } from './noise.ts'
import { hour, type KlineRow, type Page } from './source.ts'

/**
 * The candles of one recorded file, gzip CSV with a header (`timestamp_ms,open,high,low,close,volume` and more or
 * fewer of the other kline columns), ascending by open time. Lines stay text until they are asked for: sixty whole
 * histories as rows would take half a gigabyte.
 */
export class Recording {
  readonly times: Float64Array
  readonly #lines: string[]
  readonly #columns: Record<string, number>
  readonly #step: number

  /** `dropLast`: leaves out the last row of a file that was recorded while that candle was forming. */
  constructor(file: string, step: number, { dropLast = false } = {}) {
    const [header = '', ...lines] = gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n')
    if (dropLast) lines.pop()
    this.#columns = Object.fromEntries(header.split(',').map((name, n) => [name, n]))
    this.#lines = lines
    this.#step = step
    this.times = Float64Array.from(lines, line => Number(line.slice(0, line.indexOf(','))))
  }

  /** The file's own cells of each line, by column name. */
  cells(): Record<string, string>[] {
    const names = Object.keys(this.#columns)
    return this.#lines.map(line => {
      const cells = line.split(',')
      return Object.fromEntries(names.map((name, n) => [name, cells[n] ?? '']))
    })
  }

  page({ from, to, limit }: Page): KlineRow[] {
    const end = firstAbove(this.times, to)
    const start = from === undefined ? Math.max(0, end - limit) : firstAbove(this.times, from - 1)
    return this.#lines.slice(start, Math.min(end, start + limit)).map(line => this.#row(line))
  }

  /** Prices and volumes are the file's text; what the file does not have is made up from the volume. */
  #row(line: string): KlineRow {
    const cells = line.split(',')
    const cell = (name: string) => cells[this.#columns[name] ?? -1]
    const openTime = Number(cells[0])
    const volume = cell('volume') ?? ''
    const close = cell('close') ?? ''
    const quoteVolume = cell('quote_volume') ?? (Number(volume) * Number(close)).toFixed(4)
    const takerShare = 0.4 + 0.2 * hash(1, openTime / hour)
    return [
      openTime,
      cell('open') ?? '',
      cell('high') ?? '',
      cell('low') ?? '',
      close,
      volume,
      openTime + this.#step - 1,
      quoteVolume,
      Number(cell('trades') ?? Math.ceil(Number(quoteVolume) / 1500)),
      cell('taker_buy_base') ?? (Number(volume) * takerShare).toFixed(decimalsOf(volume)),
      cell('taker_buy_quote') ?? (Number(quoteVolume) * takerShare).toFixed(decimalsOf(quoteVolume)),
      '0',
    ]
  }
}

/** Index of the first of the ascending times that is above `time`. */
function firstAbove(times: Float64Array, time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((times[middle] ?? Infinity) > time) high = middle
    else low = middle + 1
  }
  return low
}

import { decimalsOf, scaleDecimal } from './decimals.ts'
import type { KlineRow } from './source.ts'

/**
 * What the exchange shows of a candle at `now` while it is still open: the open price of the final one, close on
 * its way from open to the final close, high and low as wide as they have become, volumes and trades so far.
 * A pure function of the final candle and the time, so that the same moment always looks the same.
 */
export function formingAt(row: KlineRow, now: number): KlineRow {
  const [openTime, open, high, low, close, volume, closeTime, quoteVolume, trades, takerBase, takerQuote] =
    row
  const share = Math.min(1, Math.max(0, (now - openTime) / (closeTime + 1 - openTime)))
  const decimals = Math.max(...[open, high, low, close].map(decimalsOf))
  const towards = (final: string) => (Number(open) + (Number(final) - Number(open)) * share).toFixed(decimals)
  return [
    openTime,
    open,
    towards(high),
    towards(low),
    towards(close),
    scaleDecimal(volume, share),
    closeTime,
    scaleDecimal(quoteVolume, share),
    Math.floor(trades * share),
    scaleDecimal(takerBase, share),
    scaleDecimal(takerQuote, share),
    '0',
  ]
}

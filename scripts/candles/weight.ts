/**
 * What requests cost of the weight that Binance grants an address a minute.
 * Binance futures REST, klines: LIMIT 1-99 costs 1, 100-499 costs 2, 500-1000 costs 5, more costs 10.
 */
export function klinesWeight(limit: number): number {
  if (limit < 100) return 1
  if (limit < 500) return 2
  return limit <= 1000 ? 5 : 10
}

/** `GET /fapi/v1/time` and `/fapi/v1/exchangeInfo` cost 1 each. */
export const infoWeight = 1

/** The page with the most candles for its weight: 249.5 a unit, against 99 for small pages and 200 for 1000. */
const bestLimit = 499

/** How many candles to ask for when `remaining` are wanted. */
export function pageLimit(remaining: number): number {
  return Math.min(remaining, bestLimit)
}

/** What `count` candles in a row cost in all. */
export function rangeWeight(count: number): number {
  const rest = count % bestLimit
  return Math.floor(count / bestLimit) * klinesWeight(bestLimit) + (rest === 0 ? 0 : klinesWeight(rest))
}

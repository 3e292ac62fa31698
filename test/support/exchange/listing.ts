import type { ExchangeInfo, ListedSymbol } from './source.ts'

/** Far away, as Binance writes it for contracts that never expire (2100-12-25T08:00Z). */
const neverDelivered = 4_133_404_800_000

type Listing = {
  symbol: string
  status: 'TRADING' | 'SETTLING'
  onboardDate: number
  deliveryDate?: number | undefined
  /** Digits behind the point of prices and of amounts. */
  pricePrecision: number
  quantityPrecision: number
}

/** A USDT perpetual in the form of Binance futures REST, exchangeInfo (fields as recorded in March 2025). */
export function perpetual(listing: Listing): ListedSymbol {
  const { symbol, pricePrecision, quantityPrecision } = listing
  const stepSize = (10 ** -quantityPrecision).toFixed(quantityPrecision)
  const tickSize = (10 ** -pricePrecision).toFixed(pricePrecision)
  return {
    symbol,
    pair: symbol,
    contractType: 'PERPETUAL',
    deliveryDate: listing.deliveryDate ?? neverDelivered,
    onboardDate: listing.onboardDate,
    status: listing.status,
    maintMarginPercent: '2.5000',
    requiredMarginPercent: '5.0000',
    baseAsset: symbol.replace(/USDT$/, ''),
    quoteAsset: 'USDT',
    marginAsset: 'USDT',
    pricePrecision,
    quantityPrecision,
    baseAssetPrecision: 8,
    quotePrecision: 8,
    underlyingType: 'COIN',
    underlyingSubType: [],
    triggerProtect: '0.0500',
    liquidationFee: '0.020000',
    marketTakeBound: '0.30',
    maxMoveOrderLimit: 1000,
    filters: [
      { filterType: 'PRICE_FILTER', minPrice: tickSize, maxPrice: '1000000', tickSize },
      { filterType: 'LOT_SIZE', minQty: stepSize, maxQty: '10000000', stepSize },
      { filterType: 'MARKET_LOT_SIZE', minQty: stepSize, maxQty: '10000000', stepSize },
      { filterType: 'MAX_NUM_ORDERS', limit: 200 },
      { filterType: 'MAX_NUM_ALGO_ORDERS', limit: 10 },
      { filterType: 'MIN_NOTIONAL', notional: '5' },
      {
        filterType: 'PERCENT_PRICE',
        multiplierDown: '0.8500',
        multiplierUp: '1.1500',
        multiplierDecimal: '4',
      },
    ],
    orderTypes: ['LIMIT', 'MARKET', 'STOP', 'STOP_MARKET', 'TAKE_PROFIT', 'TAKE_PROFIT_MARKET'],
    timeInForce: ['GTC', 'IOC', 'FOK', 'GTX'],
  }
}

/** The envelope of exchangeInfo around the symbols, with the limits that Binance announces by default. */
export function exchangeInfoOf(symbols: ListedSymbol[], serverTime: number): ExchangeInfo {
  return {
    timezone: 'UTC',
    serverTime,
    futuresType: 'U_MARGINED',
    rateLimits: [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: 2400 },
      { rateLimitType: 'ORDERS', interval: 'MINUTE', intervalNum: 1, limit: 1200 },
      { rateLimitType: 'ORDERS', interval: 'SECOND', intervalNum: 10, limit: 300 },
    ],
    exchangeFilters: [],
    assets: [{ asset: 'USDT', marginAvailable: true, autoAssetExchange: '-10000' }],
    symbols,
  }
}

// The peer of bench:sync: the same work as most people do it, ccxt's fetchOHLCV in a loop with its own rate limiter.
// Usage: node ccxt_loop.mjs BASE_URL DATABASE SINCE SYMBOL…
import Database from 'better-sqlite3'

const [url, file, since, ...symbols] = process.argv.slice(2)
const { default: Exchange } = await import(new URL('./src/binanceusdm.js', import.meta.resolve('ccxt')).href)
const exchange = new Exchange()
exchange.urls.api.fapiPublic = `${url}/fapi/v1`
exchange.options.fetchMarkets = ['linear']
exchange.has.fetchCurrencies = false
await exchange.loadMarkets()

const database = new Database(file)
database.exec(`CREATE TABLE IF NOT EXISTS ohlcv_h4 (timestamp INTEGER NOT NULL, symbol TEXT NOT NULL, open REAL,
  high REAL, low REAL, close REAL, volume REAL, PRIMARY KEY (timestamp, symbol))`)
const upsert = database.prepare('INSERT OR REPLACE INTO ohlcv_h4 VALUES (?, ?, ?, ?, ?, ?, ?)')
for (const symbol of symbols) {
  const candles = await exchange.fetchOHLCV(symbol, '4h', Number(since), 10)
  database.transaction(() => candles.forEach(([time, ...rest]) => upsert.run(time, symbol, ...rest)))()
}
const { count } = database.prepare('SELECT count(*) AS count FROM ohlcv_h4').get()
if (count < symbols.length * 6) throw new Error(`only ${count} candles`)

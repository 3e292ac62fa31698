import { existsSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { compileCacheOf } from '../job/compile_cache.ts'

/** The part of ccxt's `binanceusdm` that is used: its implicit calls, which give Binance's own answers. */
export type CcxtClient = {
  fapiPublicGetTime(): Promise<unknown>
  fapiPublicGetExchangeInfo(): Promise<unknown>
  fapiPublicGetKlines(params: Record<string, string | number>): Promise<unknown>
  fetchImplementation: Transport
  handleErrors(): undefined
  urls: { api: { fapiPublic: string } }
}

/** Carries one request out. What it throws reaches the caller as it is. */
type Transport = (url: string, init: { headers: Record<string, string> }) => Promise<TransportAnswer>

type TransportAnswer = {
  status: number
  statusText: string
  headers: ReadonlyMap<string, string>
  text(): Promise<string>
}

export type CcxtOptions = { exchange: string; baseUrl: string | null; state: string; transport: Transport }

/**
 * Loads ccxt and makes a client whose requests all go through `transport`. Only the one exchange's module is loaded:
 * the whole of ccxt takes three times as long and twice the memory. ccxt's own pacing is off, since it does not know
 * what others at this address use. Compiled code is kept under `state`, which saves a tenth of a second a run.
 */
export async function openCcxt({ exchange, baseUrl, state, transport }: CcxtOptions): Promise<CcxtClient> {
  if (existsSync(state)) enableCompileCache(compileCacheOf(state))
  const module = new URL(`./src/${exchange}.js`, import.meta.resolve('ccxt'))
  const { default: Exchange } = (await import(module.href)) as {
    default: new (options: object) => CcxtClient
  }
  const client = new Exchange({ enableRateLimit: false })
  if (baseUrl !== null) client.urls.api.fapiPublic = `${baseUrl.replace(/\/$/, '')}/fapi/v1`
  client.fetchImplementation = transport
  // answers are judged by our own transport: ccxt's errors do not tell a geo-block from an outage
  client.handleErrors = () => undefined
  return client
}

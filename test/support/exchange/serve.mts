// The exchange replay as a process of its own: for benches, where client and exchange should not share a thread.
// Prints one JSON line when it is ready; ends on SIGTERM.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { ReplayClock } from './clock.ts'
import { control } from './control.ts'
import { generatedSource } from './generated.ts'
import { recordedSource } from './recorded.ts'
import { startReplay } from './replay.ts'

const { values } = parseArgs({
  options: {
    source: { type: 'string', default: 'generated' },
    /** A,B or a JSON file: a list, or a configuration with `sync.symbols`. Only for generated candles. */
    symbols: { type: 'string', default: 'BTCUSDT,ETHUSDT' },
    /** Where the exchange's clock starts: milliseconds or ISO 8601; default now. */
    at: { type: 'string' },
    rate: { type: 'string', default: '1' },
    latency: { type: 'string', default: '0' },
    port: { type: 'string', default: '0' },
    'weight-limit': { type: 'string', default: '2400' },
  },
})

const replay = await startReplay({
  source: sourceNamed(values.source),
  clock: new ReplayClock({ at: timeFrom(values.at), rate: numberOf('rate') }),
  latencyMs: numberOf('latency'),
  port: numberOf('port'),
  weightLimit: numberOf('weight-limit'),
  control,
})
process.once('SIGTERM', () => void replay.close())
process.stdout.write(`${JSON.stringify({ url: replay.url, pid: process.pid })}\n`)

function sourceNamed(name: string) {
  if (name === 'recorded') return recordedSource()
  if (name === 'generated') return generatedSource({ symbols: symbolsFrom(values.symbols) })
  throw new Error(`--source is generated or recorded, not ${name}`)
}

function symbolsFrom(text: string): string[] {
  if (!text.endsWith('.json')) return text.split(',')
  const content: string[] | { sync: { symbols: string[] } } = JSON.parse(readFileSync(text, 'utf8'))
  return Array.isArray(content) ? content : content.sync.symbols
}

function numberOf(flag: 'rate' | 'latency' | 'port' | 'weight-limit'): number {
  const number = Number(values[flag])
  if (!(number >= 0)) throw new Error(`--${flag} is a number, not ${values[flag]}`)
  return number
}

function timeFrom(text: string | undefined): number | string {
  if (text === undefined) return Date.now()
  return /^\d+$/.test(text) ? Number(text) : text
}

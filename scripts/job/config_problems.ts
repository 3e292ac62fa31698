import type { ErrorObject } from 'ajv'
import { nearest } from './nearest.ts'

/** One thing that is wrong with a configuration. */
export type ConfigProblem = Description & {
  /** The keyword of the schema that was broken. */
  rule: string
}

type Description = {
  /** JSON path: `sync.symbols[3]`; `` for the whole document. */
  path: string
  what: string
  /** The nearest right thing, where there is one. */
  hint?: string
}

/** Ajv's errors as a person needs them: where, what is wrong, and what was probably meant. */
export function describeProblems(errors: ErrorObject[]): ConfigProblem[] {
  return errors.flatMap(error => {
    const descriptions = [describe(error, jsonPath(error.instancePath))].flat()
    return descriptions.map(description => ({ ...description, rule: error.keyword }))
  })
}

export function formatProblem({ path, what, hint }: ConfigProblem): string {
  return `${path === '' ? '' : `${path}: `}${what}${hint === undefined ? '' : ` — ${hint}`}`
}

function describe(error: ErrorObject, path: string): Description | Description[] {
  const { keyword, params, data } = error
  const given = JSON.stringify(data)
  switch (keyword) {
    case 'additionalProperties': {
      const key = String(params.additionalProperty)
      const known = Object.keys((error.parentSchema as { properties: object }).properties)
      return { path: join(path, key), what: 'unknown key', hint: meant(nearest(key, known), known) }
    }
    case 'required':
      return { path: join(path, String(params.missingProperty)), what: 'is missing' }
    case 'enum': {
      const allowed = (params.allowedValues as unknown[]).map(String)
      return { path, what: `${given} is not allowed`, hint: meant(nearest(String(data), allowed), allowed) }
    }
    case 'type': {
      const wanted = [params.type].flat().map(String)
      return {
        path,
        what: `must be ${wanted.join(' or ')}, not ${given}`,
        ...hintFor(converted(data, wanted)),
      }
    }
    case 'uniqueItems':
      return describeDuplicates(data as unknown[], path)
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return { path, what: `${given} is out of range`, hint: `must be ${params.comparison} ${params.limit}` }
    case 'pattern':
      return { path, what: `${given} has the wrong form`, ...hintFor(patternHints[String(params.pattern)]) }
    default:
      return { path, what: `${given} ${error.message ?? keyword}` }
  }
}

/** Every entry that stands in the list before; Ajv itself names one pair. */
function describeDuplicates(list: unknown[], path: string): Description[] {
  const texts = list.map(entry => JSON.stringify(entry))
  const hint = path === 'sync.symbols' ? 'npx zx scripts/symbols.mts --fix takes duplicates out' : undefined
  return texts.flatMap((text, again) => {
    const first = texts.indexOf(text)
    if (first === again) return []
    return [
      { path: `${path}[${again}]`, what: `${text} stands at ${path}[${first}] already`, ...hintFor(hint) },
    ]
  })
}

/** What the patterns of the schema ask for, in words. */
const patternHints: Record<string, string> = {
  '^[^\\u0000]+$': 'a path, such as "data/agent.db"',
  '^https?://[^/\\s]+': 'an address such as "https://fapi.binance.com", or null for the exchange’s own',
  '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$': 'the name of a bucket, such as "my-backups", or null for none',
  "^(?:[A-Za-z0-9!_.*'()-]+/)*$": 'folders that each end with a slash, such as "candlekeep/"',
  '^age1[0-9a-z]+$': 'a public key of age, as age-keygen prints it: age1…',
  '^[A-Z_][A-Z0-9_]*$': 'the name of an environment variable, such as "CANDLEKEEP_HEARTBEAT_URL"',
  '^[^\\s\\p{C}]{2,40}$': 'a symbol as the exchange writes it, such as "BTCUSDT", without spaces',
}

/** The same value in the wanted type, where it is plain what was meant: `"30"` for a number. */
function converted(data: unknown, wanted: string[]): string | undefined {
  const number = typeof data === 'string' && data.trim() !== '' ? Number(data) : Number.NaN
  if (wanted.includes('integer') && Number.isInteger(number)) return `write ${number}`
  if (wanted.includes('number') && Number.isFinite(number)) return `write ${number}`
  if (wanted.includes('integer') && typeof data === 'number') return `write ${Math.round(data)}`
  if (wanted.includes('array')) return `write [${JSON.stringify(data)}]`
  return undefined
}

function meant(candidate: string | undefined, all: string[]): string {
  return candidate === undefined ? `one of ${all.join(', ')}` : `did you mean ${JSON.stringify(candidate)}?`
}

function hintFor(hint: string | undefined): { hint?: string } {
  return hint === undefined ? {} : { hint }
}

function jsonPath(pointer: string): string {
  const steps = pointer.split('/').slice(1)
  return steps.reduce((path, step) => join(path, step.replaceAll('~1', '/').replaceAll('~0', '~')), '')
}

function join(path: string, step: string): string {
  if (/^\d+$/.test(step)) return `${path}[${step}]`
  const name = /^[\w$-]+$/.test(step) ? step : `[${JSON.stringify(step)}]`
  return path === '' || name.startsWith('[') ? `${path}${name}` : `${path}.${name}`
}

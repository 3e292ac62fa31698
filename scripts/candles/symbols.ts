import leven from 'leven'
import { nearest } from '../job/nearest.ts'
import type { Contract } from './exchange.ts'
import { latinSpellings } from './lookalikes.ts'
import { successors } from './successors.ts'

type SymbolVerdict =
  | 'trading'
  | 'duplicate'
  /** Contains letters that only look like the Latin ones of a real symbol. */
  | 'look-alike'
  /** The coin goes on under another name. */
  | 'renamed'
  /** Listed, but trading has ended (SETTLING, CLOSE …) or has not begun (PENDING_TRADING). */
  | 'not trading'
  | 'unknown'

export type JudgedSymbol = {
  symbol: string
  /** Position in the list, from 0. */
  index: number
  verdict: SymbolVerdict
  /** For people: what is wrong with it. '' for one that trades. */
  what: string
  /** A symbol that trades and was probably meant. */
  suggestion: string | undefined
}

/** Judges each entry of a symbol list against what the exchange lists. */
export function judgeSymbols(list: readonly string[], contracts: readonly Contract[]): JudgedSymbol[] {
  const listed = new Map(contracts.map(contract => [contract.symbol, contract]))
  const trading = contracts.filter(isTrading).map(({ symbol }) => symbol)
  const isTraded = new Set(trading)
  const seen = new Map<string, number>()

  return list.map((symbol, index) => {
    const judged = (verdict: SymbolVerdict, what: string, suggestion?: string): JudgedSymbol => {
      return { symbol, index, verdict, what, suggestion }
    }
    const earlier = seen.get(symbol)
    if (earlier !== undefined) return judged('duplicate', `stands at position ${earlier + 1} already`)
    seen.set(symbol, index)
    if (isTraded.has(symbol)) return judged('trading', '')

    const spellings = latinSpellings(symbol)
    if (spellings.length > 0) {
      const letters = Array.from(symbol).filter(letter => (letter.codePointAt(0) as number) > 127)
      const meant =
        spellings.find(spelling => isTraded.has(spelling)) ?? nearestSymbol(spellings[0] as string, trading)
      return judged(
        'look-alike',
        `has letters that only look Latin: ${letters.map(nameLetter).join(', ')}`,
        meant,
      )
    }
    const successor = successorOf(symbol, isTraded)
    const contract = listed.get(symbol)
    const state =
      contract === undefined ? 'the exchange does not list it' : `the exchange lists it as ${contract.status}`
    if (successor !== undefined) return judged('renamed', `${state}; ${successor.why}`, successor.symbol)
    if (contract !== undefined) return judged('not trading', state)
    return judged('unknown', state, nearestSymbol(symbol, trading))
  })
}

function isTrading({ status }: Contract): boolean {
  return status === 'TRADING'
}

function nameLetter(letter: string): string {
  return `${letter} (U+${(letter.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')})`
}

/** The contract that took a symbol's place: the coin's new name, or one that trades a thousand coins at a time. */
function successorOf(
  symbol: string,
  isTraded: ReadonlySet<string>,
): { symbol: string; why: string } | undefined {
  const { coin, quote } = parts(symbol) ?? {}
  if (coin === undefined || quote === undefined) return undefined
  const renamed = successors[coin]
  if (renamed !== undefined && isTraded.has(renamed + quote)) {
    return { symbol: renamed + quote, why: `${coin} has become ${renamed}` }
  }
  const multiple = ['1000', '1000000', '1M'].map(factor => factor + symbol).find(name => isTraded.has(name))
  return multiple === undefined
    ? undefined
    : { symbol: multiple, why: `it trades by the thousand or million` }
}

/** The symbol that was most likely meant. Only the coins are compared: with its quote, every short name looks near. */
function nearestSymbol(symbol: string, trading: string[]): string | undefined {
  const { coin, quote } = parts(symbol) ?? {}
  if (coin === undefined || quote === undefined) return nearest(symbol, trading)
  const coins = trading.flatMap(name => parts(name) ?? []).filter(other => other.quote === quote)
  const names = coins.map(other => other.coin)
  const meant = nearest(coin, names)
  // in a name of three letters, one may be wrong: two would make anything of it
  if (meant === undefined || leven(coin.toUpperCase(), meant) > Math.max(1, coin.length / 3)) return undefined
  return meant + quote
}

function parts(symbol: string): { coin: string; quote: string } | undefined {
  const [, coin, quote] = /^(.+?)(USDT|USDC)$/i.exec(symbol) ?? []
  return coin === undefined || quote === undefined ? undefined : { coin, quote: quote.toUpperCase() }
}

import { readFileSync, statSync } from 'node:fs'
import { applyEdits, modify } from 'jsonc-parser'
import { replaceFile } from '../job/replace_file.ts'
import type { JudgedSymbol } from './symbols.ts'

/** What mending a symbol list does to it. */
export type ListFix = { symbols: string[]; removed: JudgedSymbol[]; replaced: JudgedSymbol[] }

/**
 * The list as it should be, in its order: what trades stays; look-alikes and renamed coins give way to what trades in
 * their place; everything else goes. A guess at a typing mistake is never carried out: that is for a person to say.
 */
export function fixList(judged: readonly JudgedSymbol[]): ListFix {
  const symbols = new Set(judged.filter(({ verdict }) => verdict === 'trading').map(({ symbol }) => symbol))
  const isSure = ({ verdict, suggestion }: JudgedSymbol) =>
    (verdict === 'look-alike' || verdict === 'renamed') &&
    suggestion !== undefined &&
    !symbols.has(suggestion)
  const fix: ListFix = { symbols: [], removed: [], replaced: [] }
  for (const entry of judged) {
    if (entry.verdict === 'trading') fix.symbols.push(entry.symbol)
    else if (isSure(entry)) {
      fix.symbols.push(entry.suggestion as string)
      fix.replaced.push(entry)
      symbols.add(entry.suggestion as string)
    } else fix.removed.push(entry)
  }
  return fix
}

/** Writes the list into a configuration file and leaves everything else in it as it stands. */
export function writeList(file: string, symbols: string[]): void {
  const text = readFileSync(file, 'utf8')
  const formattingOptions = { insertSpaces: true, tabSize: 2 }
  const edits = modify(text, ['sync', 'symbols'], symbols, { formattingOptions })
  replaceFile(file, applyEdits(text, edits), statSync(file).mode & 0o777)
}

import { stripVTControlCharacters } from 'node:util'

/** Text for people as one line, without colours or control characters. */
export function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
}

/** The lines of a report, without colours; of many, the first and the last, which often sums them up. */
export function linesOf(details: string[], most: number): string[] {
  const lines = details.flatMap(text => stripVTControlCharacters(text).split('\n').map(plainLine))
  const filled = lines.filter(line => line.trim() !== '')
  if (filled.length <= most) return filled
  const left = filled.length - most + 1
  return [...filled.slice(0, most - 2), `… ${left} more lines`, filled.at(-1) as string]
}

function plainLine(line: string): string {
  return line.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trimEnd()
}

/** At most `limit` UTF-16 units of a text whose characters are first written by `write`, whole ones only. */
export function within(limit: number, text: string, write = (character: string) => character): string {
  const written = Array.from(text, write)
  let length = written.reduce((sum, part) => sum + part.length, 0)
  if (length <= limit) return written.join('')
  while (length > limit - 1) length -= written.pop()?.length ?? 0
  return `${written.join('')}…`
}

/** The command to type that a line is, `→ npx zx scripts/…`; it is set apart from prose. */
export function commandIn(line: string): string | undefined {
  return /^\s*(?:→ |\$ |(?=npx |sudo ))(\S.*)$/.exec(line)?.[1]
}

export function escapeMarkup(character: string): string {
  return { '&': '&amp;', '<': '&lt;', '>': '&gt;' }[character] ?? character
}

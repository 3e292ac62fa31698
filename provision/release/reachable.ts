import { existsSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/**
 * The files of a package that some of its modules can import, by relative paths, at once or later. Whatever looks like
 * an import in the text counts: it can find too much, never too little, as long as names are written out.
 */
export function reachableFrom(folder: string, entries: string[]): Set<string> {
  const found = new Set<string>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (found.has(path)) continue
    found.add(path)
    if (!/\.[cm]?js$/.test(path)) continue
    const here = posix.dirname(path)
    const text = readFileSync(join(folder, path), 'utf8')
    for (const name of relativeImports(text)) {
      const target = posix.join(here, name)
      if (existsSync(join(folder, target))) waiting.push(target)
    }
  }
  return found
}

function relativeImports(text: string): string[] {
  const pattern = /\b(?:from|import|require)\s*\(?\s*(?:\/\*.*?\*\/\s*)*(["'])(\.{1,2}\/[^"']+)\1/g
  return [...text.matchAll(pattern)].map(([, , name]) => name as string)
}

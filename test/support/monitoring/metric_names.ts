const words = new Set(
  'and or unless on ignoring by without group_left group_right bool offset inf nan'.split(' '),
)

/** The metrics that a PromQL expression asks for. Functions have a `(` behind them, labels are in brackets. */
export function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(?:on|by|ignoring|without|group_left|group_right)\s*\([^)]*\)/g, ' ')
  const names = bare.matchAll(/(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:])(?!\s*\()/g)
  return [...new Set(Array.from(names, ([name]) => name))].filter(name => !words.has(name.toLowerCase()))
}

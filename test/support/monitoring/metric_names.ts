const words = new Set([
  'and',
  'or',
  'unless',
  'bool',
  'offset',
  'by',
  'on',
  'without',
  'ignoring',
  'group_left',
])

/** The names of the metrics that an expression of PromQL asks for. */
export function metricNames(expression: string): string[] {
  const bare = expression
    .replace(/#.*$/gm, ' ')
    // label matchers, text, durations and lists of labels
    .replace(/\{[^}]*\}|"[^"]*"|\[[^\]]*\]|\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)/g, ' ')
  const found = [...bare.matchAll(/\b([a-zA-Z_:][\w:]*)\b(?!\s*\()/g)].map(([, name = '']) => name)
  return [...new Set(found)].filter(name => !words.has(name))
}

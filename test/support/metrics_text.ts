import { spawnSync } from 'node:child_process'

/** A metrics file as somebody else reads it: samples as `name{label="value"}` → value, types by name. */
export type Metrics = { samples: Map<string, number>; types: Map<string, string>; help: Map<string, string> }

const label = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"`
const sampleLine = new RegExp(
  String.raw`^(?<series>[a-zA-Z_:][\w:]*(?:\{${label}(?:,${label})*\})?) (?<value>\S+)$`,
)

/** Reads the text format line by line and throws at any line that is none of its kinds. */
export function parseMetrics(text: string): Metrics {
  const metrics: Metrics = { samples: new Map(), types: new Map(), help: new Map() }
  if (text !== '' && !text.endsWith('\n')) throw new Error(`it breaks off: ${text.slice(-80)}`)
  for (const line of text.split('\n').slice(0, -1)) {
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/s.exec(line) ?? []
    if (kind === 'HELP') metrics.help.set(name, unescapeText(rest))
    else if (kind === 'TYPE') metrics.types.set(name, rest)
    else {
      const { series, value } = sampleLine.exec(line)?.groups ?? {}
      if (series === undefined || metrics.samples.has(series)) throw new Error(`no sample, or twice: ${line}`)
      metrics.samples.set(series, Number(value?.replace('Inf', 'Infinity')))
    }
  }
  return metrics
}

/** The value of the only label of a series, as it was meant. */
export function onlyLabel(series: string): string {
  return unescapeText(/^\w+\{\w+="(.*)"\}$/s.exec(series)?.[1] ?? '')
}

function unescapeText(text: string): string {
  return text.replaceAll(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
}

/** What promtool finds wrong with a metrics file; nothing: `''`. */
export function promtoolFindings(text: string): string {
  const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  })
  if (error !== undefined) throw error
  return status === 0 && stdout + stderr === '' ? '' : `status ${status}: ${stdout}${stderr}`
}

/** A value of a metric. `suffix`: what a histogram's own series have behind its name (`_bucket`, `_sum`, `_count`). */
export type Sample = { labels?: Record<string, string>; value: number; suffix?: string }

/** A metric as Prometheus knows it: one name, one meaning, a sample for each combination of labels. */
export type Family = {
  name: string
  type: 'counter' | 'gauge' | 'histogram'
  /** What it says, with its unit, in one sentence. */
  help: string
  samples: Sample[]
}

/**
 * Families in the Prometheus text exposition format 0.0.4, which node_exporter's textfile collector reads. One
 * without a sample is left out: a name that says nothing would only be in the way of `absent()`.
 */
export function renderFamilies(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(renderFamily)
    .join('')
}

function renderFamily({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ labels = {}, value, suffix = '' }) => {
    return `${name}${suffix}${renderLabels(labels)} ${renderValue(value)}\n`
  })
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function renderLabels(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** Infinity is the one number that Prometheus spells otherwise than JavaScript. */
export function renderValue(value: number): string {
  return String(value).replace('Infinity', 'Inf').replace(/^Inf/, '+Inf')
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`)
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', String.raw`\"`)
}

import { join } from 'node:path'
import { Liquid, type LiquidOptions } from 'liquidjs'
import { UserError } from '../scripts/job/errors.ts'
import { quote, quoteForCron, quoteForLogrotate } from './quote.ts'

const plain = engineFor({})

/** Of `templates/monitoring`: Prometheus and Alertmanager have templates of their own in these files, with braces. */
const forPrometheus = engineFor({
  outputDelimiterLeft: '<<',
  outputDelimiterRight: '>>',
  tagDelimiterLeft: '<%',
  tagDelimiterRight: '%>',
})

function engineFor(delimiters: LiquidOptions): Liquid {
  const engine = new Liquid({
    root: join(import.meta.dirname, '../templates'),
    cache: true,
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    greedy: false,
    outputEscape: written,
    ...delimiters,
  })
  engine.registerFilter('sh', quote)
  engine.registerFilter('cron', quoteForCron)
  engine.registerFilter('logrotate', quoteForLogrotate)
  // JSON is YAML (YAML 1.2, 1.3)
  engine.registerFilter('yaml', (value: unknown) => JSON.stringify(value))
  return engine
}

/**
 * The text that the file `templates/TEMPLATE` becomes with these values. A name or a filter that is not defined, and a
 * value that is neither text nor a number, is an error.
 */
export function render(template: string, values: Record<string, unknown>): string {
  const engine = template.startsWith('monitoring/') ? forPrometheus : plain
  try {
    return engine.renderFileSync(template, values) as string
  } catch (error) {
    // what a filter refuses is for people; the rest is a mistake in a template
    const cause = error instanceof Error && 'originalError' in error ? error.originalError : undefined
    throw cause instanceof UserError ? cause : error
  }
}

/** What a template writes, as it stands. */
function written(value: unknown): string {
  if (typeof value === 'string' || Number.isSafeInteger(value)) return String(value)
  throw new UserError(`a template would write ${value === null ? 'null' : `a value of type ${typeof value}`}`)
}

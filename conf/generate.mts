/**
 * Writes what is derived, so that each fact has one home. From the schemas, which say what the configuration and the
 * inventory look like: TypeScript types, and validators as plain code (compiling the schema in every process would cost
 * 100 ms and 25 MB). From the cheat sheet: Prometheus' rules, Grafana's dashboard, the operator's page, tables of documents.
 * `--check` writes nothing and fails when a file no longer matches.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import standalone from 'ajv/dist/standalone/index.js'
import { compile, type JSONSchema } from 'json-schema-to-typescript'
import { documents, documentText, withParts } from './documents.ts'
import sheet from './S2_1_CHEAT_SHEET.json' with { type: 'json' }

/** Definitions that become a type of their own, whatever stands beside the reference. */
const sharedTypes = new Set<string | undefined>(['#/$defs/retry', '#/$defs/vars'])

const schemas = [
  { schema: 'cheat_sheet.schema.json', folder: 'scripts/job', name: 'config', title: 'CheatSheet' },
  { schema: 'inventory.schema.json', folder: 'provision', name: 'inventory', title: 'Inventory' },
]

for (const { schema, folder, name, title } of schemas) {
  const source = JSON.parse(readFileSync(new URL(schema, import.meta.url), 'utf8')) as JSONSchema
  const banner = `// Generated from conf/${schema} by \`npm run generate\`: change the schema, not this file.`
  keep(`${folder}/${name}_types.ts`, await types(source, title, banner))
  keep(`${folder}/${name}_validator.ts`, validator(source, banner))
}

// they use the validator that has just been written
const { alertingRules, managedRules } = await import('../provision/alerting_rules.ts')
const { grafanaDashboard } = await import('../provision/dashboard.ts')
const { checkConfig } = await import('../scripts/job/config.ts')
const { markdownSheet } = await import('../scripts/operator/markdown.ts')
const checked = checkConfig(structuredClone(sheet), 'the cheat sheet')
const rules = alertingRules(checked, managedRules)
keep('conf/alerting_rules.yml', rules)
for (const path of documents) keep(path, withParts(documentText(path), checked, rules))
keep('conf/grafana_dashboard.json', grafanaDashboard(checked))
keep('docs/cheat_sheet.md', markdownSheet(checked))

function keep(path: string, text: string): void {
  const file = new URL(`../${path}`, import.meta.url)
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`${path} is not what it is made from says: run \`npm run generate\``)
    process.exitCode = 1
  }
}

async function types(source: JSONSchema, title: string, banner: string): Promise<string> {
  const definitions = source.$defs as Record<string, JSONSchema>
  const filledOf = ([name, definition]: [string, JSONSchema]) =>
    [name, withDefaultsFilled(definition)] as const
  const $defs = Object.fromEntries(Object.entries(definitions).map(filledOf))
  const filled = { ...withDefaultsFilled(source), $defs }
  return compile(filled, title, {
    bannerComment: banner,
    ignoreMinAndMaxItems: true,
    style: { semi: false, singleQuote: true, printWidth: 110 },
  })
}

/** What the schema looks like once its defaults are filled in: a property that has a default is always there. */
function withDefaultsFilled(source: JSONSchema): JSONSchema {
  const others = source.additionalProperties
  if (typeof others === 'object') return { ...source, additionalProperties: withDefaultsFilled(others) }
  const properties = Object.entries(source.properties ?? {}).map(([name, property]) => {
    const reference = sharedTypes.has(property.$ref) ? { $ref: property.$ref } : property
    return [name, withDefaultsFilled(reference)] as const
  })
  if (properties.length === 0) return source
  const filled = Object.entries(source.properties ?? {}).filter(([, property]) => 'default' in property)
  const required = [
    ...(Array.isArray(source.required) ? source.required : []),
    ...filled.map(([name]) => name),
  ]
  return { ...source, properties: Object.fromEntries(properties), required: [...new Set(required)] }
}

/** Ajv's own code for the schema. It fills in defaults and gives every error with the value and the rule it broke. */
function validator(source: JSONSchema, banner: string): string {
  const ajv = new Ajv2020({
    allErrors: true,
    useDefaults: true,
    verbose: true,
    allowUnionTypes: true,
    code: { source: true, esm: true },
  })
  const code = standalone.default(ajv, ajv.compile(source as object))
  // Ajv writes `require` even in ES modules
  const modules = [
    ...new Set(Array.from(code.matchAll(/require\("([^"]+)"\)\.default/g), match => match[1] as string)),
  ]
  const imports = modules.map((module, i) => `import helper${i} from '${module}.js'`)
  const body = modules.reduce((text, module, i) => {
    return text.replaceAll(`require("${module}").default`, `helper${i}.default`)
  }, code)
  return `${banner}\n// @ts-nocheck\n${imports.join('\n')}\n${body}\n`
}

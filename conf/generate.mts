/**
 * Writes what is derived from cheat_sheet.schema.json, so that the schema stays the one home of what the configuration
 * looks like: its TypeScript types, and its validator as plain code (compiling the schema in every process would cost
 * 100 ms and 25 MB). `--check` writes nothing and fails when a file no longer matches.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import standalone from 'ajv/dist/standalone/index.js'
import { compile, type JSONSchema } from 'json-schema-to-typescript'

const schemaFile = new URL('./cheat_sheet.schema.json', import.meta.url)
const banner =
  '// Generated from conf/cheat_sheet.schema.json by `npm run generate`: change the schema, not this file.'
const schema = JSON.parse(readFileSync(schemaFile, 'utf8')) as JSONSchema

const generated = {
  'config_types.ts': await types(schema),
  'config_validator.ts': validator(schema),
}

for (const [name, text] of Object.entries(generated)) {
  const file = new URL(`../scripts/job/${name}`, import.meta.url)
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`scripts/job/${name} does not match conf/cheat_sheet.schema.json: run \`npm run generate\``)
    process.exitCode = 1
  }
}

async function types(source: JSONSchema): Promise<string> {
  const definitions = source.$defs as Record<string, JSONSchema>
  const retry = withDefaultsFilled(definitions.retry as JSONSchema)
  const filled = { ...withDefaultsFilled(source), $defs: { ...definitions, retry } }
  return compile(filled, 'CheatSheet', {
    bannerComment: banner,
    ignoreMinAndMaxItems: true,
    style: { semi: false, singleQuote: true, printWidth: 110 },
  })
}

/** What the schema looks like once its defaults are filled in: a property that has a default is always there. */
function withDefaultsFilled(source: JSONSchema): JSONSchema {
  const properties = Object.entries(source.properties ?? {}).map(([name, property]) => {
    const reference = property.$ref === '#/$defs/retry' ? { $ref: property.$ref } : property
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
function validator(source: JSONSchema): string {
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

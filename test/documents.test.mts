import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import manifest from '../package.json' with { type: 'json' }
import { commandsIn, helpOf } from './support/commands_named.ts'

// That documents for people who work on candlekeep name what there is.

const project = join(import.meta.dirname, '..')

for (const name of ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md']) {
  const text = readFileSync(join(project, name), 'utf8')

  await t.test(`${name} names what there is`, test => {
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)\)/g))
      test.ok(existsSync(join(project, dirname(name), target)), `the link to ${target}`)
    for (const [, script = ''] of text.matchAll(/npm run ([\w:-]+)/g))
      test.ok(Object.hasOwn(manifest.scripts, script), `npm run ${script}`)
    for (const { script, flags } of commandsIn(text)) {
      const help = helpOf(script)
      test.ok(help, `there is ${script}`)
      for (const flag of flags) test.match(help, new RegExp(`${flag}(?![a-z-])`), `${script} has ${flag}`)
    }
    const files = text.matchAll(/\b((?:scripts|provision|test|conf|docs|templates)\/[\w/.-]*\w)(?![\w*/…])/g)
    // one that people write themselves, and names that stand for any
    const there = (file: string) =>
      file === 'conf/inventory.json' || file.includes('NAME') || existsSync(join(project, file))
    test.same(
      [...new Set(Array.from(files, ([, file = '']) => file))].filter(file => !there(file)),
      [],
    )
    test.end()
  })
}

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandsIn, helpOf } from './support/commands_named.ts'

// What a page for one who is woken up at 03:00 has to have: its four parts, and commands that exist.

const project = join(import.meta.dirname, '..')
const folder = join(project, 'docs/runbooks')
const pages = readdirSync(folder).filter(name => name !== 'README.md')
const rules = readFileSync(join(project, 'conf/alerting_rules.yml'), 'utf8')

for (const name of pages) {
  await t.test(name, test => {
    const text = readFileSync(join(folder, name), 'utf8')
    const alert = name.replace('.md', '')
    test.match(text, new RegExp(`^# ${alert}\n`))
    const parts = Array.from(text.matchAll(/^## (.*)$/gm), ([, title]) => title)
    test.same(parts, ['Meaning', 'Impact', 'Diagnosis', 'Mitigation'])
    test.match(rules, new RegExp(`runbooks/${name}$`, 'm'), 'an alert leads here')
    test.match(readFileSync(join(folder, 'README.md'), 'utf8'), `(${name})`, 'so does the list')
    for (const { script, flags } of commandsIn(text)) {
      const help = helpOf(script)
      test.ok(help, `there is ${script}`)
      for (const flag of flags) test.match(help, new RegExp(`${flag}(?![a-z-])`), `${script} has ${flag}`)
    }
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g))
      test.ok(existsSync(join(folder, target)), `the link to ${target} leads somewhere`)
    for (const [, key = ''] of text.matchAll(
      /`((?:alerts|backup|health|monitoring|schedule|sla|sync)\.[a-z_.]+)`/g,
    )) {
      const sheet = JSON.parse(readFileSync(join(project, 'conf/S2_1_CHEAT_SHEET.json'), 'utf8')) as object
      const value = key
        .split('.')
        .reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], sheet)
      test.not(value, undefined, `the cheat sheet has ${key}`)
    }
    test.end()
  })
}

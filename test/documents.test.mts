import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { withParts } from '../conf/documents.ts'
import sheet from '../conf/S2_1_CHEAT_SHEET.json' with { type: 'json' }
import manifest from '../package.json' with { type: 'json' }
import { siteOf } from '../provision/site_of.ts'
import { allFiles, layoutOf } from '../provision/tasks.ts'
import { checkConfig } from '../scripts/job/config.ts'
import { commandsIn, helpOf } from './support/commands_named.ts'
import { generatedSource } from './support/exchange/generated.ts'
import { startReplay } from './support/exchange/replay.ts'
import { copyProject } from './support/project_copy.ts'

// What the documents say: their links lead somewhere, what they name exists, and what can be run, runs.

const project = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(project, path), 'utf8')
const markdown = (folder: string) =>
  readdirSync(join(project, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => join(folder, name))
const pages = [...markdown('.'), ...markdown('docs'), ...markdown('docs/runbooks')]
const rules = read('conf/alerting_rules.yml')
const alerts = new Set(Array.from(rules.matchAll(/- alert: (\w+)/g), ([, name = '']) => name))

/** As GitHub makes the anchor of a heading. */
function anchorsOf(text: string): string[] {
  return Array.from(text.matchAll(/^#+ (.*)$/gm), ([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** Links of Markdown, but for those in blocks of code. */
function linksIn(text: string): string[] {
  const prose = text.replaceAll(/^( *)```[^]*?^\1```$/gm, '')
  return Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target)
}

await t.test('Every link leads somewhere', test => {
  let count = 0
  for (const page of pages) {
    for (const link of linksIn(read(page)).filter(target => !/^https?:/.test(target))) {
      const [path = '', anchor] = link.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      count++
      if (!test.ok(existsSync(join(project, file)), `${page}: ${link}`) || anchor === undefined) continue
      test.ok(anchorsOf(read(file)).includes(anchor), `${page}: ${link}`)
    }
  }
  test.ok(count > 50, `${count} links`)
  test.end()
})

await t.test('Every command and flag is one that there is', test => {
  let count = 0
  for (const page of pages) {
    for (const { script, flags } of commandsIn(read(page))) {
      const help = helpOf(script)
      if (!test.ok(help, `${page}: ${script}`)) continue
      for (const flag of flags)
        test.match(help, new RegExp(`${flag}(?![a-z-])`), `${page}: ${script} ${flag}`)
      count++
    }
  }
  test.ok(count > 100, `${count} commands`)
  test.end()
})

await t.test('Every script of npm and every file of the project is one that there is', test => {
  const named = /(?<![\w./-])((?:scripts|provision|test|conf|docs|templates)\/[\w/.-]*\w)(?![\w*/…])/g
  // one that people write themselves, and names that stand for any
  const isThere = (file: string) =>
    file === 'conf/inventory.json' || file.includes('NAME') || existsSync(join(project, file))
  for (const page of pages) {
    const text = read(page)
    for (const [, script = ''] of text.matchAll(/npm run ([\w:-]+)/g))
      test.ok(Object.hasOwn(manifest.scripts, script), `${page}: npm run ${script}`)
    const files = new Set(Array.from(text.matchAll(named), ([, file = '']) => file))
    test.same(
      [...files].filter(file => !isThere(file)),
      [],
      page,
    )
  }
  test.end()
})

await t.test('Every alert is in the rules, and all of them are in the master document', test => {
  const names =
    /\b(?:HostDown|Watchdog|[A-Z][a-z]+(?:[A-Z][a-z]+)*(?:Failed|Failing|Timeout|Critical|Corruption|Warning|Abuse|Stale|Symbols|Out|Error|Missing|Unreadable|Synced|Running|Ran|Overdue|Recovered|Skew|Spent))\b/g
  for (const page of pages)
    for (const [name] of read(page).matchAll(names))
      if (/[a-z][A-Z]/.test(name) && name !== 'UserError') test.ok(alerts.has(name), `${page}: ${name}`)
  const master = read('docs/OPERATIONS_24_7_INFRASTRUCTURE.md')
  for (const alert of alerts) test.match(master, `[${alert}](runbooks/`)
  test.end()
})

await t.test('Every path of a host is one that something is put at', test => {
  const roles = ['jobs', 'metrics', 'monitoring']
  const site = siteOf(sheet, [{ from: 'vars', vars: { provision: { roles } } }], {
    name: 'md-1',
    under: undefined,
    secrets: {},
  })
  const layout = layoutOf(site, false)
  const files = allFiles(layout).map(({ path }) => path)
  const folders = layout.folders.map(({ path }) => path)
  // what the jobs write is theirs; so are backups
  const open = layout.folders.filter(({ data }) => data === true).map(({ path }) => path)
  const own = [site.install, ...open]
  const isKnown = (path: string) =>
    files.includes(path) ||
    [...files, ...folders].some(known => known === path || known.startsWith(`${path}/`)) ||
    own.some(folder => path.startsWith(`${folder}/`))
  const ours = /(?<![\w./…-])\/(?:opt|etc|var)\/[\w./*-]*(?:jobs|crypto-futures-agent)[\w./*-]*/g
  let count = 0
  for (const page of pages) {
    for (const [match] of read(page).matchAll(ours)) {
      const path = match.replace(/[./*]+$/, '').replace('JOB', 'daily_sync')
      count++
      test.ok(isKnown(path), `${page}: ${path}`)
    }
  }
  test.ok(count > 30, `${count} paths`)
  test.end()
})

await t.test('Every key of the cheat sheet is one that it has', test => {
  const keys = new RegExp(
    `\`((?:${Object.keys(sheet).slice(1).join('|')})\\.(?!(?:mts|json|lock)\\b)[a-z_]+(?:\\.[a-z_]+)*)`,
    'g',
  )
  for (const page of pages) {
    for (const [, key = ''] of read(page).matchAll(keys)) {
      const value = key
        .split('.')
        .reduce<unknown>((at, part) => (at as Record<string, unknown>)?.[part], sheet)
      test.not(value, undefined, `${page}: ${key}`)
    }
  }
  test.end()
})

await t.test('Tables are made from the cheat sheet', test => {
  const changed = structuredClone({ ...sheet })
  changed.sla.rpo_hours = 7
  changed.schedule.daily_sync = '04:44'
  changed.health.max_backup_age_hours = 33
  const made = (path: string) => withParts(read(path), checkConfig(changed, 'another'), rules)
  const master = made('docs/OPERATIONS_24_7_INFRASTRUCTURE.md')
  for (const text of ['| RPO | < 7 h |', 'every day at 04:44 UTC', '| newest proven backup | 33 h |'])
    test.match(master, text)
  test.match(made('docs/S2_1_SUMARIO_EXECUTIVO_OPERACOES_24_7.md'), 'todos os dias às 04:44')
  test.throws(() =>
    withParts('<!-- cheat sheet: nothing -->\n<!-- end -->', checkConfig(changed, 'x'), rules),
  )
  test.end()
})

await t.test('What is marked as runnable runs', async test => {
  const replay = await startReplay({ source: generatedSource({ symbols: sheet.sync.symbols }) })
  test.teardown(() => replay.close())
  const copy = copyProject(test)
  // the exchange of the test, and no more history than it takes; a young database on a small disk
  copy.change('conf/S2_1_CHEAT_SHEET.json', text => {
    const here = JSON.parse(text) as typeof sheet
    Object.assign(here.sync, { base_url: replay.url, history_days: 3 })
    Object.assign(here.health, { min_database_mb: 0, min_free_disk_ratio: 0 })
    return JSON.stringify(here)
  })
  const blocks = pages.flatMap(page =>
    Array.from(read(page).matchAll(/^```sh runnable\n([^]*?)^```$/gm), ([, text = '']) => ({ page, text })),
  )
  test.ok(blocks.length > 0)
  for (const { page, text } of blocks) {
    for (const line of text.trim().split('\n')) {
      test.same(await runLine(line, copy.folder), [], `${page}: ${line}`)
    }
  }
})

/** A line as a person types it, in the folder of the project. */
function runLine(line: string, folder: string): Promise<string[]> {
  const env = {
    HOME: folder,
    PATH: `${join(folder, 'node_modules/.bin')}:${process.env['PATH']}`,
    XDG_STATE_HOME: join(folder, 'state'),
  }
  return new Promise(resolve => {
    execFile('sh', ['-c', line], { cwd: folder, env }, (error, stdout, stderr) =>
      resolve(error === null ? [] : [error.message, stdout, stderr]),
    )
  })
}

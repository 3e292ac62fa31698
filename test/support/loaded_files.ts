import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { temporaryFolder } from './workspace.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

/** Notes down what processes of Node load, and their children and workers too, by `NODE_OPTIONS`. */
export function watchLoads(test: Test): { options: string; loaded: () => string[] } {
  const folder = temporaryFolder(test)
  const [hook, log] = [join(folder, 'hook.mjs'), join(folder, 'log')]
  writeFileSync(log, '')
  const program = `import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(log)}, url + '\\n'); return next(url, context) } })
const open = process.dlopen
process.dlopen = (module, file, ...rest) => { appendFileSync(${JSON.stringify(log)}, 'file://' + file + '\\n'); return open.call(process, module, file, ...rest) }
`
  writeFileSync(hook, program)
  return {
    options: `--import ${hook}`,
    /** Files of the project, by their paths in it. */
    loaded() {
      const files = readFileSync(log, 'utf8')
        .split('\n')
        .filter(url => url.startsWith('file://'))
        .map(url => fileURLToPath(url.replace(/[?#].*/, '')))
      return [...new Set(files)]
        .filter(file => file.startsWith(project))
        .map(file => file.slice(project.length))
        .sort()
    },
  }
}

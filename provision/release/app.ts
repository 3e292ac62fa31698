import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file of the project, by its path in it. */
export type AppFile = { path: string; content: Buffer }

/** What a host has of the project beside the scripts; the schema is for editors. */
const others = ['LICENSE', 'conf/cheat_sheet.schema.json', 'package.json']

/** The project's own files that hosts run: no scripts that need the tests. Sorted by path. */
export function appFiles(projectRoot: string): AppFile[] {
  const scripts = readdirSync(join(projectRoot, 'scripts'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
    .map(entry => join(entry.parentPath, entry.name).slice(projectRoot.length).replace(/^\//, ''))
  return [...scripts, ...others]
    .sort()
    .map(path => ({ path, content: readFileSync(join(projectRoot, path)) }))
    .filter(({ content }) => !/\bfrom '(\.\.\/)+test\//.test(content.toString('latin1')))
}

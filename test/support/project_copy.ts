import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { temporaryFolder } from './workspace.ts'

const project = fileURLToPath(new URL('../../', import.meta.url))

const parts = ['LICENSE', 'conf', 'package.json', 'package-lock.json', 'provision', 'scripts', 'templates']

/** A copy of what releases are made of and put on hosts by, to change as one likes; its packages are this project's. */
export type ProjectCopy = {
  folder: string
  change: (path: string, edit: (text: string) => string) => void
}

export function copyProject(test: Test): ProjectCopy {
  const folder = temporaryFolder(test)
  for (const path of parts) cpSync(join(project, path), join(folder, path), { recursive: true })
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'))
  return {
    folder,
    change(path, edit) {
      const file = join(folder, path)
      writeFileSync(file, edit(readFileSync(file, 'utf8')))
    },
  }
}

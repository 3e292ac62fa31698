import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const project = join(import.meta.dirname, '../..')
const helps = new Map<string, string>()

/** What a command of ours (`scripts/backup.mts`) says of itself; undefined where there is none. */
export function helpOf(script: string): string | undefined {
  if (!existsSync(join(project, script))) return undefined
  const known = helps.get(script)
  if (known !== undefined) return known
  const { stdout } = spawnSync(process.execPath, [join(project, script), '--help'], { encoding: 'utf8' })
  helps.set(script, stdout)
  return stdout
}

/** Commands of ours in a text, with their flags; `candlekeep.sh` is how they are run on a host. */
export function commandsIn(text: string): { script: string; flags: string[] }[] {
  const found = text.matchAll(/(?:candlekeep\.sh (\w+)|npx zx ((?:scripts|provision)\/\w+\.mts))([^\n`]*)/g)
  return Array.from(found, ([, command, script = `scripts/${command}.mts`, rest = '']) => ({
    script,
    flags: Array.from(rest.matchAll(/(?<= )--[a-z-]+/g), ([flag]) => flag),
  }))
}

import { join, relative } from 'node:path'
import { UserError } from './errors.ts'
import { exitStatus, exitStatusHelp } from './exit_status.ts'
import { nearest } from './nearest.ts'

/**
 * A command-line flag. With `value` it takes one, and that word stands for it in the help; in brackets (`[ID]`) it may
 * be left out.
 */
type Flag = { help: string; value?: string }
export type Flags = Record<string, Flag>

/** What was given: the text of a flag with a value ('' where it was left out), true or false for one without. */
export type FlagValues<F extends Flags> = {
  [K in keyof F]: F[K] extends { value: string } ? string | undefined : boolean
}

export const commonFlags = {
  config: {
    value: 'FILE',
    help: 'the cheat sheet (else $CANDLEKEEP_CONFIG, else conf/S2_1_CHEAT_SHEET.json)',
  },
  json: { help: 'one JSON object on standard output, everything for people on standard error' },
  help: { help: 'this text' },
} as const satisfies Flags

/** Arguments of the script, whether node or zx runs it. */
export function scriptArguments(argv: string[] = process.argv): string[] {
  const script = argv.findIndex((argument, i) => i > 0 && argument.endsWith('.mts'))
  const rest = argv.slice(script + 1)
  return rest[0] === '--' ? rest.slice(1) : rest
}

/** Reads `--flag value` and `--flag=value`; anything else is a usage error that names the nearest right flag. */
export function parseFlags<F extends Flags>(flags: F, args: string[]): FlagValues<F> {
  const known = new Map(Object.entries<Flag>(flags))
  const values: Record<string, string | boolean | undefined> = {}
  for (const [name, flag] of known) values[name] = flag.value === undefined ? false : undefined
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] as string
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? []
    const flag = name === undefined ? undefined : known.get(name)
    if (name === undefined || flag === undefined) throw unknownFlag(argument, [...known.keys()])
    if (flag.value === undefined) {
      if (inline !== undefined) throw usage(`--${name} takes no value`)
      values[name] = true
      continue
    }
    const next = args[i + 1]
    const given = inline ?? (next?.startsWith('--') ? undefined : next)
    if (given === undefined && !flag.value.startsWith('['))
      throw usage(`--${name} needs a value: --${name} ${flag.value}`)
    values[name] = given ?? ''
    if (inline === undefined && given !== undefined) i++
  }
  return values as FlagValues<F>
}

/** The value of a flag as a whole number within bounds; undefined where the flag was not given. */
export function integerFlag(
  name: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < min || number > max) {
    throw usage(`--${name} ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`)
  }
  return number
}

const projectRoot = join(import.meta.dirname, '../..')

/** `script`: its whole path. */
export function helpText(
  script: string,
  summary: string,
  flags: Flags,
  statuses: string = exitStatusHelp,
): string {
  const form = ([name, { value }]: [string, Flag]) => `--${name}${value === undefined ? '' : ` ${value}`}`
  const all = Object.entries<Flag>({ ...flags, ...commonFlags })
  const width = Math.max(20, ...all.map(flag => form(flag).length))
  const lines = (group: Flags) =>
    Object.entries(group).map(flag => `  ${form(flag).padEnd(width)} ${flag[1].help}`)
  return [
    summary,
    '',
    `Usage: npx zx ${relative(projectRoot, script)} [flags]`,
    '',
    ...lines(flags),
    ...lines(commonFlags),
    '',
    `Exit status: ${statuses}`,
    '',
  ].join('\n')
}

function unknownFlag(argument: string, known: string[]): UserError {
  const meant = nearest(argument.replace(/^-+/, '').replace(/=.*/s, ''), known)
  return usage(`unknown argument ${argument}`, meant === undefined ? undefined : `Did you mean --${meant}?`)
}

function usage(message: string, hint = '--help shows the flags.'): UserError {
  return new UserError(message, { hint, status: exitStatus.usage })
}

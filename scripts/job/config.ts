import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { type ConfigProblem, describeProblems, formatProblem } from './config_problems.ts'
import type { CheatSheet } from './config_types.ts'
import { validate as generatedValidator } from './config_validator.ts'
import { codeOf, messageOf, UserError } from './errors.ts'
import { exitStatus } from './exit_status.ts'

/** The cheat sheet with its defaults filled in and its paths made absolute. */
export type Config = CheatSheet & {
  file: string
  /** Whether that is the file which commands take where none is named. */
  isDefault: boolean
}

/** Where backups are kept, fastest first. */
export const tierNames = ['hot', 'warm', 'cold'] as const
export type TierName = (typeof tierNames)[number]

/** The tiers that there are. */
export function configuredTiers({ backup: { warm, cold } }: Pick<CheatSheet, 'backup'>): TierName[] {
  const there = { hot: true, warm: warm.path !== null, cold: cold.bucket !== null }
  return tierNames.filter(name => there[name])
}

const projectRoot = resolve(import.meta.dirname, '../..')
const defaultFile = join(projectRoot, 'conf/S2_1_CHEAT_SHEET.json')

/**
 * Loads and checks the configuration: the named file, else `$CANDLEKEEP_CONFIG`, else the project's cheat sheet.
 * Throws a UserError with exit status 78 that lists every problem. `tolerate` lets problems pass that the caller
 * is there to mend.
 */
export function loadConfig(
  named: string | undefined,
  tolerate: (problem: ConfigProblem) => boolean = () => false,
): Config {
  const file = configFile(named)
  const sheet = checkConfig(
    readJson(file, 'configuration', 'Name one with --config FILE or CANDLEKEEP_CONFIG.'),
    file,
    tolerate,
  )
  return { ...withAbsolutePaths(sheet, dirname(file)), file, isDefault: file === defaultFile }
}

/** The path of the configuration that is meant. */
export function configFile(named: string | undefined): string {
  return resolve(named ?? (process.env.CANDLEKEEP_CONFIG || defaultFile))
}

/** The same check for a sheet that is in memory; `name` says in errors which it is. Fills in its defaults, in place. */
export function checkConfig(
  sheet: unknown,
  name: string,
  tolerate: (problem: ConfigProblem) => boolean = () => false,
): CheatSheet {
  const problems = validate(sheet).filter(problem => !tolerate(problem))
  if (problems.length > 0) {
    throw configError(`${name} is not valid:\n${problems.map(p => `  ${formatProblem(p)}`).join('\n')}`)
  }
  return sheet as CheatSheet
}

const matchesSchema = generatedValidator as unknown as ValidateFunction

/** Checks a cheat sheet against the schema and fills in its defaults, in place. */
function validate(sheet: unknown): ConfigProblem[] {
  return matchesSchema(sheet) ? [] : describeProblems(matchesSchema.errors ?? [])
}

/** Relative paths are relative to the workspace, and that is relative to the file itself. */
export function withAbsolutePaths(sheet: CheatSheet, base: string): CheatSheet {
  const { paths, backup } = sheet
  const workspace = resolve(base, paths.workspace)
  const absolute = (path: string) => (isAbsolute(path) ? path : join(workspace, path))
  const { hot, warm } = backup
  return {
    ...sheet,
    paths: {
      workspace,
      database: absolute(paths.database),
      state: absolute(paths.state),
      logs: absolute(paths.logs),
      metrics: absolute(paths.metrics),
      jobs: absolute(paths.jobs),
      install: absolute(paths.install),
    },
    backup: {
      ...backup,
      hot: { ...hot, path: absolute(hot.path) },
      warm: {
        ...warm,
        path: warm.path === null ? null : absolute(warm.path),
        mount: warm.mount === null ? null : absolute(warm.mount),
      },
    },
  }
}

/** The JSON in a file; `what` it is and how another is named, for errors (UserError, exit status 78). */
export function readJson(file: string, what: string, hint: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${codeOf(error)})`
    throw configError(`the ${what} ${file} ${why}`, hint)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw configError(
      `${file} is not JSON: ${messageOf(error)}`,
      'A comma too many or too few is the usual cause.',
    )
  }
}

function configError(message: string, hint?: string): UserError {
  return new UserError(message, { hint, status: exitStatus.configuration })
}

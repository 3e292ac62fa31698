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
  const file = resolve(named ?? (process.env.CANDLEKEEP_CONFIG || defaultFile))
  const sheet = readJson(file)
  const problems = validate(sheet).filter(problem => !tolerate(problem))
  if (problems.length > 0) {
    throw configError(`${file} is not valid:\n${problems.map(p => `  ${formatProblem(p)}`).join('\n')}`)
  }
  return {
    ...(sheet as CheatSheet),
    paths: absolutePaths((sheet as CheatSheet).paths, dirname(file)),
    file,
    isDefault: file === defaultFile,
  }
}

const matchesSchema = generatedValidator as unknown as ValidateFunction

/** Checks a cheat sheet against the schema and fills in its defaults, in place. */
function validate(sheet: unknown): ConfigProblem[] {
  return matchesSchema(sheet) ? [] : describeProblems(matchesSchema.errors ?? [])
}

function absolutePaths(paths: CheatSheet['paths'], base: string): CheatSheet['paths'] {
  const workspace = resolve(base, paths.workspace)
  const absolute = (path: string) => (isAbsolute(path) ? path : join(workspace, path))
  return {
    workspace,
    database: absolute(paths.database),
    state: absolute(paths.state),
    logs: absolute(paths.logs),
    metrics: absolute(paths.metrics),
  }
}

function readJson(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${codeOf(error)})`
    throw configError(`the configuration ${file} ${why}`, 'Name one with --config FILE or CANDLEKEEP_CONFIG.')
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

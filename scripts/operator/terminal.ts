import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ChalkInstance } from 'chalk'
import type { CheckResult, Status } from '../health/check.ts'
import type { Config } from '../job/config.ts'
import { quote } from '../job/words.ts'
import { type Call, morningTime, operatorSheet } from './content.ts'

const marks: Record<Status, string> = { ok: '✅', warning: '⚠️ ', critical: '❌', unknown: '❓' }

/** The operator's cheat sheet for people at a terminal, the morning's questions answered by the checks. */
export function terminalSheet(config: Config, results: CheckResult[], colour: ChalkInstance): string[] {
  const sheet = operatorSheet(config, callFor(config))
  const head = (title: string) => ['', colour.bold(title)]
  const width = Math.max(...sheet.commands.map(({ command }) => command.length))
  const nameWidth = Math.max(...sheet.numbers.map(([name]) => name.length))
  return [
    colour.bold(`Every morning, ${morningTime}`),
    ...sheet.morning.flatMap(({ check, question }) =>
      answered(
        question,
        results.find(({ name }) => name === check),
      ),
    ),
    ...head('When a sync fails'),
    ...sheet.syncFails.flatMap(({ text, commands }, at) => [
      `${at + 1}. ${text}`,
      ...commands.map(command => `     ${colour.cyan(command)}`),
    ]),
    ...head('When something is wrong'),
    ...sheet.symptoms.flatMap(({ symptom, commands, runbook }) => [
      `${symptom}: ${config.monitoring.runbooks_url}/${runbook}.md`,
      ...commands.map(command => `     ${colour.cyan(command)}`),
    ]),
    ...head('Commands'),
    ...sheet.commands.map(({ command, does, runs }) => {
      const when = runs === undefined ? '' : ` (${runs})`
      return `${colour.cyan(command.padEnd(width))}  ${does}${when}`
    }),
    ...head('Numbers'),
    ...sheet.numbers.map(([name, value]) => `${name.padEnd(nameWidth)}  ${value}`),
  ]
}

function answered(question: string, result: CheckResult | undefined): string[] {
  if (result === undefined) return [`${marks.unknown} ${question}`]
  const { status, line, more, advice } = result
  return [
    `${marks[status]} ${question}`,
    ...[line, ...more].map(text => `     ${text}`),
    ...advice.map(text => `     → ${text}`),
  ]
}

/** As commands are called where this runs: on a host by the script that the installer has put there. */
function callFor({ paths, file, isDefault }: Config): Call {
  const script = join(paths.jobs, 'candlekeep.sh')
  if (existsSync(script)) return command => `${script} ${command}`
  const config = isDefault ? '' : ` --config ${quote(file)}`
  return command => {
    const [name, ...flags] = command.split(' ')
    return ['npx zx', `scripts/${name}.mts`, ...flags].join(' ') + config
  }
}

/**
 * Delivers what is due and ends: for a job that had to end at once, and by hand for alerts that wait for a channel.
 *
 *     npx zx scripts/alerts/deliver.mts
 */
import '../job/node_version.ts'
import { type Clock, clockFor } from '../job/clock.ts'
import { type Config, loadConfig } from '../job/config.ts'
import { conclude, type Ending, endingOf } from '../job/ending.ts'
import { commonFlags, helpText, parseFlags, scriptArguments } from '../job/flags.ts'
import { History } from '../job/history.ts'
import { type Log, openLog } from '../job/log.ts'
import { openTerminal } from '../job/terminal.ts'
import { deliverAll } from './alerting.ts'

const args = scriptArguments()
const json = args.includes('--json')
try {
  const flags = parseFlags(commonFlags, args)
  if (flags.help) process.stdout.write(help())
  else end(endingOf(await deliver(loadConfig(flags.config))))
} catch (error) {
  end(endingOf(error))
}

function end(ending: Ending): void {
  conclude('alerts', ending, json, openTerminal(json))
}

/** There is no report: of what did not arrive the log speaks, and nothing else is worth a word. */
async function deliver(config: Config) {
  const clock = clockFor(config.sync.base_url)
  const log = openLogWhenUsed(config, clock)
  const history = History.open(config.paths.state, log, clock)
  const delivered = await deliverAll({ config, history, clock, log })
  history.close()
  log.close()
  return { outcome: delivered ? 'done' : 'failed', report: [], summary: '', figures: {} } as const
}

/** Where nothing is due nothing is said, and no file is made. */
function openLogWhenUsed({ paths }: Config, clock: Clock): Log {
  let opened: Log | undefined
  const open = () => {
    opened ??= openLog(paths.logs, 'alerts', clock, (_, text) => console.error(text))
    return opened
  }
  return {
    info: (message, fields) => open().info(message, fields),
    warn: (message, fields) => open().warn(message, fields),
    error: (message, fields) => open().error(message, fields),
    file: undefined,
    close: () => opened?.close(),
  }
}

function help(): string {
  return helpText(import.meta.filename, 'Delivers the alerts that wait for a channel.', {})
}

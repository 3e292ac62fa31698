/**
 * Delivers what is due and ends: for a job that had to end at once, and by hand for alerts that wait for a channel.
 *
 *     npx zx scripts/alerts/deliver.mts
 */
import '../job/node_version.ts'
import { clockFor } from '../job/clock.ts'
import { loadConfig } from '../job/config.ts'
import { commonFlags, parseFlags, scriptArguments } from '../job/flags.ts'
import { History } from '../job/history.ts'
import { type Log, openLog } from '../job/log.ts'
import { alerting } from './alerting.ts'

const config = loadConfig(parseFlags(commonFlags, scriptArguments()).config)
const clock = clockFor(config.sync.base_url)
const log = openLogWhenUsed()
const history = History.open(config.paths.state, log, clock)
await alerting.deliver({ config, history, clock, log })
history.close()
log.close()

/** Where nothing is due nothing is said, and no file is made. */
function openLogWhenUsed(): Log {
  let opened: Log | undefined
  const open = () => {
    opened ??= openLog(config.paths.logs, 'alerts', clock, (_, text) => console.error(text))
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

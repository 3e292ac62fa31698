import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Alerting, AlertingContext } from '../job/alerting.ts'
import { hour, minute } from '../job/time.ts'
import { describeDefect } from './defect.ts'
import { deliverDue, openBudget } from './delivery.ts'
import { type Manner, remember, rememberSettled } from './memory.ts'
import { routesOf } from './routing.ts'
import { stampSent, withoutStamp } from './stamps.ts'

const deliverer = fileURLToPath(new URL('./deliver.mts', import.meta.url))

/** Alerts by Slack, e-mail and PagerDuty. What has to be said is put down in the history first, then sent from there. */
export const alerting: Alerting = {
  observe(conditions, context) {
    if (conditions.length === 0) return
    try {
      const { config, history, clock } = context
      history.transact(database => {
        // it may be lost just now
        const news = history.lost ? withoutStamp(conditions, config) : conditions
        remember(database, news, clock.now(), mannerOf(config))
      })
    } catch (error) {
      context.log.warn(`alerts could not be put down: ${describeDefect(error)}`)
    }
  },

  async deliver(context) {
    await deliverAll(context)
  },

  deliverDetached({ config, log }) {
    try {
      const child = spawn(process.execPath, [deliverer, '--config', config.file], {
        cwd: '/',
        detached: true,
        stdio: 'ignore',
      })
      child.on('error', () => undefined)
      child.unref()
    } catch (error) {
      log.warn(`alerts wait for the next run: ${describeDefect(error)}`)
    }
  },
}

/** As `Alerting.deliver`. Returns whether no channel failed. */
export async function deliverAll(context: AlertingContext): Promise<boolean> {
  try {
    const { config, history, clock } = context
    history.transact(database => rememberSettled(database, clock.now(), mannerOf(config)))
    const delivered = await deliverDue(context, openBudget())
    if (history.lost) stampSent(history, config)
    return delivered
  } catch (error) {
    context.log.warn(`alerts could not be delivered: ${describeDefect(error)}`)
    return false
  }
}

function mannerOf(config: AlertingContext['config']): Manner {
  const { settle_minutes, repeat_hours } = config.alerts
  return {
    pace: { settleMs: settle_minutes * minute, repeatMs: repeat_hours * hour },
    routes: routesOf(config),
  }
}

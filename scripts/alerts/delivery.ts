import { hostname } from 'node:os'
import { basename } from 'node:path'
import type { AlertingContext } from '../job/alerting.ts'
import type { Clock } from '../job/clock.ts'
import type { Config } from '../job/config.ts'
import { second } from '../job/time.ts'
import { type Channel, channelsOf, type Parcel } from './channels.ts'
import { describeDefect } from './defect.ts'
import type { Place } from './event.ts'
import { type Claim, claim, forgetOld, recordSent, release, skipOld } from './outbox.ts'
import type { Verdict } from './post.ts'
import { routesOf } from './routing.ts'

const budgetMs = 20 * second
const requestMs = 10 * second
const waitsMs = [1 * second, 2 * second, 4 * second]

/** The time that all channels have together, side by side: a job must end. */
export type Budget = { signal: AbortSignal; leftMs: () => number }

export function openBudget(): Budget {
  const until = performance.now() + budgetMs
  return { signal: AbortSignal.timeout(budgetMs), leftMs: () => until - performance.now() }
}

/** Where this is, for those who read an alert. */
export function placeOf({ paths }: Config): Place {
  return { host: hostname(), workspace: basename(paths.workspace) }
}

/**
 * Sends what is due, to every channel that is configured. What does not arrive stays due for a later run. Returns whether
 * no channel failed.
 */
export async function deliverDue(context: AlertingContext, budget: Budget): Promise<boolean> {
  const { config, history, clock, log } = context
  const channels = channelsOf(config)
  history.transact(database => {
    forgetOld(database, clock.now())
    for (const { name, lacks } of channels) if (lacks !== undefined) skipOld(database, name, clock.now())
  })
  const configured = channels.filter(({ lacks }) => lacks === undefined)
  const served = await Promise.allSettled(configured.map(channel => serve(channel, context, budget)))
  for (const [i, result] of served.entries()) {
    if (result.status === 'rejected')
      log.warn(`${configured[i]?.name}: alerts wait for a later run: ${describeDefect(result.reason)}`)
  }
  return served.every(result => result.status === 'fulfilled' && result.value)
}

/**
 * Sends to one channel until nothing is due any more: another process may have been turned away meanwhile. Returns
 * whether it did not fail.
 */
async function serve(channel: Channel, context: AlertingContext, budget: Budget): Promise<boolean> {
  const { config, history, clock, log } = context
  const routes = routesOf(config)
  while (!budget.signal.aborted) {
    const claimed = history.transact(database => claim(database, channel.name, clock.now(), routes))
    if (claimed === undefined) return true
    const { arrived, why } = await sendAll(channel, claimed, context, budget)
    const failed = why !== undefined
    const givenUp = history.transact(database => release(database, claimed, failed, clock.now()))
    if (arrived > 0) log.info(`${alerts(arrived)} sent`, { channel: channel.name })
    if (givenUp > 0) log.warn(`${alerts(givenUp)} given up: ${channel.name} has been down for a week`)
    if (!failed) continue
    const left = claimed.events.length - arrived - givenUp
    if (left > 0) log.warn(`${channel.name} is down: ${why}; ${alerts(left)} kept for a later run`)
    return false
  }
  return true
}

function alerts(count: number): string {
  return count === 1 ? '1 alert is' : `${count} alerts are`
}

/** Sends the parcels of a claim one after the other. One that is refused does not keep back the next. */
async function sendAll(
  channel: Channel,
  claimed: Claim,
  { config, history, clock, log }: AlertingContext,
  budget: Budget,
): Promise<{ arrived: number; why: string | undefined }> {
  const parcels = channel.parcels({ events: claimed.events, place: placeOf(config), now: clock.now() })
  let arrived = 0
  let why: string | undefined
  for (const { events, send } of parcels) {
    const verdict = await sendPatiently(send, clock, budget)
    if (verdict.sent) {
      arrived += events.length
      history.transact(database => recordSent(database, channel.name, events, clock.now()))
      if (verdict.but !== undefined) log.warn(`${channel.name}: ${verdict.but}`)
      continue
    }
    why = verdict.why
    // a channel that cannot be reached would only use up the time for each of the others
    if (verdict.again) break
  }
  return { arrived, why }
}

/** Tries up to four times, as long as that may help and there is time. */
export async function sendPatiently(
  send: Parcel['send'],
  clock: Clock,
  { signal, leftMs }: Budget,
): Promise<Verdict> {
  for (let tries = 0; ; tries++) {
    const verdict = await send(AbortSignal.any([signal, AbortSignal.timeout(requestMs)]))
    const wait = waitsMs[tries]
    if (verdict.sent || !verdict.again || wait === undefined || signal.aborted) return verdict
    const waitMs = Math.max(wait, verdict.afterMs ?? 0)
    if (waitMs > leftMs()) return verdict
    try {
      await clock.sleep(waitMs, signal)
    } catch {
      return verdict
    }
  }
}

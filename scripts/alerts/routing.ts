import type { Config } from '../job/config.ts'
import type { Level } from './levels.ts'
import type { Announcement } from './states.ts'

export type ChannelName = 'slack' | 'email' | 'pagerduty'

/** The channels that hear of alerts of this level. */
export type Routes = Record<Level, ChannelName[]>

/** The configuration's routes for what the jobs say themselves; mail that would go to nobody goes nowhere. */
export function routesOf({ alerts: { routes, email, by_jobs } }: Config): Routes {
  const used = (channels: ChannelName[]) =>
    by_jobs ? channels.filter(name => name !== 'email' || email.to.length > 0) : []
  return {
    ok: [],
    info: used(routes.info),
    warning: used(routes.warning),
    critical: used(routes.critical),
  }
}

/**
 * Where an announcement goes, and the channels that have then been told of what is bad. Better news goes to whoever
 * heard the bad: a recovery has to reach everyone that was alarmed.
 */
export function route(
  { kind, level }: Announcement,
  told: ChannelName[],
  routes: Routes,
): { to: ChannelName[]; told: ChannelName[] } {
  const here = routes[level]
  if (kind === 'recovered') return { to: told, told: [] }
  if (kind !== 'eased') return { to: here, told: union(told, here) }
  const to = union(told, here)
  // its incident is resolved with what brought it there
  return { to, told: to.filter(name => name !== 'pagerduty' || here.includes(name)) }
}

function union<T>(some: T[], more: T[]): T[] {
  return [...new Set([...some, ...more])]
}

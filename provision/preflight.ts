import { dirname } from 'node:path'
import { UserError } from '../scripts/job/errors.ts'
import { formatDuration, minute } from '../scripts/job/time.ts'
import { formatBytes } from '../scripts/job/words.ts'
import type { Facts } from './facts.ts'
import type { HostManifest } from './manifest.ts'
import type { Arch } from './release/runtime_files.ts'
import type { Site } from './site.ts'
import type { Under } from './site_of.ts'
import type { Layout } from './tasks.ts'

/** What the output of `uname -m` is to Node's releases. */
const archOf: Record<string, Arch> = { x86_64: 'x64', aarch64: 'arm64' }

/** A release and a second one beside it, unpacked, with the files that are sent. */
const neededBytes = 1.2e9

/** The architecture of a host that candlekeep runs on; throws a UserError that says what it lacks. */
export function preflight(facts: Facts, under: Under): Arch {
  const { system, machine, isRoot } = facts
  const arch = archOf[machine]
  if (arch === undefined)
    throw new UserError(`its processor is ${machine}`, { hint: 'There is a Node for x86_64 and aarch64.' })
  if (under !== undefined) return arch
  if (![system.id, ...system.like.split(' ')].some(name => name === 'debian' || name === 'ubuntu')) {
    throw new UserError(`its system is ${system.name}`, {
      hint: 'Debian, Ubuntu and what is made of them are supported.',
    })
  }
  if (!isRoot) throw new UserError('root is needed on it, by sudo or as root')
  return arch
}

/** What a person should know of a host, though it stops nothing. `now`: this machine's clock, in milliseconds. */
export function doubtsAbout(facts: Facts, now: number): string[] {
  const skew = facts.clock - now
  if (Math.abs(skew) < minute) return []
  const side = skew > 0 ? 'ahead of' : 'behind'
  return [
    `its clock is ${formatDuration(Math.abs(skew))} ${side} this machine's: candles and alerts go by it (timedatectl)`,
  ]
}

/** Throws a UserError where the folders of the agent are another user's than the one who is to write there. */
export function requireOwner({ paths }: Facts, { user, sheet }: Site): void {
  for (const path of [dirname(sheet.paths.database), sheet.paths.workspace]) {
    const there = paths.get(path)
    if (there === undefined || there.owner === user) continue
    throw new UserError(`${path} belongs to ${there.owner}, and the jobs would run as ${user}`, {
      hint: `Set provision.user to ${JSON.stringify(there.owner)}: jobs have to write the agent's database as the agent does.`,
    })
  }
}

/** Throws a UserError where somebody else has a service already that we would configure. */
export function requireOwnServices(
  { packages }: Facts,
  manifest: HostManifest,
  { services }: Pick<Layout, 'services'>,
): void {
  for (const { name } of services) {
    if (!packages.has(name) || manifest.packages.includes(name)) continue
    throw new UserError(`${name} is there already, and candlekeep did not put it there`, {
      hint: `Take it away first (apt-get purge ${name}), or leave its role away and see docs/monitoring.md for one of your own.`,
    })
  }
}

/** Throws a UserError where a release would not find room. */
export function requireRoom({ freeBytes }: Facts, install: string): void {
  if (freeBytes >= neededBytes) return
  throw new UserError(
    `${formatBytes(freeBytes)} are free where ${install} is, a release needs ${formatBytes(neededBytes)} while it is put there`,
    { hint: 'Make room, or name another place by paths.install.' },
  )
}

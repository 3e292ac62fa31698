import { dirname } from 'node:path'
import { fetchCopy } from '../backup/archive.ts'
import { BadCopy } from '../backup/manifest.ts'
import { needRoom } from '../backup/snapshot.ts'
import { Archived, type Tier } from '../backup/tier.ts'
import { messageOf, UserError } from '../job/errors.ts'
import { formatDuration, hour, minute, second } from '../job/time.ts'
import type { Candidate, Offer } from './choose.ts'
import type { RecoveryTools } from './tools.ts'

/** What all tiers have; one that cannot be looked at is said, and offers nothing. */
export async function offersOf(tools: RecoveryTools): Promise<Offer[]> {
  const { tiers, records, context, say, log } = tools
  return Promise.all(
    tiers.all.map(async tier => {
      const known = records.of(tier.name)
      const failed = new Set(
        [...known.values()].flatMap(({ id, failedAt }) => (failedAt === null ? [] : [id])),
      )
      try {
        return { tier: tier.name, backups: (await tier.list(context)).backups, failed }
      } catch (error) {
        context.signal.throwIfAborted()
        log.info(`the ${tier.name} tier cannot be looked at: ${messageOf(error)}`)
        say(`the ${tier.name} tier cannot be looked at: ${messageOf(error)}`)
        return { tier: tier.name, backups: [], failed }
      }
    }),
  )
}

/** Why a backup was not used. */
export type PassedOver = { id: string; tier: string; why: string }

/** What is thought of a backup that has come: it will do, it is wanted once more, or why it will not do. */
export type Judgement = 'good' | 'again' | { flaw: string }

/**
 * Brings backups into `target`, one after the other in the order given, until one is judged good; those that are
 * archived come last, as that takes hours. Each is compared with its manifest, byte for byte. undefined: none was good.
 */
export async function restoreFirst(
  tools: RecoveryTools,
  order: readonly Candidate[],
  target: string,
  judge: (candidate: Candidate) => Promise<Judgement>,
  passOver: (entry: PassedOver) => void,
): Promise<Candidate | undefined> {
  const archived: Candidate[] = []
  const flawOf = async (candidate: Candidate): Promise<string | undefined> => {
    for (;;) {
      const why = await fetch(tools, candidate, target, archived)
      if (why !== undefined) return why
      const judgement = await judge(candidate)
      if (judgement === 'good') return undefined
      if (judgement !== 'again') return judgement.flaw
    }
  }
  const attempt = async (candidate: Candidate): Promise<boolean> => {
    const { tier, manifest } = candidate
    const flaw = await flawOf(candidate)
    if (flaw === undefined) return true
    if (flaw === 'archived') return false
    tools.log.info(`${manifest.id} of the ${tier} tier is not used: ${flaw}`)
    tools.say(`⚠️  ${tier.padEnd(5)} ${manifest.id} is not used: ${flaw}`)
    passOver({ id: manifest.id, tier, why: flaw })
    return false
  }
  for (const candidate of order) if (await attempt(candidate)) return candidate
  for (const candidate of archived) {
    const why = await bringBack(tools, candidate)
    if (why !== undefined) passOver({ id: candidate.manifest.id, tier: candidate.tier, why })
    else if (await attempt(candidate)) return candidate
  }
  return undefined
}

/** undefined where it has come; else why it has not. */
async function fetch(
  tools: RecoveryTools,
  { tier: name, manifest }: Candidate,
  target: string,
  archived: Candidate[],
): Promise<string | undefined> {
  const { records, identity, context } = tools
  const tier = tierNamed(tools, name)
  needRoom(dirname(target), manifest.database.bytes)
  try {
    const decoded = await fetchCopy(tier, manifest, { file: target, identity }, context)
    return decoded
      ? undefined
      : `it is encrypted, and its key is not here (${tools.config.backup.cold.age_identity_env})`
  } catch (error) {
    context.signal.throwIfAborted()
    const why = messageOf(error)
    if (error instanceof BadCopy) {
      records.verified(name, manifest.id, why)
      return why
    }
    if (error instanceof Archived) {
      const again = archived.some(entry => entry.manifest.id === manifest.id)
      if (!again) archived.push({ tier: name, manifest })
      return again ? why : 'archived'
    }
    return why
  }
}

/** Asks for an archived backup and waits for it; a run that takes this up again goes on waiting. Why it will not come. */
async function bringBack(
  tools: RecoveryTools,
  { tier: name, manifest }: Candidate,
): Promise<string | undefined> {
  const { config, context, say, log, now, wait } = tools
  const tier = tierNamed(tools, name)
  const giveUpAt = now() + config.recovery.archive_wait_hours * hour
  const withinMs = config.recovery.max_restore_minutes * minute
  for (let told = ''; ; ) {
    let thaw: Awaited<ReturnType<NonNullable<Tier['thaw']>>> | undefined
    try {
      thaw = await tier.thaw?.(manifest, withinMs, context)
    } catch (error) {
      context.signal.throwIfAborted()
      return messageOf(error)
    }
    if (thaw === undefined) return 'it is archived'
    if (thaw.state === 'readable') return undefined
    if (told === '') {
      told = `${manifest.id} is archived; it is being brought back (${thaw.how}, ${formatDuration(thaw.ms)} at most)`
      say(`⏳ ${told}`)
      log.info(told)
    }
    if (now() >= giveUpAt)
      return `it has not come back from the archive in ${config.recovery.archive_wait_hours} h`
    await wait(Math.min(minute, Math.max(second, thaw.ms / 100)))
  }
}

function tierNamed({ tiers }: RecoveryTools, name: string): Tier {
  const [tier] = tiers.all.filter(found => found.name === name)
  if (tier === undefined) throw new UserError(`there is no ${name} tier`)
  return tier
}

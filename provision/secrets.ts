import { isAbsolute, join } from 'node:path'
import type { CheatSheet } from '../scripts/job/config_types.ts'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { readSecret } from '../scripts/job/secret.ts'
import type { Inventory } from './inventory_types.ts'

/** The environment variables that jobs with this cheat sheet read. */
export function secretNames({ alerts, backup }: CheatSheet): string[] {
  const { heartbeat, slack, email, pagerduty } = alerts
  const cold =
    backup.cold.bucket === null ? [] : ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']
  return [
    heartbeat.url_env,
    heartbeat.backup_url_env,
    heartbeat.watchdog_url_env,
    slack.webhook_env,
    email.smtp_env,
    pagerduty.routing_key_env,
    backup.cold.age_identity_env,
    ...cold,
  ]
}

/**
 * The secrets that are to be on a host: what the inventory tells where to find, and what of `names` is in the
 * installer's own environment. Throws a UserError, exit status 78, where one that the inventory names is not there.
 */
export function findSecrets(
  names: string[],
  named: Inventory['secrets'],
  folder: string,
): Record<string, string> {
  const found = new Map<string, string>()
  for (const name of names) {
    const { secret } = readSecret(name)
    if (secret !== undefined) found.set(name, secret.reveal())
  }
  for (const [name, { env, file }] of Object.entries(named))
    found.set(name, lookUp(name, { env, file }, folder))
  return Object.fromEntries([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function lookUp(
  name: string,
  { env, file }: { env: string | undefined; file: string | undefined },
  folder: string,
): string {
  // a file goes through the same checks as that of a job: one that others can read is refused
  const variable = env ?? `CANDLEKEEP_SECRET_OF_${name}`
  if (file !== undefined) process.env[`${variable}_FILE`] = isAbsolute(file) ? file : join(folder, file)
  const { secret, problem } = readSecret(variable)
  if (secret !== undefined) return secret.reveal()
  const where = env === undefined ? `file ${file}` : `environment variable ${env}`
  throw new UserError(
    `the secret ${name} is not there: ${problem?.replace(`${variable}_FILE: `, '') ?? `${where} is empty or not set`}`,
    { hint: 'The inventory names it under "secrets".', status: exitStatus.configuration },
  )
}

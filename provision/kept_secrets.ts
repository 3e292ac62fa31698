import { UserError } from '../scripts/job/errors.ts'
import type { Facts } from './facts.ts'
import { managed } from './files.ts'
import { alertmanagerFile, alertmanagerSecrets, isAsItShouldBe } from './monitoring.ts'
import type { File } from './resource.ts'
import type { Site } from './site.ts'
import { type Layout, ownedFile } from './tasks.ts'

/**
 * Secrets that are on a host and are not given this time are never lost by oversight: where none is given, what holds
 * them stays as it is. `left`: what would have to change there. Throws a UserError where only some are given, or where
 * they are needed for something that is new. Pure.
 */
export function withSecretsKept(
  layout: Layout,
  facts: Facts,
  site: Site,
  forget: boolean,
): { layout: Layout; left: string | undefined } {
  const lost = facts.secrets.filter(name => !Object.hasOwn(site.secrets, name))
  if (forget || lost.length === 0) return { layout, left: undefined }
  const config = alertmanagerFile(site)
  const hasAlertmanager = layout.services.some(service => reads(service, config))
  // what the jobs have of them cannot be read back
  const isNew = hasAlertmanager && !facts.paths.has(config)
  if (Object.keys(site.secrets).length > 0 || isNew) {
    throw new UserError(`it has secrets that are not given now: ${lost.join(', ')}`, {
      hint: 'Give all of them (the inventory\'s "secrets", or the environment), none to keep what is there, or --forget-secrets.',
    })
  }
  const isStale = hasAlertmanager && !isAsItShouldBe(site, managed, facts.secrets, facts.alertmanagerMadeFrom)
  return {
    layout: { ...layout, files: kept(layout.files), services: keptServices(layout, facts, site, config) },
    left: isStale ? `${config} is to change, which takes the secrets that are not given` : undefined,
  }
}

function kept(files: File[]): File[] {
  return files.map(file => (file.secret === true ? { ...file, keep: true as const } : file))
}

/** With the files that Alertmanager's configuration, which stays as it is, names. */
function keptServices(
  { services }: Layout,
  { paths }: Facts,
  site: Site,
  config: string,
): Layout['services'] {
  const there = alertmanagerSecrets(site)
    .filter(({ path }) => paths.has(path))
    .map(file => ownedFile(site, file, false))
  return services.map(service => {
    const files = reads(service, config) ? [...there, ...service.files] : service.files
    return { ...service, files: kept(files) }
  })
}

function reads({ files }: Layout['services'][number], path: string): boolean {
  return files.some(file => file.path === path)
}

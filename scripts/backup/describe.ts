import type { Config } from '../job/config.ts'
import { isMounted } from '../job/mount.ts'

/** Where the cheat sheet keeps backups, a line a tier: for a look at the configuration. */
export function describeTiers({ backup: { hot, warm, cold } }: Config): string[] {
  const { bucket, prefix, age_recipients } = cold
  const encrypted = age_recipients.length === 0 ? '' : ', encrypted'
  return [
    `✅ hot       ${hot.path}`,
    warm.path === null
      ? '–  warm      none: set backup.warm.path'
      : warm.mount !== null && !isMounted(warm.mount)
        ? `⚠️  warm      ${warm.path}: nothing is mounted at ${warm.mount} now`
        : `✅ warm      ${warm.path}`,
    bucket === null
      ? '–  cold      none: set backup.cold.bucket; until then all copies are in one place'
      : `✅ cold      s3://${bucket}/${prefix}${encrypted}`,
  ]
}

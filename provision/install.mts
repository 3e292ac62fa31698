/**
 * Sets hosts up to run candlekeep, over ssh; run again, it changes nothing.
 *
 *     npx zx provision/install.mts --host ops@203.0.113.7
 *     npx zx provision/install.mts --local --root try
 */
import { startFast } from './fast_start.ts'

startFast()
const { connectionOf, provision } = await import('./cli.ts')
const { installHost } = await import('./host_run.ts')

await provision({
  name: 'install',
  script: import.meta.filename,
  summary: 'Sets hosts up to run candlekeep, over ssh. Run again, it changes nothing.',
  flags: {
    check: { help: 'say what would change, and change nothing (exit status 2 where something would)' },
    diff: { help: 'show what changes in files; secrets are not shown' },
    'no-run': { help: 'no first sync, backup and health check' },
    'forget-secrets': { help: 'take secrets away from a host that are not given this time' },
  },
  work: flags => (host, signal, tell) =>
    installHost(
      host,
      {
        check: flags.check,
        diff: flags.diff,
        firstRun: !flags['no-run'],
        forgetSecrets: flags['forget-secrets'],
        ...connectionOf(flags),
      },
      signal,
      tell,
    ),
})

/**
 * Leaves hosts as they were before candlekeep came. What is in the folders of data stays, unless `--purge` is given.
 *
 *     npx zx provision/uninstall.mts --host ops@203.0.113.7
 */
import { createInterface } from 'node:readline/promises'
import { UserError } from '../scripts/job/errors.ts'
import { exitStatus } from '../scripts/job/exit_status.ts'
import { scriptArguments } from '../scripts/job/flags.ts'
import { connectionOf, provision } from './cli.ts'
import { uninstallHost } from './uninstall.ts'

const question =
  'The data goes too: folders that candlekeep made, and whatever database, backups and logs are in them. Go on? [y/N] '

await provision({
  name: 'uninstall',
  script: import.meta.filename,
  summary: 'Leaves hosts as they were before candlekeep came; data stays, unless --purge is given.',
  flags: {
    check: { help: 'say what would be removed, and change nothing (exit status 2 where something would)' },
    purge: { help: 'data, the user and the packages too, where they were not there before' },
    yes: { help: 'do not ask before data is removed' },
  },
  prepare: async ({ purge, yes, check }) => {
    if (!purge || yes || check) return
    if (!process.stdin.isTTY)
      throw new UserError('--purge removes data: give --yes where nobody can be asked', {
        status: exitStatus.usage,
      })
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    const answer = await terminal.question(question).finally(() => terminal.close())
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new UserError(`nothing was removed (${scriptArguments().join(' ')})`, {
        status: exitStatus.interrupted,
      })
  },
  work: flags => (host, signal, tell) =>
    uninstallHost(host, { check: flags.check, purge: flags.purge, ...connectionOf(flags) }, signal, tell),
})

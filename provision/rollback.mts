/**
 * Makes the release run that ran before this one: one link, changed at one moment.
 *
 *     npx zx provision/rollback.mts --host ops@203.0.113.7
 */
import { startFast } from './fast_start.ts'

startFast()
const { failed } = await import('./apply.ts')
const { connectionOf, provision } = await import('./cli.ts')
const { withHost } = await import('./host_run.ts')
const { rollbackStep } = await import('./release/install_steps.ts')

await provision({
  name: 'rollback',
  script: import.meta.filename,
  summary: 'Makes the release run that ran before this one. Done twice, all is as before.',
  flags: {},
  work: flags => (host, signal, tell) =>
    withHost(host, { lock: true, ...connectionOf(flags) }, signal, tell, async (channel, result) => {
      const started = Date.now()
      const reply = await channel.ask({ ...rollbackStep(host.site.install), signal })
      if (reply.status !== 0) throw failed('it stays as it was', reply)
      result.release = reply.output.trim()
      result.changed++
      const changes = [`current → ${result.release}`]
      const seconds = (Date.now() - started) / 1000
      tell({ event: 'task', host: host.name, task: 'rollback', status: 'changed', ok: 0, changes, seconds })
    }),
})

/**
 * What runs where: release, drift, how the jobs went and what the health check said; all hosts in one table.
 *
 *     npx zx provision/status.mts
 */
import { startFast } from './fast_start.ts'
import type { Status } from './status.ts'

startFast()
const { connectionOf, provision } = await import('./cli.ts')
const { showTable, statusOfHost } = await import('./status.ts')

const found = new Map<string, Status>()

await provision({
  name: 'status',
  script: import.meta.filename,
  summary: 'Shows what runs where: release, drift, outcomes of the jobs, health. Changes nothing.',
  flags: {},
  work: flags => (host, signal, tell) => statusOfHost(host, connectionOf(flags), found, signal, tell),
  conclude: (results, terminal) => showTable(results, found, terminal),
})

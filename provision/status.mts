/**
 * What runs where: release, drift, how the jobs went and what the health check said; all hosts in one table.
 *
 *     npx zx provision/status.mts
 */
import { connectionOf, provision } from './cli.ts'
import { type Status, showTable, statusOfHost } from './status.ts'

const found = new Map<string, Status>()

await provision({
  name: 'status',
  script: import.meta.filename,
  summary: 'Shows what runs where: release, drift, outcomes of the jobs, health. Changes nothing.',
  flags: {},
  work: flags => (host, signal, tell) => statusOfHost(host, connectionOf(flags), found, signal, tell),
  conclude: (results, terminal) => showTable(results, found, terminal),
})

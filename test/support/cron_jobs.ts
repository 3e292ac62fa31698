import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { filesOf } from '../../provision/files.ts'
import type { Site } from '../../provision/site.ts'
import type { Host } from './hosts.ts'

/** A start of a job: seconds since the epoch, and the host's own time. */
export type Started = { at: number; local: string }

/**
 * Lays out what provisioning would: the crontab, at_utc.sh and the wrappers as they are. In place of Node and a release
 * there is a program that says when it was started, for the log of its job: what is tested is when that is.
 */
export async function layOutJobs(host: Host, site: Site): Promise<void> {
  const { sheet, install, user } = site
  const { state, logs } = sheet.paths
  const put = (path: string, content: string, mode: number) => {
    const file = join(host.root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    chmodSync(file, mode)
  }
  for (const { path, content, mode } of filesOf(site)) put(path, content, Number.parseInt(mode, 8))
  put(`${install}/current/node/bin/node`, '#!/bin/sh\ndate "+started %s %FT%T%:z"\n', 0o755)
  await host.run(
    `useradd -r ${user}; mkdir -p ${state} ${logs}; chown ${user} ${state} ${logs} ${site.etc}/environment`,
  )
}

/** When a job was started, first to last. */
export function startsOf(host: Host, { sheet }: Site, job: string): Started[] {
  const log = join(host.root, sheet.paths.logs, `${job}.log`)
  if (!existsSync(log)) return []
  const lines = readFileSync(log, 'utf8').matchAll(/^started (\d+) (\S+)$/gm)
  return Array.from(lines, ([, at, local = '']) => ({ at: Number(at), local }))
}

import { execFile } from 'node:child_process'
import type { HealthVerdict } from './tasks.ts'

const mostBytes = 16 * 2 ** 20

/** Has the health check look at all of it, in a run of its own. `now`: where this run's clock may be a made-up one. */
export function askHealth(
  script: string,
  config: string,
  now: number,
  signal: AbortSignal,
): Promise<HealthVerdict> {
  const { CANDLEKEEP_NOW, ...env } = process.env
  if (CANDLEKEEP_NOW) env['CANDLEKEEP_NOW'] = new Date(now).toISOString()
  const args = [script, '--full', '--json', '--config', config]
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env, signal, maxBuffer: mostBytes }, (error, stdout) => {
      if (signal.aborted) return reject(signal.reason as Error)
      // its exit status says how the database is, which is no error of ours
      try {
        resolve(verdictOf(stdout))
      } catch {
        resolve({ status: 'unknown', summary: error?.message ?? 'the health check said nothing' })
      }
    })
  })
}

type Told = { status?: string; checks?: { name: string; status: string; line: string }[]; error?: string }

function verdictOf(stdout: string): HealthVerdict {
  const { status = 'unknown', checks = [], error } = JSON.parse(stdout) as Told
  const wrong = checks.filter(check => check.status !== 'ok')
  const lines = wrong.map(({ name, line }) => `${name}: ${line}`)
  const passed = `${checks.length - wrong.length}/${checks.length} checks passed`
  return { status, summary: [error ?? passed, ...lines].join('; ') }
}

import type { Test } from 'tap'
import { ReplayClock } from '../exchange/clock.ts'
import { generatedSource } from '../exchange/generated.ts'
import { type Replay, startReplay } from '../exchange/replay.ts'
import { makeWorkspace, type Workspace } from '../workspace.ts'
import { alertsFor, channelEnvironment } from './here.ts'
import { type MailServer, startMailServer } from './mail_server.ts'
import { type Services, startServices } from './services.ts'

export type Everything = {
  workspace: Workspace
  replay: Replay
  services: Services
  mail: MailServer
  /** What a process needs to reach all three channels, `minutes` after the start. */
  at: (minutes: number) => { env: Record<string, string> }
}

const start = Date.parse('2024-05-05T12:10:30Z')

/** An exchange, all three channels, and a workspace that knows them; its commands are real processes. */
export async function startEverything(test: Test): Promise<Everything> {
  const symbols = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT']
  const clock = new ReplayClock({ at: start, rate: 0 })
  const replay = await startReplay({ source: generatedSource({ symbols }), clock })
  test.teardown(() => replay.close())
  const [services, mail] = [await startServices(test), await startMailServer(test)]
  const workspace = makeWorkspace(test, { url: replay.url, symbols, now: start })
  workspace.configure(
    sheet => (sheet.alerts = alertsFor(services, ['ops@candlekeep.example', 'boss@candlekeep.example'])),
  )
  return {
    workspace,
    replay,
    services,
    mail,
    at(minutes) {
      const now = start + minutes * 60_000
      clock.set(now)
      const env = {
        ...channelEnvironment(services),
        CANDLEKEEP_SMTP_URL: mail.url,
        NODE_EXTRA_CA_CERTS: mail.certificate,
        CANDLEKEEP_NOW: new Date(now).toISOString(),
      }
      return { env }
    },
  }
}

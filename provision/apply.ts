import { UserError } from '../scripts/job/errors.ts'
import { type Change, describeChange } from './change.ts'
import type { Channel, Reply, Request } from './channel.ts'
import type { Tell } from './events.ts'
import { activateStep, receiveLayerStep, receiveReleaseStep } from './release/install_steps.ts'
import type { Layer } from './release/modules.ts'
import type { Release } from './release/release.ts'
import type { Site } from './site.ts'
import { firstRunDone, firstStep, type Step, stepOf, switchStep } from './steps.ts'

/** How a host is changed: one step after the other, over its channel. */
export type Hands = {
  host: string
  channel: Channel
  site: Site
  asRoot: boolean
  signal: AbortSignal
  tell: Tell
  release: Release
}

/** Files and the release wait until all of them are ready: see `switchOver`. */
export function waits(change: Change): boolean {
  return change.kind === 'activate' || (change.kind === 'file' && change.content)
}

/**
 * Makes one change, or prepares it where it waits. Throws a UserError with what the host said where that does not work;
 * running it again completes it.
 */
export async function carryOut(change: Change, hands: Hands): Promise<void> {
  const { site, asRoot, release } = hands
  switch (change.kind) {
    case 'layer':
      return send(change.layer, hash => receiveLayerStep(site.install, change.layer.name, hash), hands)
    case 'release':
      return send(
        release.app,
        hash => receiveReleaseStep(site.install, release.id, hash, release.node.name, release.modules.name),
        hands,
      )
    case 'activate':
      return
    case 'first_run': {
      for (const command of change.commands) {
        hands.tell({ event: 'progress', host: hands.host, text: command.title })
        const { status, output } = await run(firstStep(command), hands)
        hands.tell({ event: 'said', host: hands.host, title: command.title, status, output })
        if (!command.well.includes(status))
          throw new UserError(`the ${command.title} ended with status ${status}`, {
            hint: 'Everything is in place; run it again once that is mended, or with --no-run.',
          })
      }
      return expectDone(await run(firstRunDone(site), hands), change)
    }
    case 'packages':
    case 'user':
    case 'directory':
    case 'file':
    case 'service':
    case 'stop':
    case 'remove':
      return expectDone(await run(stepOf(change, site, asRoot), hands), change)
  }
}

/** Makes the changes that waited, at one moment: the host goes on as it was up to then. Gives their number. */
export async function switchOver(changes: Change[], hands: Hands): Promise<number> {
  const waiting = changes.filter(waits)
  if (waiting.length === 0) return 0
  const files = waiting.flatMap(change => (change.kind === 'file' ? [change.to] : []))
  const activations = waiting.flatMap(change =>
    change.kind === 'activate' ? [activateStep(hands.site.install, change.id, change.keep).script] : [],
  )
  const reply = await run(switchStep(files, activations), hands)
  if (reply.status !== 0) throw failed('what was prepared could not be put in its place', reply)
  return waiting.length
}

export function run(
  { script, input, seconds }: Step,
  { channel, signal }: Pick<Hands, 'channel' | 'signal'>,
): Promise<Reply> {
  const request: Request = { script, signal }
  if (input !== undefined) request.input = input
  if (seconds !== undefined) request.seconds = seconds
  return channel.ask(request)
}

/** Sends a layer, unless the cache has to make it first. */
async function send(layer: Layer, step: (sha256: string) => string, hands: Hands): Promise<void> {
  const { host, channel, signal, tell } = hands
  tell({ event: 'progress', host, text: `packing ${layer.name}` })
  const { file, bytes, sha256 } = await layer.pack(signal)
  let sent = 0
  const reply = await channel.ask({
    script: step(sha256),
    input: { file, bytes },
    seconds: 600,
    signal,
    sent(more) {
      sent += more
      tell({ event: 'progress', host, text: `sending ${layer.name} ${Math.floor((100 * sent) / bytes)} %` })
    },
  })
  if (reply.status !== 0) throw failed(`${layer.name} could not be put there`, reply)
}

function expectDone(reply: Reply, change: Change): void {
  if (reply.status !== 0) throw failed(describeChange(change), reply)
}

/** What a host said of a step that failed, in an error. */
export function failed(what: string, { status, output }: Reply): UserError {
  const said = output.trim().split('\n').slice(-6).join('\n   ')
  const late = status === 124 || status === 137 ? ' (it took too long)' : ''
  return new UserError(`${what}: status ${status}${late}${said === '' ? '' : `\n   ${said}`}`, {
    hint: hintFor(output),
  })
}

/** What to do about what Debian's tools say. */
function hintFor(output: string): string {
  if (/No space left on device/.test(output)) return 'Make room on the host, then run it again.'
  if (/Read-only file system/.test(output))
    return 'A file system of the host is mounted read-only: see dmesg there, remount it, then run it again.'
  if (/Could not get lock|lock-frontend/.test(output))
    return 'Another apt is at work on the host: wait for it to end, then run it again.'
  if (/Unable to (?:locate|fetch)|Temporary failure resolving|Failed to fetch/.test(output))
    return 'The host needs its Debian packages: is its way to the mirror open (apt-get update)?'
  return 'Mend that, then run it again: it goes on where it stopped.'
}

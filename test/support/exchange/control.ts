import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { FaultRule } from './faults.ts'
import { namedAnswers } from './named_answers.ts'
import type { Replay } from './replay.ts'
import { jsonReply, type Reply } from './reply.ts'
import { rowMutations } from './row_mutations.ts'

export const controlPrefix = '/__replay/'

/** Answers a request under `/__replay/`, where `action` is the rest of the path. */
export type Control = (replay: Replay, action: string, request: IncomingMessage) => Promise<Reply>

/**
 * Steers a replay that runs in a process of its own: POST `clock` `{"at": time}`, POST `faults` with a list of rules,
 * POST `reset`; GET `stats`. Each of them answers with the state it left behind.
 */
export const control: Control = async (replay, action, request) => {
  try {
    if (request.method === 'POST') await change(replay, action, request)
    else if (action !== 'stats') throw new Error(`Nothing to get at ${controlPrefix}${action}`)
    return jsonReply({ now: replay.clock.now(), ...replay.stats, faults: replay.faults })
  } catch (error) {
    return jsonReply({ error: error instanceof Error ? error.message : String(error) }, 400)
  }
}

async function change(replay: Replay, action: string, request: IncomingMessage): Promise<void> {
  switch (action) {
    case 'clock': {
      const { at }: { at: number | string } = JSON.parse(await text(request))
      replay.clock.set(at)
      return
    }
    case 'faults':
      replay.setFaults(checkRules(JSON.parse(await text(request))))
      return
    case 'reset':
      replay.reset()
      return
    default:
      throw new Error(`Nothing to post to at ${controlPrefix}${action}`)
  }
}

/** Names are checked here: a rule with a misspelt one would never fire, and its test would prove nothing. */
function checkRules(rules: FaultRule[]): FaultRule[] {
  if (!Array.isArray(rules)) throw new TypeError('A list of fault rules was expected')
  for (const rule of rules) {
    const fault = rule.do
    if (!fault?.kind || !kinds.has(fault.kind)) throw new TypeError(`Unknown fault: ${JSON.stringify(rule)}`)
    if (fault.kind === 'named' && !Object.hasOwn(namedAnswers, fault.name)) {
      throw new TypeError(`Unknown answer: ${fault.name}`)
    }
    if (fault.kind === 'rows' && !Object.hasOwn(rowMutations, String(fault.mutate))) {
      throw new TypeError(`Unknown row mutation: ${String(fault.mutate)}`)
    }
  }
  return rules
}

const kinds = new Set<FaultRule['do']['kind']>([
  'status',
  'named',
  'html200',
  'truncated200',
  'object200',
  'null200',
  'emptyPage',
  'cut',
  'refuse',
  'stall',
  'rows',
  'clockOffset',
])

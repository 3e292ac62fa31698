import type { CheatSheet } from '../job/config_types.ts'
import type { ExchangeFailure, FailureKind } from './failure.ts'

export type RetryPolicy = CheatSheet['sync']['retry']

/** How often a request has failed already, by kind: each kind has tries of its own. */
export type FailureCounts = Partial<Record<FailureKind, number>>

/**
 * How long to wait before the request is tried again, in milliseconds; undefined: not again. The exchange's own
 * Retry-After wins over the policy. `random` is in [0, 1).
 */
export function waitBeforeRetry(
  policy: RetryPolicy,
  failure: ExchangeFailure,
  counts: FailureCounts,
  random: number,
): number | undefined {
  const { kind, retryAfter } = failure
  // a ban that the pacer sat out is tried again as a rate limit is; refusals and rejections do not change
  if (kind === 'refused' || kind === 'rejected') return undefined
  const { backoff_seconds, jitter_seconds } = policy[kind === 'ban' ? 'rate_limit' : kind]
  const backoff = backoff_seconds[counts[kind] ?? 0]
  if (backoff === undefined) return undefined
  return retryAfter ?? (backoff + jitter_seconds * random) * 1000
}

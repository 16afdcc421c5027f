import type { SparsyncError } from './errors.js';
import type { RetryPolicy } from './settings.js';

/**
 * How long to wait before another attempt, in milliseconds, or `undefined` when there is to be none.
 *
 * The pause is drawn evenly from zero to a bound that doubles ("full jitter"): clients that lost the same server do
 * not come back together.
 *
 * @param failed - How many attempts have failed so far, at least 1.
 * @param elapsedMs - Time since the call.
 */
export function retryDelay(
  policy: RetryPolicy,
  error: SparsyncError,
  failed: number,
  elapsedMs: number,
  random: () => number = Math.random,
): number | undefined {
  if (!error.retryable || failed > policy.attempts) return undefined;
  // Past 2^30 any base is beyond any bound; the exponent stays finite.
  const bound = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** Math.min(failed - 1, 30));
  const delay = Math.floor(random() * bound);
  return elapsedMs + delay > policy.deadlineMs ? undefined : delay;
}

import { setTimeout as delay } from 'node:timers/promises';

/** How long the endpoint is tried. All tries and waits together stay within the total. */
export interface RetryLimits {
  /** For one message, from the moment it leaves the queue of those waiting, and beside the time its bytes need. */
  readonly sendTotalMs: number;
  /** For opening the queue before the first fetch. */
  readonly openTotalMs: number;
  /** For one try to open, or to send, beside the time that the bytes on the wire need. */
  readonly tryMs: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const defaultRetryLimits: RetryLimits = {
  sendTotalMs: 60_000,
  openTotalMs: 20_000,
  tryMs: 20_000,
  firstDelayMs: 250,
  maxDelayMs: 5_000,
};

/** Waits, twice as long each time; gives false, at once, when there is no time left for another try. */
export async function waitForRetry(
  attempt: number,
  limits: RetryLimits,
  /** Of `performance.now()`. */
  deadlineMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const fullMs = Math.min(limits.maxDelayMs, limits.firstDelayMs * 2 ** (attempt - 1));
  // Spread, so that many runs don't come back at once.
  const delayMs = fullMs * (0.5 + Math.random() / 2);
  // A last try cut short would end as a time-out and hide why the others failed.
  if (performance.now() + delayMs + limits.tryMs / 4 > deadlineMs || signal.aborted) return false;
  await delay(delayMs, undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
}

import type { RecordChange } from './undelivered.ts';

const minuteMs = 60_000;
const waitsMinutes = [1, 2, 4, 8, 16, 32];
const longestWaitMinutes = 60;

/**
 * When a record is due after `failedTries` tries (0: it has just been stored), counted from `from`. On a
 * whole minute, seconds cut off, so that the timer never comes just too early and costs a minute more.
 */
export function nextTryAt(failedTries: number, from: Date): Date {
  const waitMinutes = waitsMinutes[failedTries] ?? longestWaitMinutes;
  return wholeMinute(new Date(from.getTime() + waitMinutes * minuteMs));
}

/** What becomes of a record that could not be sent: due again, at the age limit at the latest, or given up. */
export function afterFailure(
  record: { readonly storedAt: Date; readonly tries: number },
  triedAt: Date,
  maxAgeMs: number,
): RecordChange {
  const tries = record.tries + 1;
  const endsAt = wholeMinute(new Date(record.storedAt.getTime() + maxAgeMs));
  if (triedAt >= endsAt) return { status: 'abandoned', nextTryAt: undefined, tries };
  const dueAtMs = Math.min(nextTryAt(tries, triedAt).getTime(), endsAt.getTime());
  return { status: 'waiting', nextTryAt: new Date(dueAtMs), tries };
}

export function wholeMinute(time: Date): Date {
  return new Date(Math.floor(time.getTime() / minuteMs) * minuteMs);
}

import { parseObject } from '../json/json.ts';

/**
 * What the runs of the last day came to, an hour a number: the newest last, and quiet hours at either end left
 * out. As JSON it takes less than 1 KiB.
 */
export interface RunHistory {
  /** The first hour: ISO 8601 UTC, on the whole hour. */
  readonly since: string;
  readonly mails: readonly number[];
  /** Runs that failed. */
  readonly failures: readonly number[];
}

export const historyHours = 24;
/** Nobody needs to know more, and it bounds the column. */
const maxCount = 999_999_999;
const hourMs = 3_600_000;

/** The history with one more run in it; undefined where the run changes nothing, as an idle one. */
export function addRun(
  history: RunHistory | undefined,
  run: { readonly mails: number; readonly failed: boolean },
  now: Date,
): RunHistory | undefined {
  if (run.mails === 0 && !run.failed) return undefined;
  const last = Math.floor(now.getTime() / hourMs);
  const oldest = last - historyHours + 1;
  const since = history === undefined ? last : Math.floor(Date.parse(history.since) / hourMs);
  // A clock that was set back must not make a history longer than a day.
  const first = Math.min(Math.max(since, oldest), last);
  const hours = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const countOf = (counts: readonly number[] | undefined, hour: number, more: number): number =>
    Math.min((counts?.[hour - since] ?? 0) + (hour === last ? more : 0), maxCount);
  return {
    since: new Date(first * hourMs).toISOString(),
    mails: hours.map((hour) => countOf(history?.mails, hour, run.mails)),
    failures: hours.map((hour) => countOf(history?.failures, hour, run.failed ? 1 : 0)),
  };
}

/** Reads the column; what is no history is undefined. Never throws. */
export function readHistory(value: unknown): RunHistory | undefined {
  if (typeof value !== 'string' || value.length > 4096) return undefined;
  const { since, mails, failures } = parseObject(value) ?? {};
  const isTime = typeof since === 'string' && /^\d{4}-\d\d-\d\dT\d\d:00:00\.000Z$/.test(since);
  if (!isTime || Number.isNaN(Date.parse(since))) return undefined;
  const isWhole = areCounts(mails) && areCounts(failures) && mails.length === failures.length;
  return isWhole ? { since, mails, failures } : undefined;
}

function areCounts(value: unknown): value is number[] {
  const isCount = (each: unknown) =>
    Number.isSafeInteger(each) && Number(each) >= 0 && Number(each) <= maxCount;
  return Array.isArray(value) && value.length <= historyHours && value.every(isCount);
}

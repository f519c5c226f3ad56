import type { RunHistory } from '../../../connection/history.ts';
import { ago, counted } from '../words.ts';

export interface DayHour {
  readonly startMs: number;
  readonly mails: number;
  readonly failures: number;
}

export interface DayTotals {
  readonly mails: number;
  readonly failures: number;
  /** Mails in the hour that had most. */
  readonly most: number;
  /** The day in one sentence. */
  readonly words: string;
}

const hourMs = 3_600_000;
const hoursADay = 24;

/** The 24 hours up to now, the oldest first. */
export function lastDay(history: RunHistory | undefined, nowMs: number): readonly DayHour[] {
  const sinceMs = Date.parse(history?.since ?? '');
  const currentMs = Math.floor(nowMs / hourMs) * hourMs;
  return Array.from({ length: hoursADay }, (_, index) => {
    const startMs = currentMs - (hoursADay - 1 - index) * hourMs;
    const at = (startMs - sinceMs) / hourMs;
    return { startMs, mails: history?.mails[at] ?? 0, failures: history?.failures[at] ?? 0 };
  });
}

export function totalsOf(hours: readonly DayHour[]): DayTotals {
  const mails = hours.reduce((sum, hour) => sum + hour.mails, 0);
  const failures = hours.reduce((sum, hour) => sum + hour.failures, 0);
  const most = Math.max(0, ...hours.map((hour) => hour.mails));
  const peak = mails > most ? `, at most ${most.toLocaleString('en')} in an hour` : '';
  return {
    mails,
    failures,
    most,
    words: `${counted(mails, 'mail')}${peak}; ${counted(failures, 'failed run')}.`,
  };
}

/** Mails since midnight, by the reader's clock. */
export function mailsToday(history: RunHistory | undefined, nowMs: number): number {
  const midnightMs = new Date(nowMs).setHours(0, 0, 0, 0);
  return lastDay(history, nowMs)
    .filter(({ startMs }) => startMs >= midnightMs)
    .reduce((sum, { mails }) => sum + mails, 0);
}

/** When the last mail was delivered and how many came today, in words. */
export function lastMail(
  lastMailAt: string | undefined,
  history: RunHistory | undefined,
  nowMs: number,
): string {
  const today = mailsToday(history, nowMs).toLocaleString('en');
  return lastMailAt ? `${ago(lastMailAt, nowMs)}, ${today} today` : `${today} today`;
}

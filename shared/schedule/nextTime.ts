import { Failure } from '../failure/failure.ts';
import { minuteMs, type Schedule } from './schedule.ts';

export interface NextRun {
  /** A whole minute, later than the `now` it was computed from. */
  readonly nextRunAt: Date;
  /** What the interval's grid hangs on; to be kept and handed back the next time. */
  readonly anchor: Date;
}

/**
 * The schedule's next time after `now`. An interval's times are anchor + k × interval, each with its
 * seconds cut off, so that runs neither drift nor are caught up one by one; without an anchor the grid
 * begins at the minute of `now`. Rejects with a `Failure` when a cron expression never comes again.
 */
export async function nextRunAt(schedule: Schedule, now: Date, anchor: Date | undefined): Promise<NextRun> {
  const grid = anchor ?? startOfMinute(now);
  if (schedule.kind === 'interval') {
    return { nextRunAt: nextGridTime(schedule.intervalSeconds * 1000, now, grid), anchor: grid };
  }
  return { nextRunAt: await nextByCron(schedule.cron, schedule.timeZone, now), anchor: grid };
}

/** The first whole minute after `now`: when a failed or skipped run is tried again. */
export function nextMinute(now: Date): Date {
  return new Date(startOfMinute(now).getTime() + minuteMs);
}

/**
 * Until when a run that started at `startedAt` may keep its lease without the process lock: one interval,
 * or until the cron expression's next time.
 */
export async function leaseEndsAt(schedule: Schedule, startedAt: Date): Promise<Date> {
  if (schedule.kind === 'interval') return new Date(startedAt.getTime() + schedule.intervalSeconds * 1000);
  return nextByCron(schedule.cron, schedule.timeZone, startedAt);
}

function nextGridTime(intervalMs: number, now: Date, anchor: Date): Date {
  // A grid time counts by its whole minute, so the first one that counts is at or after the next minute.
  const earliestMs = nextMinute(now).getTime();
  const steps = Math.ceil((earliestMs - anchor.getTime()) / intervalMs);
  return startOfMinute(new Date(anchor.getTime() + steps * intervalMs));
}

async function nextByCron(cron: string, timeZone: string, after: Date): Promise<Date> {
  const { nextCronTime } = await import('./cron.ts');
  const next = nextCronTime(cron, timeZone, after);
  if (next === undefined) throw new Failure('config', `cron is "${cron}"; it must name a time that comes.`);
  return next;
}

function startOfMinute(time: Date): Date {
  return new Date(Math.floor(time.getTime() / minuteMs) * minuteMs);
}

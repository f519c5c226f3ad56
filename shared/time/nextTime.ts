import { Failure } from '../failure/failure.ts';
import { earlyTickMs, minuteMs, type Schedule } from './time.ts';

export interface NextRun {
  /** A whole minute, later than the `now` it was computed from. */
  readonly nextRunAt: Date;
  /** What the interval's grid hangs on; to be kept and handed back the next time. */
  readonly anchor: Date;
}

/**
 * The schedule's next time after `now`, or after `oldNextRunAt`, the time that the run was due at, where that
 * lies within the next second: the tick that started it came early, and counted from `now` the same time would
 * come twice. An interval's times are anchor + k × interval, each with its seconds cut off, so that runs
 * neither drift nor are caught up one by one; without an anchor the grid begins at the minute of that time.
 * Rejects with a `Failure` when a cron expression never comes again.
 */
export async function nextRunAt(
  schedule: Schedule,
  now: Date,
  anchor: Date | undefined,
  oldNextRunAt: Date | undefined,
): Promise<NextRun> {
  const aheadMs = oldNextRunAt === undefined ? 0 : oldNextRunAt.getTime() - now.getTime();
  const after = oldNextRunAt !== undefined && aheadMs > 0 && aheadMs <= earlyTickMs ? oldNextRunAt : now;
  const grid = anchor ?? startOfMinute(after);
  if (schedule.kind === 'interval') {
    return { nextRunAt: nextGridTime(schedule.intervalSeconds * 1000, after, grid), anchor: grid };
  }
  return { nextRunAt: await nextByCron(schedule.cron, schedule.timeZone, after), anchor: grid };
}

/** The first whole minute after `now`: when a failed or skipped run is tried again. */
export function nextMinute(now: Date): Date {
  return new Date(startOfMinute(now).getTime() + minuteMs);
}

/**
 * Until when a run that started at `startedAt` has the mailbox without the process lock: one interval, or until
 * the cron expression's next time. One within the next second is the time that the run was started for.
 */
export async function leaseEndsAt(schedule: Schedule, startedAt: Date): Promise<Date> {
  if (schedule.kind === 'interval') return new Date(startedAt.getTime() + schedule.intervalSeconds * 1000);
  return nextByCron(schedule.cron, schedule.timeZone, new Date(startedAt.getTime() + earlyTickMs));
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

/** The whole minute that the time lies in. */
export function startOfMinute(time: Date): Date {
  return new Date(Math.floor(time.getTime() / minuteMs) * minuteMs);
}

import { Cron } from 'croner';

// Imports croner (7 ms to load): reach this module by a dynamic import from code that runs at each tick.

const fieldNames = ['minute', 'hour', 'day of month', 'month', 'day of week'];

/**
 * The first time after `after` at which the five-field cron expression falls, a whole minute; undefined
 * when it never does (30 February). Where clocks go forward, a fixed time inside the gap falls right after
 * it, or not on that day where the day ends with the gap; where they go back, a fixed time falls once, a repeating one in both hours.
 * Throws on an expression or zone that `checkCron` refuses.
 */
export function nextCronTime(cron: string, timeZone: string, after: Date): Date | undefined {
  const job = new Cron(cron, { timezone: timeZone, mode: '5-part', paused: true });
  return job.nextRun(after) ?? undefined;
}

/** Why the expression can't be a schedule, as the end of a sentence that names it; undefined when it can. */
export function checkCron(cron: string): string | undefined {
  if (cron.trim().split(/\s+/).length !== fieldNames.length) {
    return `it must have five fields (${fieldNames.join(', ')})`;
  }
  try {
    if (nextCronTime(cron, 'UTC', new Date()) === undefined) return 'it must name a time that comes';
  } catch {
    return 'it must be a valid cron expression of five fields, such as "*/15 6-20 * * MON-FRI"';
  }
  return undefined;
}

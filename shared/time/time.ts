/** The host's timer fires up to some milliseconds early: what falls due within this time is due already. */
export const earlyTickMs = 1_000;

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** A time column: an ISO 8601 string with its zone, or the table's own date. Anything else is undefined. */
export function readTime(value: unknown): Date | undefined {
  const time =
    value instanceof Date
      ? value
      : typeof value === 'string' && isoTime.test(value)
        ? new Date(value)
        : undefined;
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time;
}

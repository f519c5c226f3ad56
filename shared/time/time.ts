/** The host's timer fires up to some milliseconds early: what falls due within this time is due already. */
export const earlyTickMs = 1_000;

/** How far clocks may differ: a time in a table that lies further ahead than it can, and by more than this, is void. */
export const clockToleranceMs = 300_000;

export const minuteMs = 60_000;

/** When a connection is polled. */
export type Schedule =
  | { readonly kind: 'interval'; readonly intervalSeconds: number }
  /** `cron` has five fields; `timeZone` is an IANA name. Both were checked when the config was decoded. */
  | { readonly kind: 'cron'; readonly cron: string; readonly timeZone: string };

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

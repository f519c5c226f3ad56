/** A run whose heartbeat is older has died. */
export const staleHeartbeatMs = 120_000;

/** The columns that decide whether a connection is due: all that a scheduling pass has to read. */
export const dueColumns = ['enabled', 'useProcessLock', 'nextRunAt', 'lastStatus', 'heartbeatAt'] as const;

/** As they stand in the table, not decoded: a pass reads thousands. */
export type DueColumns = { readonly [Column in (typeof dueColumns)[number]]?: unknown };

/**
 * Whether the connection is to be polled now. What can't be read counts as absent, and a connection with
 * a wrong config as enabled, so that its run fails and says why.
 */
export function isDue(columns: DueColumns, now: Date): boolean {
  if (!isEnabled(columns)) return false;
  const running = isText(columns.lastStatus, 'running');
  const heartbeatAt = running ? readTime(columns.heartbeatAt) : undefined;
  const alive = heartbeatAt !== undefined && now.getTime() - heartbeatAt.getTime() <= staleHeartbeatMs;
  if (running && !alive) return true;
  if (running && isText(columns.useProcessLock, 'true')) return false;
  const dueAt = readTime(columns.nextRunAt);
  return dueAt === undefined || dueAt.getTime() <= now.getTime();
}

/** Whether the connection is to be polled at all; what can't be read counts as enabled. */
export function isEnabled(columns: Pick<DueColumns, 'enabled'>): boolean {
  return !isText(columns.enabled, 'false');
}

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

function isText(value: unknown, text: string): boolean {
  if (typeof value === 'boolean') return String(value) === text;
  return typeof value === 'string' && value.trim().toLowerCase() === text;
}

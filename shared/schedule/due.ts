import { clockToleranceMs, earlyTickMs, readTime } from '../time/time.ts';

/** A run whose heartbeat is older has died. */
export const staleHeartbeatMs = 120_000;

const defaultIntervalMs = 60_000;

/** The columns that decide whether a connection is due: all that a scheduling pass has to read. */
export const dueColumns = [
  'enabled',
  'useProcessLock',
  'nextRunAt',
  'lastStatus',
  'heartbeatAt',
  'pollingIntervalSeconds',
  'cron',
] as const;

/** As they stand in the table, not decoded: a pass reads thousands. */
export type DueColumns = { readonly [Column in (typeof dueColumns)[number]]?: unknown };

/**
 * Whether the connection is to be polled now, or within the next second. What can't be read or can't be (a
 * heartbeat from the future, a next time further ahead than the interval) counts as absent, and a connection
 * with a wrong config as enabled, so that its run fails and says why.
 */
export function isDue(columns: DueColumns, now: Date): boolean {
  if (!isEnabled(columns)) return false;
  const running = isText(columns.lastStatus, 'running');
  if (running && !hasLiveRun(columns, now)) return true;
  if (running && isText(columns.useProcessLock, 'true')) return false;
  const dueAt = readNextRunAt(columns, now);
  return dueAt === undefined || dueAt.getTime() <= now.getTime() + earlyTickMs;
}

/** Whether a run is at work on the connection: `running`, with a heartbeat no older than two minutes. */
export function hasLiveRun(columns: Pick<DueColumns, 'lastStatus' | 'heartbeatAt'>, now: Date): boolean {
  if (!isText(columns.lastStatus, 'running')) return false;
  const heartbeatAt = readTime(columns.heartbeatAt);
  if (heartbeatAt === undefined) return false;
  const ageMs = now.getTime() - heartbeatAt.getTime();
  return ageMs <= staleHeartbeatMs && ageMs >= -clockToleranceMs;
}

/**
 * The due time that stands in the row; undefined where there is none, and where it lies further ahead than the
 * interval and the clocks' tolerance allow. With `cron` any time stands.
 */
export function readNextRunAt(
  columns: Pick<DueColumns, 'nextRunAt' | 'pollingIntervalSeconds' | 'cron'>,
  now: Date,
): Date | undefined {
  const nextRunAt = readTime(columns.nextRunAt);
  if (nextRunAt === undefined || hasCron(columns.cron)) return nextRunAt;
  // One that can't be read has a config that is refused: then the default stands, so that its run says so.
  const intervalMs = Number(columns.pollingIntervalSeconds) * 1_000 || defaultIntervalMs;
  const latestMs = now.getTime() + intervalMs + clockToleranceMs;
  return nextRunAt.getTime() <= latestMs ? nextRunAt : undefined;
}

/** Whether the connection is to be polled at all; what can't be read counts as enabled. */
export function isEnabled(columns: Pick<DueColumns, 'enabled'>): boolean {
  return !isText(columns.enabled, 'false');
}

function hasCron(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

function isText(value: unknown, text: string): boolean {
  if (typeof value === 'boolean') return String(value) === text;
  return typeof value === 'string' && value.trim().toLowerCase() === text;
}

import { readTime } from '../time/time.ts';
import { readHistory } from './history.ts';

export const runStatuses = ['running', 'ok', 'failed', 'skipped'] as const;

/** What the app writes beside a connection's config, and only ever merges: how each column is read. */
const readers = {
  nextRunAt: readTime,
  lastRunStartedAt: readTime,
  lastRunEndedAt: readTime,
  heartbeatAt: readTime,
  lastStatus: (value: unknown) => runStatuses.find((status) => status === value),
  /** One sentence, at most 1,024 characters; empty after an `ok`. */
  lastError: (value: unknown) => (typeof value === 'string' ? cutError(value) : undefined),
  consecutiveFailures: readCount,
  lastMailCount: readCount,
  lastMessageCount: readCount,
  runId: readText,
  /** What the interval's grid hangs on. */
  scheduleAnchor: readTime,
  /** In the table as JSON. */
  history: readHistory,
  /** When the last mail was delivered. */
  lastMailAt: readTime,
  /** Since when the lease was found taken; empty once it was not. */
  skippedSince: readText,
  /** The hash of the mailbox that the last run left with nothing to settle; empty where it did not. */
  cleanMailbox: readText,
  /** Mails that the server lists and can't hand over, as JSON. */
  unfetchable: readText,
  /** Mails that may have brought the process down, as JSON. */
  riskyMails: readText,
  /** How far the sessions have looked at unread mails with the filters. */
  lookedAt: readText,
  /** Hashes of the mails that were settled last. */
  settledMails: readText,
};

type StateColumn = keyof typeof readers;
export type ConnectionState = {
  readonly [Column in StateColumn]: ReturnType<(typeof readers)[Column]>;
};
export const stateColumns = Object.keys(readers) as readonly StateColumn[];

/** What the app notes for itself: nothing that an operator could do something with. */
export const innerColumns: ReadonlySet<string> = new Set<StateColumn>([
  'cleanMailbox',
  'unfetchable',
  'riskyMails',
  'lookedAt',
  'settledMails',
]);

export const maxLastErrorLength = 1024;

/** Reads the state columns; what isn't there or can't be read is undefined. Never throws. */
export function readState(entity: Readonly<Record<string, unknown>>): ConnectionState {
  const read = stateColumns.map((name) => [name, readers[name](entity[name])]);
  return Object.fromEntries(read) as ConnectionState;
}

/** The columns to merge for a change of state: times as ISO 8601 UTC, `lastError` cut to its length, `history` as JSON. */
export function writeState(change: Partial<ConnectionState>): Record<string, string | number> {
  const columns: Record<string, string | number> = {};
  for (const name of stateColumns) {
    const value = change[name];
    if (value === undefined) continue;
    if (value instanceof Date) columns[name] = value.toISOString();
    else if (typeof value === 'object') columns[name] = JSON.stringify(value);
    else columns[name] = name === 'lastError' ? cutError(String(value)) : value;
  }
  return columns;
}

/** Storage takes no half character. */
function cutError(text: string): string {
  return text.slice(0, maxLastErrorLength).toWellFormed();
}

function readText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Below what an Int32 holds, so that it can be counted on and written again. */
function readCount(value: unknown): number | undefined {
  const count = typeof value === 'bigint' ? Number(value) : value;
  return Number.isInteger(count) && Number(count) >= 0 && Number(count) < 2_147_483_647
    ? Number(count)
    : undefined;
}

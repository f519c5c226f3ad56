import { readTime } from '../time/time.ts';
import { type RunHistory, readHistory } from './history.ts';

export const runStatuses = ['running', 'ok', 'failed', 'skipped'] as const;
export type RunStatus = (typeof runStatuses)[number];

/** What the app writes beside a connection's config, and only ever merges. */
export interface ConnectionState {
  readonly nextRunAt: Date | undefined;
  readonly lastRunStartedAt: Date | undefined;
  readonly lastRunEndedAt: Date | undefined;
  readonly heartbeatAt: Date | undefined;
  readonly lastStatus: RunStatus | undefined;
  /** One sentence, at most 1,024 characters; empty after an `ok`. */
  readonly lastError: string | undefined;
  readonly consecutiveFailures: number | undefined;
  readonly lastMailCount: number | undefined;
  readonly lastMessageCount: number | undefined;
  readonly runId: string | undefined;
  /** What the interval's grid hangs on. */
  readonly scheduleAnchor: Date | undefined;
  /** In the table as JSON. */
  readonly history: RunHistory | undefined;
  /** When the last mail was delivered. */
  readonly lastMailAt: Date | undefined;
  /** Since when the lease was found taken; empty once it was not. */
  readonly skippedSince: string | undefined;
  /** The hash of the mailbox that the last run left with nothing to settle; empty where it did not. */
  readonly cleanMailbox: string | undefined;
  /** Mails that the server lists and can't hand over, as JSON. */
  readonly unfetchable: string | undefined;
  /** Mails that may have brought the process down, as JSON. */
  readonly riskyMails: string | undefined;
  /** How far the sessions have looked at unread mails with the filters. */
  readonly lookedAt: string | undefined;
  /** Hashes of the mails that were settled last. */
  readonly settledMails: string | undefined;
}

export type StateColumn = keyof ConnectionState;

export const stateColumns = [
  'nextRunAt',
  'lastRunStartedAt',
  'lastRunEndedAt',
  'heartbeatAt',
  'lastStatus',
  'lastError',
  'consecutiveFailures',
  'lastMailCount',
  'lastMessageCount',
  'runId',
  'scheduleAnchor',
  'history',
  'lastMailAt',
  'skippedSince',
  'cleanMailbox',
  'unfetchable',
  'riskyMails',
  'lookedAt',
  'settledMails',
] as const satisfies readonly StateColumn[];

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
  return {
    nextRunAt: readTime(entity.nextRunAt),
    lastRunStartedAt: readTime(entity.lastRunStartedAt),
    lastRunEndedAt: readTime(entity.lastRunEndedAt),
    heartbeatAt: readTime(entity.heartbeatAt),
    lastStatus: runStatuses.find((status) => status === entity.lastStatus),
    lastError: readText(entity.lastError),
    consecutiveFailures: readCount(entity.consecutiveFailures),
    lastMailCount: readCount(entity.lastMailCount),
    lastMessageCount: readCount(entity.lastMessageCount),
    runId: readText(entity.runId),
    scheduleAnchor: readTime(entity.scheduleAnchor),
    history: readHistory(entity.history),
    lastMailAt: readTime(entity.lastMailAt),
    skippedSince: readText(entity.skippedSince),
    cleanMailbox: readText(entity.cleanMailbox),
    unfetchable: readText(entity.unfetchable),
    riskyMails: readText(entity.riskyMails),
    lookedAt: readText(entity.lookedAt),
    settledMails: readText(entity.settledMails),
  };
}

/** The columns to merge for a change of state: times as ISO 8601 UTC, `lastError` cut to its length, `history` as JSON. */
export function writeState(change: Partial<ConnectionState>): Record<string, string | number> {
  const columns: Record<string, string | number> = {};
  for (const name of stateColumns) {
    const value = change[name];
    if (value === undefined) continue;
    if (value instanceof Date) columns[name] = value.toISOString();
    else if (typeof value === 'object') columns[name] = JSON.stringify(value);
    else columns[name] = name === 'lastError' ? String(value).slice(0, maxLastErrorLength) : value;
  }
  return columns;
}

function readText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function readCount(value: unknown): number | undefined {
  const count = typeof value === 'bigint' ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

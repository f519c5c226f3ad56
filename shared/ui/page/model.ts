import type { RunHistory } from '../../connection/history.ts';
import type { JournalPage as FoundPage } from '../../journal/found.ts';

/** What the HTTP API gives of a connection's runs. */
export interface State {
  readonly nextRunAt?: string;
  readonly lastRunStartedAt?: string;
  readonly lastRunEndedAt?: string;
  readonly heartbeatAt?: string;
  readonly lastStatus?: 'running' | 'ok' | 'failed' | 'skipped';
  readonly lastError?: string;
  readonly consecutiveFailures?: number;
  readonly lastMailCount?: number;
  readonly lastMessageCount?: number;
  readonly lastMailAt?: string;
  readonly history?: RunHistory;
}

/** A connection as the HTTP API gives it; a column may be a string where a table's editor has put one. */
export interface Connection {
  readonly customer: string;
  readonly connection: string;
  readonly state: State;
  readonly [column: string]: unknown;
}

export interface Undelivered {
  readonly id: string;
  readonly interchangeId: string;
  readonly customer: string;
  readonly connection: string;
  readonly queueName: string;
  readonly status: 'waiting' | 'abandoned';
  readonly storedAt: string;
  readonly nextTryAt?: string;
  readonly lastTryAt?: string;
  readonly tries: number;
  readonly lastError: string;
  readonly partsLeft: number;
  readonly partCount: number;
  readonly emailSubject?: string;
  readonly emailFrom?: string;
  readonly emailDate?: string;
  readonly emailMessageId?: string;
}

/** A page of what the journal has, and how much the journal says at all. */
export type JournalPage<T> = FoundPage<T> & { readonly journal: 'full' | 'ids' | 'off' };

export interface ColumnError {
  readonly column: string;
  readonly message: string;
}

export interface Key {
  readonly customer: string;
  readonly connection: string;
}

export function nameOf({ customer, connection }: Key): string {
  return `${customer}/${connection}`;
}

/** The column as text, whatever type it has; empty where it isn't set. */
export function textOf(connection: Connection, column: string): string {
  const value = connection[column];
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value);
}

export function isPop3(connection: Connection): boolean {
  return textOf(connection, 'hostType').toUpperCase() === 'POP3';
}

/** The port that a connection uses where none is set. */
export function defaultPort(hostType: string, useSsl: boolean): string {
  if (hostType === 'POP3') return useSsl ? '995' : '110';
  return useSsl ? '993' : '143';
}

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
  readonly runId?: string;
  readonly history?: History;
}

export interface History {
  readonly since: string;
  readonly mails: readonly number[];
  readonly failures: readonly number[];
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
}

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

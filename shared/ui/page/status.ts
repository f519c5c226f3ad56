import { causeOf } from './list/causes.ts';
import { type Connection, nameOf, textOf } from './model.ts';
import { schedule } from './words.ts';

export type StatusKind = 'failing' | 'running' | 'ok' | 'skipped' | 'disabled' | 'new';

export const statusNames: Readonly<Record<StatusKind, string>> = {
  failing: 'Failing',
  running: 'Running',
  ok: 'OK',
  skipped: 'Skipped',
  new: 'Not run yet',
  disabled: 'Disabled',
};

export interface Status {
  readonly kind: StatusKind;
  readonly label: string;
  /** More of it, where there is more; else empty. */
  readonly note: string;
  /** Whether something is wrong, also while the next try runs. */
  readonly isFailing: boolean;
  /** Why it fails, in full; empty where nothing is wrong. */
  readonly error: string;
}

/** As old as this, a running run's heartbeat tells that it has died. */
const staleHeartbeatMs = 120_000;

export function statusOf(connection: Connection, nowMs: number): Status {
  const { state } = connection;
  const failures = state.consecutiveFailures ?? 0;
  const error = state.lastError ?? '';
  if (textOf(connection, 'enabled').toLowerCase() === 'false') {
    return { kind: 'disabled', label: statusNames.disabled, note: '', isFailing: false, error: '' };
  }
  const note = failures > 1 ? `${failures.toLocaleString('en')} times in a row` : '';
  const status = (kind: StatusKind, label = statusNames[kind]): Status => {
    // A run that was skipped says something only where the lease has been taken for long.
    const isFailing = kind === 'failing' || failures > 0 || (kind === 'skipped' && error !== '');
    return { kind, label, note: isFailing ? note : '', isFailing, error: isFailing ? error : '' };
  };
  switch (state.lastStatus) {
    case 'failed':
      return status('failing', 'Failed');
    case 'running': {
      const isAlive = nowMs - Date.parse(state.heartbeatAt ?? '') <= staleHeartbeatMs;
      if (isAlive) return status('running');
      const died = 'The run ended without saying how; the next one starts by itself.';
      return { ...status('failing', 'Died'), error: died };
    }
    case 'ok':
    case 'skipped':
      return status(state.lastStatus);
    default:
      return status('new');
  }
}

/** A connection, and what the list is filtered and sorted by. */
export interface Row {
  readonly id: string;
  readonly connection: Connection;
  readonly status: Status;
}

export interface Filter {
  readonly customer: string;
  readonly status: StatusKind | '';
  readonly text: string;
  /** The cause by which they fail; empty: any. */
  readonly cause?: string;
}

/** Failing ones first, disabled ones last, else by name. */
export function sortRows(connections: readonly Connection[], nowMs: number): Row[] {
  const rows = connections.map((connection) => ({
    id: nameOf(connection),
    connection,
    status: statusOf(connection, nowMs),
  }));
  const rank = ({ status }: Row) => (status.isFailing ? 0 : status.kind === 'disabled' ? 2 : 1);
  return rows.sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
}

const searched = ['host', 'username', 'folder', 'queueName', 'hostType'];

/** The rows that match all of the filter; each word of its text must occur somewhere in the row. */
export function filterRows(
  rows: readonly Row[],
  { customer, status, text, cause = '' }: Filter,
): readonly Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (customer === '' && status === '' && cause === '' && words.length === 0) return rows;
  return rows.filter((row) => {
    if (cause !== '' && !(row.status.isFailing && causeOf(row) === cause)) return false;
    if (customer !== '' && row.connection.customer !== customer) return false;
    if (status === 'failing' ? !row.status.isFailing : status !== '' && row.status.kind !== status) {
      return false;
    }
    return words.length === 0 || words.every((word) => searchText(row).includes(word));
  });
}

function searchText({ id, connection, status }: Row): string {
  const columns = searched.map((column) => textOf(connection, column));
  return [id, ...columns, schedule(connection), status.label, status.error].join('\n').toLowerCase();
}

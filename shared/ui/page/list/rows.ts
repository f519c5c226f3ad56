import { type Connection, nameOf, textOf } from '../model.ts';
import { type Status, type StatusKind, statusOf } from '../status.ts';
import { schedule } from '../words.ts';

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

/** Why connections fail, taken together: those that say the same but for their own names fail for one cause. */
export interface Cause {
  /** What the sentences have in common. */
  readonly key: string;
  /** The first connection's sentence, in full where it is the only one. */
  readonly sentence: string;
  readonly rows: readonly Row[];
  /** About when the first of them began to fail: a connection that fails is tried each minute. */
  readonly sinceMs: number;
}

const minuteMs = 60_000;

/** The causes, those of most connections first. */
export function causesOf(rows: readonly Row[]): readonly Cause[] {
  const groups = Map.groupBy(
    rows.filter(({ status }) => status.isFailing),
    causeOf,
  );
  return [...groups]
    .map(([key, ofCause]) => {
      const [first] = ofCause;
      const sentence = ofCause.length === 1 ? (first?.status.error ?? key) : key;
      return { key, sentence, rows: ofCause, sinceMs: Math.min(...ofCause.map(failingSinceMs)) };
    })
    .sort((a, b) => b.rows.length - a.rows.length || (a.key < b.key ? -1 : 1));
}

/** The sentence without what is the connection's own: its name, its user and figures of the moment. */
export function causeOf({ connection, status }: Row): string {
  let sentence = status.error;
  for (const name of [nameOf(connection), textOf(connection, 'username')]) {
    // A user's name may also be part of a host's.
    if (name !== '')
      sentence = sentence.replace(new RegExp(`(?<![\\w.@-])${escaped(name)}(?![\\w@-]|\\.\\w)`, 'g'), '…');
  }
  return sentence
    .replace(/\([\d.+ ]+secs\)/g, '')
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '…')
    .replace(/\s+/g, ' ')
    .trim();
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

function failingSinceMs({ connection: { state } }: Row): number {
  const lastMs = Date.parse(state.lastRunStartedAt ?? state.lastRunEndedAt ?? '');
  return lastMs - Math.max((state.consecutiveFailures ?? 1) - 1, 0) * minuteMs;
}

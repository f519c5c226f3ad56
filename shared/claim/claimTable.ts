import { hash } from 'node:crypto';
import type { TableClient } from '@azure/data-tables';
import { readTime } from '../schedule/due.ts';
import { codeOf, storageFailure } from '../storage/storageFailure.ts';

/**
 * `claimed`: a run is delivering the mail. `delivered`: Service Bus, or the undelivered store, has all of
 * it; it must only be settled. `settled`: done with, kept as a tombstone while another run may still have
 * the mail on a list that it took before.
 */
export type ClaimStatus = 'claimed' | 'delivered' | 'settled';

/** Claims that a run took together, by mail id: a row each would cost a request's work for every mail. */
export interface GroupRow {
  readonly kind: 'group';
  readonly rowKey: string;
  readonly runId: string;
  readonly etag: string;
  readonly writtenAt: Date;
  readonly claims: ReadonlyMap<string, ClaimStatus>;
  /** When `clearClaims` has seen that no run is at work on the mailbox; gone with the next write. */
  readonly orphanedAt: Date | undefined;
}

/** A run that is, or was, at work on the mailbox; alive while its heartbeat is young. */
export interface RunRow {
  readonly kind: 'run';
  readonly rowKey: string;
  readonly runId: string;
  readonly etag: string;
  readonly heartbeatAt: Date;
}

/** Changes whenever claims are taken: who takes claims does so on the condition that it is as it was read. */
export interface TurnRow {
  readonly kind: 'turn';
  readonly rowKey: string;
  readonly etag: string;
}

export type ClaimsRow = (GroupRow | RunRow | TurnRow) & { readonly partitionKey: string };

/** A run without a heartbeat for this long is dead, and its claims are free. */
export const deadAfterMs = 120_000;

/** Sorts before the groups: a query that meets a new claim has read the old turn, which then is refused. */
export const turnRowKey = '0-turn';

const idBytes = 16;
/** The most that one group holds, far below the 64 KiB of a column. */
export const maxGroupMails = 1_000;

/** A mail's id in a group: the mail key may hold anything and be of any length. */
export function claimId(mailKey: string): string {
  return hash('sha256', mailKey, 'buffer').toString('latin1', 0, idBytes);
}

export function runRowKey(runId: string): string {
  return `run-${runId}`;
}

export function groupRowKey(runId: string, number: number): string {
  return `group-${runId}-${number}`;
}

export function claimsPartition(customer: string, connection: string): string {
  return `${customer}|${connection}`;
}

/** The columns of a group; `mails` holds the ids one after the other, `statuses` one letter for each. */
export function groupColumns(runId: string, claims: ReadonlyMap<string, ClaimStatus>): GroupColumns {
  return {
    runId,
    mails: Buffer.from([...claims.keys()].join(''), 'latin1'),
    statuses: [...claims.values()].map((status) => letters[status]).join(''),
  };
}

export interface GroupColumns {
  readonly runId: string;
  readonly mails: Uint8Array;
  readonly statuses: string;
}

const letters = { claimed: 'c', delivered: 'd', settled: 's' } as const satisfies Record<ClaimStatus, string>;

function readGroup(mails: unknown, statuses: unknown): Map<string, ClaimStatus> {
  const claims = new Map<string, ClaimStatus>();
  if (!(mails instanceof Uint8Array) || typeof statuses !== 'string') return claims;
  const ids = Buffer.from(mails).toString('latin1');
  for (let index = 0; index < statuses.length; index += 1) {
    const letter = statuses.charAt(index);
    const status = letter === 'd' ? 'delivered' : letter === 's' ? 'settled' : 'claimed';
    claims.set(ids.slice(index * idBytes, (index + 1) * idBytes), status);
  }
  return claims;
}

/** Which rows to read: all of the table, those of one mailbox, or only the runs of one mailbox. */
export type ClaimsScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'mailbox' | 'runs'; readonly partitionKey: string };

/** Reads rows page by page; none where the table isn't there yet. */
export async function* readClaims(table: TableClient, scope: ClaimsScope): AsyncIterable<ClaimsRow> {
  const queryOptions = scope.kind === 'all' ? {} : { filter: filterOf(scope.kind, scope.partitionKey) };
  try {
    for await (const entity of table.listEntities<Record<string, unknown>>({ queryOptions })) {
      const row = toRow(entity);
      if (row) yield row;
    }
  } catch (error) {
    if (codeOf(error) !== 'TableNotFound') throw storageFailure(error, 'reading the table EmailClaims');
  }
}

function filterOf(kind: 'mailbox' | 'runs', partitionKey: string): string {
  const partition = `PartitionKey eq '${partitionKey.replaceAll("'", "''")}'`;
  return kind === 'mailbox' ? partition : `${partition} and RowKey ge 'run-' and RowKey lt 'run.'`;
}

function toRow(entity: Record<string, unknown>): ClaimsRow | undefined {
  const { partitionKey, rowKey, timestamp, runId, mails, statuses, heartbeatAt, orphanedAt } = entity;
  if (typeof partitionKey !== 'string' || typeof rowKey !== 'string') return undefined;
  const row = { partitionKey, rowKey, etag: String(entity.etag) };
  if (rowKey === turnRowKey) return { kind: 'turn', ...row };
  if (typeof runId !== 'string') return undefined;
  // A heartbeat that can't be read is one that has not come for long.
  if (rowKey.startsWith('run-')) {
    return { kind: 'run', ...row, runId, heartbeatAt: readTime(heartbeatAt) ?? new Date(0) };
  }
  return {
    kind: 'group',
    ...row,
    runId,
    claims: readGroup(mails, statuses),
    writtenAt: readTime(timestamp) ?? new Date(0),
    orphanedAt: readTime(orphanedAt),
  };
}

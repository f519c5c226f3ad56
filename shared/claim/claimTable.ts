import { createHash } from 'node:crypto';
import type { TableClient, TransactionAction } from '@azure/data-tables';
import { readTime } from '../schedule/due.ts';
import { codeOf, isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';

/**
 * `claimed`: a run is delivering the mail. `delivered`: Service Bus, or the undelivered store, has all of
 * it; it must only be settled. `settled`: done with, kept as a tombstone while another run may still have
 * the mail on a list that it took before.
 */
export type ClaimStatus = 'claimed' | 'delivered' | 'settled';

export interface ClaimRow {
  readonly kind: 'claim';
  readonly rowKey: string;
  readonly runId: string;
  readonly status: ClaimStatus;
  readonly etag: string;
  readonly writtenAt: Date;
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

export type ClaimsRow = (ClaimRow | RunRow) & { readonly partitionKey: string };

/** A run without a heartbeat for this long is dead, and its claims are free. */
export const deadAfterMs = 120_000;

const maxActions = 100;

/** The row key of a mail's claim; a mail key may hold anything, a row key may not. */
export function claimRowKey(mailKey: string): string {
  return `mail-${createHash('sha256').update(mailKey).digest('hex')}`;
}

export function runRowKey(runId: string): string {
  return `run-${runId}`;
}

export function claimsPartition(customer: string, connection: string): string {
  return `${customer}|${connection}`;
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
  const { partitionKey, rowKey, etag, timestamp, runId, status, heartbeatAt } = entity;
  if (typeof partitionKey !== 'string' || typeof rowKey !== 'string' || typeof runId !== 'string')
    return undefined;
  if (rowKey.startsWith('run-')) {
    const run = { partitionKey, rowKey, runId, etag: String(etag) };
    return { kind: 'run', ...run, heartbeatAt: new Date(String(heartbeatAt)) };
  }
  return {
    kind: 'claim',
    partitionKey,
    rowKey,
    runId,
    status: status === 'delivered' || status === 'settled' ? status : 'claimed',
    etag: String(etag),
    writtenAt: new Date(String(timestamp)),
    orphanedAt: readTime(entity.orphanedAt),
  };
}

/**
 * Runs the actions, all of one partition, in transactions of at most 100. Gives the indexes of those that
 * were not done because a row exists already, has changed or is gone. A transaction fails whole: with
 * `onRefusal` `stop` all of its actions count as not done, with `skip` the service's culprit is left out
 * and the rest tried again. Rejects with a `Failure` when storage can't be had.
 */
export async function runActions(
  table: TableClient,
  actions: readonly TransactionAction[],
  onRefusal: 'stop' | 'skip',
): Promise<ReadonlySet<number>> {
  const slices: IndexedAction[][] = [];
  for (let from = 0; from < actions.length; from += maxActions) {
    slices.push(
      actions.slice(from, from + maxActions).map((action, index) => ({ action, index: from + index })),
    );
  }
  const refused = await Promise.all(slices.map((slice) => runTransaction(table, slice, onRefusal)));
  return new Set(refused.flat());
}

interface IndexedAction {
  readonly action: TransactionAction;
  readonly index: number;
}

async function runTransaction(
  table: TableClient,
  actions: readonly IndexedAction[],
  onRefusal: 'stop' | 'skip',
): Promise<number[]> {
  const refused: number[] = [];
  let left = actions;
  while (left.length > 0) {
    const batch = left.map(({ action }) => action);
    try {
      await withTable(table, () => table.submitTransaction(batch));
      return refused;
    } catch (error) {
      const position = culpritOf(error);
      const culprit = position === undefined ? undefined : left[position];
      if (!culprit) throw storageFailure(error, 'writing the table EmailClaims');
      if (onRefusal === 'stop') return actions.map(({ index }) => index);
      refused.push(culprit.index);
      left = left.filter((entry) => entry !== culprit);
    }
  }
  return refused;
}

/** Table Storage begins the message of a failed transaction with the index of the action at fault. */
function culpritOf(error: unknown): number | undefined {
  const status = statusOf(error);
  if (status !== 409 && status !== 412 && !isMissing(error)) return undefined;
  const index = error instanceof Error ? /^(\d+):/.exec(error.message)?.[1] : undefined;
  return index === undefined ? undefined : Number(index);
}

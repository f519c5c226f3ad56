import type { TableClient } from '@azure/data-tables';
import type { ConnectionStore } from '../connection/connectionStore.ts';
import { type ConnectionState, readState } from '../connection/state.ts';
import { isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { type ClaimsRow, deadAfterMs, type GroupRow, readClaims } from './claimTable.ts';

export interface ClearClaimsOptions {
  /** `EmailClaims` */
  readonly table: TableClient;
  readonly connections: ConnectionStore;
  readonly now: () => Date;
  /** POLL_TIME_BUDGET_SECONDS: a run that took as long may not have come to all mails. */
  readonly pollTimeBudgetMs: number;
}

const writesAtOnce = 16;
/** By how much the clocks of two instances may differ. */
const clockSkewMs = 30_000;
/** What is left over after this is left to the next time. */
const budgetMs = 60_000;

/**
 * Clears what dead runs have left in `EmailClaims`, so that an idle poll need not, and gives how many rows
 * went. One query where there is nothing. Every row goes only as the version that was read: a claim may be
 * taken over, and a run come back, at any moment. Rejects with a `Failure` of reason `storage`.
 */
export async function clearClaims(options: ClearClaimsOptions): Promise<number> {
  const startedAtMs = performance.now();
  let cleared = 0;
  for await (const rows of byMailbox(readClaims(options.table, { kind: 'all' }))) {
    cleared += await clearMailbox(rows, options);
    if (performance.now() - startedAtMs > budgetMs) break;
  }
  return cleared;
}

/** The table answers in the order of its keys, so the rows of a mailbox come one after another. */
async function* byMailbox(rows: AsyncIterable<ClaimsRow>): AsyncIterable<readonly ClaimsRow[]> {
  let mailbox: ClaimsRow[] = [];
  for await (const row of rows) {
    if (mailbox.length > 0 && mailbox[0]?.partitionKey !== row.partitionKey) {
      yield mailbox;
      mailbox = [];
    }
    mailbox.push(row);
  }
  if (mailbox.length > 0) yield mailbox;
}

async function clearMailbox(rows: readonly ClaimsRow[], options: ClearClaimsOptions): Promise<number> {
  const { table, now } = options;
  const isYoung = (time: Date) => now().getTime() - time.getTime() < deadAfterMs;
  const dead = rows.filter((row) => row.kind === 'run' && !isYoung(row.heartbeatAt));
  const isIdle = rows.every((row) => row.kind !== 'run' || !isYoung(row.heartbeatAt));
  const removed = await forEachRow(dead, (row) => removeRow(table, row));
  // A live run may have the mail of any group on a list that it took before; so may one that has just come back.
  if (!isIdle || removed < dead.length) return removed;

  const groups = rows.filter((row): row is GroupOfMailbox => row.kind === 'group');
  const [settled, unsettled] = [groups.filter(isSettled), groups.filter((row) => !isSettled(row))];
  const old = settled.filter((row) => !isYoung(row.writtenAt));
  const turns = groups.length === 0 ? rows.filter((row) => row.kind === 'turn') : [];
  return (
    removed +
    (await forEachRow([...old, ...turns], (row) => removeRow(table, row))) +
    (await clearUnsettled(unsettled, options))
  );
}

type GroupOfMailbox = Extract<ClaimsRow, GroupRow>;

function isSettled({ claims }: GroupRow): boolean {
  return [...claims.values()].every((status) => status === 'settled');
}

/**
 * Removes the claims whose mail can't be on the server any more, as far as the app will ever know: the
 * connection was removed; or a run found no mail that began when all could see that the claim's own run was
 * dead, and so would have come to it. Were a claim forgotten before, its mail could be pushed again. A later
 * run that finds mail takes or clears them itself.
 */
async function clearUnsettled(
  groups: readonly GroupOfMailbox[],
  options: ClearClaimsOptions,
): Promise<number> {
  const { table, connections, now, pollTimeBudgetMs } = options;
  const [customer = '', connection = ''] = groups[0]?.partitionKey.split('|') ?? [];
  if (groups.length === 0) return 0;
  const found = await connections.read({ customer, connection });
  if (!found) return await forEachRow(groups, (row) => removeRow(table, row));

  const emptyAtMs = foundEmptyAt(readState(found.columns), pollTimeBudgetMs)?.getTime() ?? 0;
  const unseen = groups.filter(({ orphanedAt }) => orphanedAt === undefined);
  await forEachRow(unseen, (row) => markOrphaned(table, row, now()));
  const gone = groups.filter(
    ({ orphanedAt }) => orphanedAt !== undefined && orphanedAt.getTime() + clockSkewMs < emptyAtMs,
  );
  return await forEachRow(gone, (row) => removeRow(table, row));
}

/** When the last run began, if it went through the whole mailbox and sent nothing. */
function foundEmptyAt(state: ConnectionState, pollTimeBudgetMs: number): Date | undefined {
  const { lastStatus, lastMailCount, lastRunStartedAt, lastRunEndedAt } = state;
  if (lastStatus !== 'ok' || lastMailCount !== 0 || !lastRunStartedAt || !lastRunEndedAt) return undefined;
  const durationMs = lastRunEndedAt.getTime() - lastRunStartedAt.getTime();
  return durationMs >= 0 && durationMs < pollTimeBudgetMs ? lastRunStartedAt : undefined;
}

/**
 * Writes rows a few at a time, and gives how many were. One by one: a transaction of the SDK can't delete a
 * row on the condition of its version.
 */
async function forEachRow(
  rows: readonly ClaimsRow[],
  write: (row: ClaimsRow) => Promise<unknown>,
): Promise<number> {
  let written = 0;
  for (let from = 0; from < rows.length; from += writesAtOnce) {
    const slice = rows.slice(from, from + writesAtOnce);
    const outcomes = await Promise.all(slice.map((row) => onlyThisVersion(write(row))));
    written += outcomes.filter(Boolean).length;
  }
  return written;
}

const removeRow = (table: TableClient, { partitionKey, rowKey, etag }: ClaimsRow): Promise<unknown> =>
  table.deleteEntity(partitionKey, rowKey, { etag });

const markOrphaned = (
  table: TableClient,
  { partitionKey, rowKey, etag }: ClaimsRow,
  at: Date,
): Promise<unknown> =>
  table.updateEntity({ partitionKey, rowKey, orphanedAt: at.toISOString() }, 'Merge', { etag });

/** Whether the row was still the version that was read. */
async function onlyThisVersion(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (statusOf(error) === 412 || isMissing(error)) return false;
    throw storageFailure(error, 'clearing the table EmailClaims');
  }
}

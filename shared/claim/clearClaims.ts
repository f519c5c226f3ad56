import type { TableClient } from '@azure/data-tables';
import type { ConnectionStore } from '../connection/connectionStore.ts';
import { readState } from '../connection/state.ts';
import { isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { type ClaimRow, type ClaimsRow, deadAfterMs, type RunRow, readClaims } from './claimTable.ts';

export interface ClearClaimsOptions {
  /** `EmailClaims` */
  readonly table: TableClient;
  readonly connections: ConnectionStore;
  readonly now: () => Date;
}

const deletesAtOnce = 16;
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
    cleared += await remove(options.table, await findLeftovers(rows, options));
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

async function findLeftovers(
  rows: readonly ClaimsRow[],
  { connections, now }: ClearClaimsOptions,
): Promise<readonly ClaimsRow[]> {
  const isYoung = (time: Date) => now().getTime() - time.getTime() < deadAfterMs;
  const runs = rows.filter((row): row is RunRow & ClaimsRow => row.kind === 'run');
  const claims = rows.filter((row): row is ClaimRow & ClaimsRow => row.kind === 'claim');
  const dead = runs.filter(({ heartbeatAt }) => !isYoung(heartbeatAt));
  const live = new Set(runs.filter((run) => !dead.includes(run)).map(({ runId }) => runId));

  const free = claims.filter(({ status, runId }) => status === 'claimed' && !live.has(runId));
  // A live run may still have the mail of any other claim on a list that it took before.
  if (live.size > 0) return [...dead, ...free];
  const settled = claims.filter(({ status, writtenAt }) => status === 'settled' && !isYoung(writtenAt));
  const delivered = claims.filter(({ status, writtenAt }) => status === 'delivered' && !isYoung(writtenAt));
  return [...dead, ...free, ...settled, ...(await findGone(delivered, connections))];
}

/**
 * Those of `claims` whose mail can't be on the server, as far as the app will ever know: the connection was
 * removed, or a run that began after the claim was written found no mail at all. A later run that finds mail
 * settles them itself. Were a claim forgotten before, its mail would be pushed again.
 */
async function findGone(
  claims: readonly (ClaimRow & ClaimsRow)[],
  connections: ConnectionStore,
): Promise<readonly (ClaimRow & ClaimsRow)[]> {
  const [customer = '', connection = ''] = claims[0]?.partitionKey.split('|') ?? [];
  if (claims.length === 0) return [];
  const found = await connections.read({ customer, connection });
  if (!found) return claims;
  const { lastStatus, lastMailCount, lastRunStartedAt } = readState(found.columns);
  if (lastStatus !== 'ok' || lastMailCount !== 0 || lastRunStartedAt === undefined) return [];
  return claims.filter(({ writtenAt }) => writtenAt < lastRunStartedAt);
}

async function remove(table: TableClient, rows: readonly ClaimsRow[]): Promise<number> {
  let removed = 0;
  // One by one: a transaction of the SDK can't delete a row on the condition of its version.
  for (let from = 0; from < rows.length; from += deletesAtOnce) {
    const slice = rows.slice(from, from + deletesAtOnce);
    const outcomes = await Promise.all(slice.map((row) => removeRow(table, row)));
    removed += outcomes.filter(Boolean).length;
  }
  return removed;
}

async function removeRow(table: TableClient, row: ClaimsRow): Promise<boolean> {
  try {
    await table.deleteEntity(row.partitionKey, row.rowKey, { etag: row.etag });
    return true;
  } catch (error) {
    if (statusOf(error) === 412 || isMissing(error)) return false;
    throw storageFailure(error, 'clearing the table EmailClaims');
  }
}
